//! The site's side of a new connection.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use model::PublicKey;
use rustls::ServerConfig;
use session::mux::Side;
use session::{
    ClientHello, EXPORTER_LABEL, Message, Refused, RefusedCode, SigningKey, SiteHello, Welcome,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::{ALPN_LINK, Link, LinkError, Socket};

/// Between a TCP connection and the end of its proofs; a peer that dawdles is dropped.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// The longest hello that is read.
pub(crate) const HELLO_MAX: usize = 8 * 1024;

/// What turned up on port 443.
pub enum Accepted {
    /// An agent or a console, after its proof.
    Link(Box<LinkRequest>),
    /// A browser or another HTTP client.
    Http(Box<TlsStream<Socket>>),
}

/// Does the TLS handshake; the certificate can be changed while it runs.
#[derive(Clone)]
pub struct Acceptor {
    config: Arc<RwLock<Arc<ServerConfig>>>,
    greeter: Arc<Greeter>,
}

/// What the site says of itself.
pub struct Greeter {
    /// The site's identity.
    pub key: SigningKey,
    /// Version of the site software.
    pub version: String,
    /// Revision of the site software.
    pub revision: u32,
    /// The generation that answers.
    pub generation: u64,
}

/// A client that proved its identity and waits for an answer.
pub struct LinkRequest {
    /// What it says of itself.
    pub hello: ClientHello,
    /// Its identity, proven.
    pub key: PublicKey,
    /// Where it comes from.
    pub address: SocketAddr,
    tls: TlsStream<Socket>,
}

impl Acceptor {
    /// An acceptor with that certificate.
    pub fn new(config: Arc<ServerConfig>, greeter: Greeter) -> Self {
        Self { config: Arc::new(RwLock::new(config)), greeter: Arc::new(greeter) }
    }

    /// Shows another certificate from the next connection on.
    pub fn set_config(&self, config: Arc<ServerConfig>) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// Does the TLS handshake and, for a link, the proofs.
    ///
    /// # Errors
    /// When the peer is too slow, or speaks something else.
    pub async fn accept(&self, tcp: TcpStream, address: SocketAddr) -> Result<Accepted, LinkError> {
        let limited = tokio::time::timeout(HANDSHAKE_LIMIT, self.shake_hands(tcp, address));
        limited.await.unwrap_or_else(|_| {
            Err(LinkError::PeerSilent {
                peer: address.to_string(),
                seconds: HANDSHAKE_LIMIT.as_secs(),
            })
        })
    }

    async fn shake_hands(
        &self,
        tcp: TcpStream,
        address: SocketAddr,
    ) -> Result<Accepted, LinkError> {
        let peer = address.to_string();
        let network = |error| LinkError::network(&peer, error);
        tcp.set_nodelay(true).map_err(network)?;
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut tls = TlsAcceptor::from(config).accept(Socket::new(tcp)).await.map_err(network)?;
        if tls.get_ref().1.alpn_protocol() != Some(ALPN_LINK) {
            return Ok(Accepted::Http(Box::new(tls)));
        }
        if tls.get_ref().1.protocol_version() != Some(rustls::ProtocolVersion::TLSv1_3) {
            return Err(LinkError::protocol(&peer, "a link needs TLS 1.3"));
        }
        let exporter = exporter(tls.get_ref().1, &peer)?;
        let hello = self.greeter.hello().seal(&self.greeter.key, &exporter);
        write_hello(&mut tls, &hello).await.map_err(network)?;
        let answer = read_hello(&mut tls).await.map_err(network)?;
        let (hello, key) = ClientHello::open(&answer, &exporter)
            .map_err(|source| LinkError::PeerIdentity { peer: peer.clone(), source })?;
        Ok(Accepted::Link(Box::new(LinkRequest { hello, key, address, tls })))
    }
}

impl Greeter {
    fn hello(&self) -> SiteHello {
        let (version_min, version_max) = session::LINK_VERSIONS;
        SiteHello {
            version_min,
            version_max,
            key: self.key.public().0,
            version: self.version.clone(),
            revision: self.revision,
            generation: self.generation,
        }
    }
}

impl LinkRequest {
    /// Lets the client in.
    ///
    /// # Errors
    /// When it is gone.
    pub async fn welcome(mut self, welcome: Welcome) -> Result<Link, LinkError> {
        if self.hello.version < session::LINK_VERSIONS.0
            || self.hello.version > session::LINK_VERSIONS.1
        {
            let text = format!("this site does not speak link version {}", self.hello.version);
            self.refuse(Refused::new(RefusedCode::Version, text.clone())).await;
            return Err(LinkError::protocol("the client", text));
        }
        self.say(&welcome.into()).await?;
        Ok(Link::start(tokio_rustls::TlsStream::Server(self.tls), Side::Site))
    }

    /// Sends the client away with a reason.
    pub async fn refuse(mut self, refused: Refused) {
        // It may be gone already; then it needs no reason.
        let _ = self.say(&refused.into()).await;
        let _ = self.tls.shutdown().await;
    }

    async fn say(&mut self, message: &Message) -> Result<(), LinkError> {
        let peer = self.address.to_string();
        let frame = session::encode_message(message);
        let said = async {
            self.tls.write_all(&frame).await?;
            self.tls.flush().await
        };
        match tokio::time::timeout(HANDSHAKE_LIMIT, said).await {
            Ok(said) => said.map_err(|error| LinkError::network(&peer, error)),
            Err(_) => Err(LinkError::PeerSilent { peer, seconds: HANDSHAKE_LIMIT.as_secs() }),
        }
    }
}

/// The value that both sides sign; another on every connection.
pub(crate) fn exporter<S>(
    tls: &rustls::ConnectionCommon<S>,
    peer: &str,
) -> Result<[u8; 32], LinkError> {
    tls.export_keying_material([0; 32], EXPORTER_LABEL, None)
        .map_err(|error| LinkError::protocol(peer, error.to_string()))
}

pub(crate) async fn write_hello<S>(tls: &mut S, hello: &[u8]) -> std::io::Result<()>
where
    S: AsyncWriteExt + Unpin,
{
    let len = u16::try_from(hello.len()).map_err(|_| std::io::ErrorKind::InvalidInput)?;
    tls.write_all(&[&len.to_be_bytes(), hello].concat()).await?;
    tls.flush().await
}

pub(crate) async fn read_hello<S: AsyncReadExt + Unpin>(tls: &mut S) -> std::io::Result<Vec<u8>> {
    let len = usize::from(tls.read_u16().await?);
    if len > HELLO_MAX {
        return Err(std::io::Error::new(
            std::io::ErrorKind::InvalidData,
            format!("a hello of {len} bytes; at most {HELLO_MAX} are allowed"),
        ));
    }
    let mut hello = vec![0; len];
    tls.read_exact(&mut hello).await?;
    Ok(hello)
}
