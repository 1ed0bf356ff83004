//! The server's certificate: given, or made by itself at the first start.
//!
//! What appliances believe does not hang on it: offers are signed with the offer key, packages by TUF.
//! What they show to nobody else does: so they are told its pin, in the enrolment text and with every offer.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use release::Sha256;
use release::offer::PINS_MAX;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::data::{Data, write_secret};

/// The TLS configuration from files.
pub fn from_files(cert: &Path, key: &Path) -> Result<Arc<ServerConfig>> {
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("{} holds no certificate in PEM", cert.display()))?;
    let private = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("{} holds no private key in PEM", key.display()))?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .with_context(|| format!("{} and {} do not fit together", cert.display(), key.display()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// What appliances know the server by: the public key of the last certificate in the file, which is the server's own
/// when it stands alone and that of its authority when a chain is served, so that a renewal changes nothing.
pub fn pin(cert: &Path) -> Result<Sha256> {
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("{} holds no certificate in PEM", cert.display()))?;
    let last = chain.last();
    let last = last.with_context(|| format!("{} holds no certificate", cert.display()))?;
    let parsed = rustls::server::ParsedCertificate::try_from(last)
        .with_context(|| format!("{} holds a certificate that is none", cert.display()))?;
    let key = parsed.subject_public_key_info();
    tuf::sha256_hex(key.as_ref()).parse().context("a hash has 64 digits")
}

/// The pins that appliances are told: of what the server shows itself, and of what else they may meet.
pub fn pins(own: Option<&Path>, more: &[PathBuf]) -> Result<Vec<Sha256>> {
    let all = own.into_iter().chain(more.iter().map(PathBuf::as_path));
    let mut pins = Vec::new();
    for file in all {
        let pin = pin(file)?;
        if !pins.contains(&pin) {
            pins.push(pin);
        }
    }
    ensure!(
        pins.len() <= PINS_MAX,
        "appliances are told {PINS_MAX} pins at most, and these are {}",
        pins.len()
    );
    Ok(pins)
}

/// The TLS configuration of the data directory, with a certificate made for these names when there is
/// none yet.
pub fn own(data: &Data, names: Vec<String>) -> Result<Arc<ServerConfig>> {
    let (cert, key) = data.tls_paths();
    if !cert.exists() || !key.exists() {
        let signing = own_key(&key)?;
        let made = rcgen::CertificateParams::new(names)
            .and_then(|params| params.self_signed(&signing))
            .context("cannot make a certificate")?;
        // The certificate last: with it there, the pair is whole.
        let temporary = cert.with_extension("new");
        write_secret(&temporary, made.pem().as_bytes())?;
        fs::rename(&temporary, &cert)
            .with_context(|| format!("cannot write {}", cert.display()))?;
    }
    from_files(&cert, &key)
}

/// The key of the server's own certificate, made when there is none: a certificate made anew keeps its pin.
fn own_key(path: &Path) -> Result<rcgen::KeyPair> {
    if path.exists() {
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        return rcgen::KeyPair::from_pem(&text)
            .with_context(|| format!("{} holds no private key in PEM", path.display()));
    }
    let key = rcgen::KeyPair::generate().context("cannot make a key")?;
    write_secret(path, key.serialize_pem().as_bytes())?;
    Ok(key)
}
