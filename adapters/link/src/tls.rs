use std::io::Cursor;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme};

/// The ALPN name of a link.
pub const ALPN_LINK: &[u8] = b"sluis/1";

/// The web certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The PEM text holds no usable certificate or key.
    #[error("the certificate or its key cannot be read: {0}")]
    Pem(String),
    /// Certificate and key do not fit.
    #[error("the certificate and its key do not fit together: {0}")]
    Mismatch(rustls::Error),
}

/// Makes aws-lc-rs the one provider of this process; call it first in every `main`.
pub fn install_crypto() {
    // Fails only when it is already there.
    let _ = aws_lc_rs::default_provider().install_default();
}

/// How clients speak TLS: version 1.3, whatever certificate.
///
/// The certificate proves nothing here: the identity proof inside the link does
/// (`session::SiteHello`). So a new certificate, name or address strands nobody.
pub fn client_config() -> Arc<ClientConfig> {
    install_crypto();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(AnyCertificate(provider.clone()));
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13]);
    // The provider has TLS 1.3 suites.
    #[expect(clippy::expect_used, reason = "a build without TLS 1.3 must not start")]
    let mut config = builder
        .expect("the provider speaks TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN_LINK.to_vec()];
    Arc::new(config)
}

/// How the site speaks TLS on 443: links by ALPN, pages to everybody else.
///
/// # Errors
/// When the PEM texts are no certificate and key that belong together.
pub fn server_config(certificate: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    install_crypto();
    let chain = CertificateDer::pem_reader_iter(Cursor::new(certificate))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TlsError::Pem(error.to_string()))?;
    let key = PrivateKeyDer::from_pem_reader(Cursor::new(key))
        .map_err(|error| TlsError::Pem(error.to_string()))?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(TlsError::Mismatch)?;
    config.alpn_protocols = vec![ALPN_LINK.to_vec(), b"h2".to_vec(), b"http/1.1".to_vec()];
    // One ticket instead of two: an agent stays for days, and each costs memory on both sides.
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

/// Accepts every certificate but not every signature: whoever answers must hold the key of what it
/// shows, so that the exporter value belongs to one connection.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
