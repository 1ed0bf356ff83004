//! How the agent reaches its site's rescue channel.

use std::io;
use std::sync::Arc;

use link::LinkHandle;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tuf_client::{Connect, Socket};

/// How to reach the rescue channel.
#[derive(Clone)]
pub enum RescueChannel {
    /// By a TLS connection of its own to the site's address.
    Direct {
        /// Host and port.
        address: String,
        /// How to speak TLS: see [`tls`].
        tls: Arc<ClientConfig>,
    },
    /// On a stream of a link, whose identity is proven.
    Link(LinkHandle),
}

/// TLS for the rescue channel: any certificate, HTTP/1.1.
pub fn tls() -> Arc<ClientConfig> {
    let mut config = ClientConfig::clone(&link::client_config());
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

impl Connect for RescueChannel {
    async fn connect(&self) -> io::Result<Box<dyn Socket>> {
        match self {
            Self::Direct { address, tls } => {
                let tcp = TcpStream::connect(address).await?;
                let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
                let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
                let name = ServerName::try_from(host).unwrap_or_else(|_| {
                    ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into())
                });
                let connector = tokio_rustls::TlsConnector::from(tls.clone());
                Ok(Box::new(connector.connect(name, tcp).await?))
            }
            Self::Link(link) => {
                let (reader, writer) = link.open().map_err(io::Error::other)?.split();
                writer.message(session::OpenApi {}).await.map_err(io::Error::other)?;
                Ok(Box::new(reader.into_stream(writer)))
            }
        }
    }
}
