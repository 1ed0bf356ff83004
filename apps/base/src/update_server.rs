//! The update server on the line: by the pins that the appliance was told, or by an authority that the system trusts.
//!
//! What it says is believed for its signatures alone: offers by the key of the enrolment text, software by TUF.
//! The pins keep others from reading what the appliance tells it, and from using its one-time code.

use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use release::Sha256;
use release::offer::Refusal;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use rustls_platform_verifier::Verifier;

/// How long the update server may take to answer a question; downloads have no such limit.
const ANSWER: Duration = Duration::from_secs(20);

/// A client for questions to the update server.
pub fn for_questions(pins: &[Sha256]) -> anyhow::Result<reqwest::Client> {
    Ok(builder(pins)?.timeout(ANSWER).build()?)
}

/// A client for downloads, which are watched by their progress.
pub fn for_downloads(pins: &[Sha256]) -> anyhow::Result<reqwest::Client> {
    Ok(builder(pins)?.build()?)
}

fn builder(pins: &[Sha256]) -> anyhow::Result<reqwest::ClientBuilder> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let pinned = Pinned { pins: pins.to_vec(), provider: provider.clone() };
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(pinned))
        .with_no_client_auth();
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .connect_timeout(ANSWER)
        .user_agent(concat!("sluis-base/", env!("CARGO_PKG_VERSION"))))
}

/// What the update server's refusal says to a person.
pub fn refusal(url: &str, status: reqwest::StatusCode, body: &[u8]) -> String {
    match serde_json::from_slice::<Refusal>(body) {
        Ok(refusal) => format!("{}. {}", refusal.error, refusal.remedy),
        Err(_) => format!("{url} answered {status}"),
    }
}

/// Why it cannot be reached, and the way out.
pub fn unreachable(error: &(dyn StdError + 'static)) -> (String, &'static str) {
    if let Some(wrong) = wrong_server(error) {
        return (
            wrong.to_string(),
            "Ask the operator of the update server. If it has another key now, enrol again with a new enrolment text.",
        );
    }
    let source = error.source().map(|source| format!(": {source}"));
    (
        format!("the update server cannot be reached: {error}{}", source.unwrap_or_default()),
        "Check that this appliance may reach it, then check again.",
    )
}

/// The server shows another certificate than the appliance was told.
#[derive(Debug, Clone, PartialEq, Eq)]
struct WrongServer {
    shown: Option<Sha256>,
}

impl fmt::Display for WrongServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.shown.map_or_else(|| "none".to_owned(), |pin| pin.to_string());
        write!(
            f,
            "the update server shows a certificate (public key {shown}) that is not pinned by the enrolment and not issued \
             by an authority that this system trusts: somebody may be in between"
        )
    }
}

impl StdError for WrongServer {}

/// Finds our own refusal among what TLS, HTTP and their wrappers made of it.
fn wrong_server<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a WrongServer> {
    if let Some(wrong) = error.downcast_ref() {
        return Some(wrong);
    }
    // Neither of these shows what it holds as its `source`.
    let held: Option<&'a (dyn StdError + 'static)> = match error.downcast_ref::<rustls::Error>() {
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(why)))) => {
            Some(&**why)
        }
        _ => match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(held) => Some(held),
            None => None,
        },
    };
    held.and_then(wrong_server).or_else(|| error.source().and_then(wrong_server))
}

/// Accepts who holds a pinned key, who was issued by a pinned authority, and who the system trusts.
#[derive(Debug)]
struct Pinned {
    /// None: the appliance was enrolled before there were pins, and learns them from the next signed offer.
    pins: Vec<Sha256>,
    provider: Arc<CryptoProvider>,
}

impl Pinned {
    fn has(&self, certificate: &CertificateDer<'_>) -> bool {
        pin(certificate).is_some_and(|pin| self.pins.contains(&pin))
    }

    /// Whether one of the certificates that came along is a pinned authority and issued the first one for this name.
    fn issued(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> bool {
        chain.iter().filter(|issuer| self.has(issuer)).any(|issuer| {
            let mut roots = RootCertStore::empty();
            let verifier = roots.add(issuer.clone().into_owned()).ok().and_then(|()| {
                let provider = self.provider.clone();
                WebPkiServerVerifier::builder_with_provider(roots.into(), provider).build().ok()
            });
            verifier.is_some_and(|verifier| {
                verifier.verify_server_cert(leaf, chain, name, &[], now).is_ok()
            })
        })
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // Who holds the pinned key is the server, whatever name and time its certificate says.
        let known = self.pins.is_empty() || self.has(leaf) || self.issued(leaf, chain, name, now);
        let trusted = || {
            let system = system(&self.provider)?;
            system.verify_server_cert(leaf, chain, name, ocsp, now).ok()
        };
        if known || trusted().is_some() {
            return Ok(ServerCertVerified::assertion());
        }
        let wrong = WrongServer { shown: pin(leaf) };
        Err(CertificateError::Other(OtherError(Arc::new(wrong))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The authorities that the system trusts; none where it has none.
fn system(provider: &Arc<CryptoProvider>) -> Option<&'static Verifier> {
    static SYSTEM: OnceLock<Option<Verifier>> = OnceLock::new();
    SYSTEM.get_or_init(|| Verifier::new(provider.clone()).ok()).as_ref()
}

/// SHA-256 of the public key in a certificate.
fn pin(certificate: &CertificateDer<'_>) -> Option<Sha256> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    tuf::sha256_hex(parsed.subject_public_key_info().as_ref()).parse().ok()
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    use super::*;

    fn pinned(pins: &[Option<Sha256>]) -> Pinned {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        Pinned { pins: pins.iter().flatten().copied().collect(), provider }
    }

    fn name(name: &'static str) -> ServerName<'static> {
        ServerName::try_from(name).expect("a name")
    }

    fn accepts(
        by: &Pinned,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        host: &'static str,
    ) -> bool {
        by.verify_server_cert(leaf, chain, &name(host), &[], UnixTime::now()).is_ok()
    }

    fn certificate(host: &str, key: &KeyPair) -> CertificateDer<'static> {
        let params = CertificateParams::new(vec![host.to_owned()]).expect("a name");
        params.self_signed(key).expect("a certificate").into()
    }

    #[test]
    fn a_pinned_key_is_known_in_every_certificate_that_holds_it_and_no_other_key_is() {
        let (key, other) =
            (KeyPair::generate().expect("a key"), KeyPair::generate().expect("a key"));
        let first = certificate("updates.example.com", &key);
        let by = pinned(&[pin(&first)]);
        assert!(accepts(&by, &first, &[], "updates.example.com"));
        assert!(accepts(
            &by,
            &certificate("renewed.example.com", &key),
            &[],
            "updates.example.com"
        ));
        assert!(!accepts(
            &by,
            &certificate("updates.example.com", &other),
            &[],
            "updates.example.com"
        ));
        // Carrying the pinned certificate along proves nothing.
        let stranger = certificate("updates.example.com", &other);
        assert!(!accepts(&by, &stranger, &[first], "updates.example.com"));
        assert!(
            accepts(&pinned(&[]), &stranger, &[], "updates.example.com"),
            "enrolled without a pin"
        );
    }

    #[test]
    fn a_pinned_authority_vouches_for_its_own_certificates_of_that_name() {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![]).expect("no name");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root: CertificateDer<'static> = params.self_signed(&key).expect("an authority").into();
        let issuer = Issuer::new(params, key);
        let leaf = |host: &str| -> CertificateDer<'static> {
            let key = KeyPair::generate().expect("a key");
            let params = CertificateParams::new(vec![host.to_owned()]).expect("a name");
            params.signed_by(&key, &issuer).expect("a certificate").into()
        };
        let by = pinned(&[pin(&root)]);
        let chain = [root];
        for _renewal in 0..2 {
            assert!(accepts(&by, &leaf("updates.example.com"), &chain, "updates.example.com"));
        }
        assert!(!accepts(&by, &leaf("other.example.com"), &chain, "updates.example.com"));
        let stranger = KeyPair::generate().expect("a key");
        let stranger = certificate("updates.example.com", &stranger);
        assert!(!accepts(&by, &stranger, &chain, "updates.example.com"));
    }

    #[test]
    fn a_wrong_server_is_named_through_everything_that_wraps_the_error() {
        let wrong = WrongServer { shown: None };
        let tls = rustls::Error::from(CertificateError::Other(OtherError(Arc::new(wrong))));
        let wrapped = std::io::Error::new(std::io::ErrorKind::InvalidData, tls);
        let wrapped = std::io::Error::other(wrapped);
        let (text, remedy) = unreachable(&wrapped);
        assert!(
            text.contains("somebody may be in between") && remedy.contains("enrol again"),
            "{text}"
        );
        let (text, _) = unreachable(&std::io::Error::other("no route"));
        assert!(text.contains("cannot be reached: no route"), "{text}");
    }
}
