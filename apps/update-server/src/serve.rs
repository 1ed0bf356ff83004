//! `serve`: opens everything, then listens.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use release::Sha256;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::data::Data;
use crate::http::{self, App, Server};
use crate::repository::Repository;
use crate::tls;

#[derive(Args)]
pub struct Serve {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// Folder of the repository that `sluis-release` writes.
    #[arg(long)]
    repo: PathBuf,
    /// Address that appliances use, such as `https://updates.example.com`; made from `--listen` when not
    /// given.
    #[arg(long)]
    url: Option<String>,
    /// Certificate chain in PEM; the server makes a certificate of its own when not given.
    #[arg(long, requires = "key")]
    cert: Option<PathBuf>,
    /// Private key of the certificate in PEM.
    #[arg(long, requires = "cert")]
    key: Option<PathBuf>,
    /// Serves plain HTTP, for behind a proxy that does TLS.
    #[arg(long, conflicts_with = "cert")]
    plain: bool,
    /// Another certificate that appliances may meet, in PEM: that of a proxy, of its authority, or the next one.
    /// They are told its pin beside that of the server's own.
    #[arg(long = "pin", value_name = "CERT")]
    pins: Vec<PathBuf>,
}

impl Serve {
    pub async fn run(self, data: &Data) -> Result<()> {
        // One provider in the whole program; a second call would find it set.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = TcpListener::bind(self.listen)
            .await
            .with_context(|| format!("cannot listen on {}", self.listen))?;
        let address = listener.local_addr().context("the socket has no address")?;
        let scheme = if self.plain { "http" } else { "https" };
        let url = self.url.clone().unwrap_or_else(|| format!("{scheme}://{address}"));
        let url = url.trim_end_matches('/').to_owned();
        let tls = self.tls(data, &url)?;
        let pins = self.known_by(data)?;
        let app = App {
            store: data.store().await?,
            repository: Arc::new(Repository::new(&self.repo)),
            offer_key: data.offer_key()?,
            offer_public: data.offer_public()?,
            pins: pins.clone(),
            host: host_of(&url).to_owned(),
            page_login: login(&data.page_password()?),
        };
        data.set_url(&url)?;
        data.set_pins(&pins)?;
        // A program that started this one reads the first line and knows the server is there.
        println!("{url}");
        std::io::stdout().flush().ok();
        tracing::info!(
            url,
            page_password = %data.page_password_path().display(),
            "Listening; the page's name is admin"
        );
        http::serve(Server { listener, tls }, http::router(Arc::new(app)), ended()?).await;
        Ok(())
    }

    /// The pins of what appliances meet here.
    fn known_by(&self, data: &Data) -> Result<Vec<Sha256>> {
        let own = match &self.cert {
            _ if self.plain => None,
            Some(cert) => Some(cert.clone()),
            None => Some(data.tls_paths().0),
        };
        tls::pins(own.as_deref(), &self.pins)
    }

    fn tls(&self, data: &Data, url: &str) -> Result<Option<Arc<rustls::ServerConfig>>> {
        match (&self.cert, &self.key) {
            _ if self.plain => Ok(None),
            (Some(cert), Some(key)) => tls::from_files(cert, key).map(Some),
            _ => {
                let mut names =
                    vec![host_of(url).to_owned(), "localhost".into(), "127.0.0.1".into()];
                names.sort();
                names.dedup();
                tls::own(data, names).map(Some)
            }
        }
    }
}

/// The host of an address, without scheme, port and path.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or(rest);
    match host.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
        Some((v6, _)) => v6,
        None => host.rsplit_once(':').map_or(host, |(host, _)| host),
    }
}

/// The `Authorization` header of the name `admin` with that password.
fn login(password: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let plain = format!("admin:{password}");
    let mut base64 = String::new();
    for chunk in plain.as_bytes().chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let at = (bits >> (18 - 6 * digit)) & 63;
            base64.push(if digit <= chunk.len() { char::from(DIGITS[at as usize]) } else { '=' });
        }
    }
    format!("Basic {base64}")
}

/// Ends with SIGTERM or SIGINT.
fn ended() -> Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot hear SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot hear SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("Ending");
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_those_of_basic_authentication() {
        assert_eq!(login("secret"), "Basic YWRtaW46c2VjcmV0");
        assert_eq!(login("secrets"), "Basic YWRtaW46c2VjcmV0cw==");
        assert_eq!(login("secretss"), "Basic YWRtaW46c2VjcmV0c3M=");
    }

    #[test]
    fn hosts_stand_between_scheme_and_port() {
        assert_eq!(host_of("https://updates.example.com:8443/x"), "updates.example.com");
        assert_eq!(host_of("http://[::1]:80"), "::1");
        assert_eq!(host_of("https://10.0.0.1"), "10.0.0.1");
    }
}
