//! The server's certificate: given, or made by itself at the first start.
//!
//! What appliances believe does not hang on it: offers are signed with the offer key, packages by TUF.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
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

/// The TLS configuration of the data directory, with a certificate made for these names when there is
/// none yet.
pub fn own(data: &Data, names: Vec<String>) -> Result<Arc<ServerConfig>> {
    let (cert, key) = data.tls_paths();
    if !cert.exists() || !key.exists() {
        let made =
            rcgen::generate_simple_self_signed(names).context("cannot make a certificate")?;
        // The certificate last: with it there, the pair is whole.
        write_secret(&key, made.signing_key.serialize_pem().as_bytes())?;
        let temporary = cert.with_extension("new");
        write_secret(&temporary, made.cert.pem().as_bytes())?;
        fs::rename(&temporary, &cert)
            .with_context(|| format!("cannot write {}", cert.display()))?;
    }
    from_files(&cert, &key)
}
