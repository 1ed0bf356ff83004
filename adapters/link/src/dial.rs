//! The client's side: agents and consoles dial, and dial again.

use std::sync::Arc;
use std::time::Duration;

use model::PublicKey;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use session::mux::Side;
use session::{ClientHello, Frame, Message, SigningKey, SiteHello, Welcome};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::accept::{exporter, read_hello, write_hello};
use crate::{Link, LinkError, Socket};

/// From dialling to the site's welcome.
const DIAL_LIMIT: Duration = Duration::from_secs(15);

/// Which kind of client dials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientKind {
    /// An agent that stays.
    Agent,
    /// An agent that only checks in.
    PassiveAgent,
    /// An access console.
    Console,
}

/// Everything needed to dial a site, again and again.
#[derive(Clone)]
pub struct Dialer {
    /// Host and port.
    pub address: String,
    /// Who dials.
    pub kind: ClientKind,
    /// The client's identity.
    pub key: Arc<SigningKey>,
    /// The identities that the site may have; empty accepts any, for the caller to pin.
    pub pinned: Vec<PublicKey>,
    /// What the client calls itself.
    pub name: String,
    /// Version of the client's software.
    pub software: String,
    /// Revision of the client's software.
    pub revision: u32,
    /// An enrolment token, for an agent's first connection.
    pub token: Option<String>,
    /// Kept over reconnects, so that TLS can resume.
    pub tls: Arc<ClientConfig>,
}

/// A link and who is at its other end.
pub struct Dialed {
    /// The link.
    pub link: Link,
    /// What the site says of itself.
    pub site: SiteHello,
    /// The site's identity, proven.
    pub site_key: PublicKey,
    /// Who we are to the site.
    pub welcome: Welcome,
}

impl Dialer {
    /// Dials once.
    ///
    /// # Errors
    /// [`LinkError::is_passing`] tells whether to try again.
    pub async fn dial(&self) -> Result<Dialed, LinkError> {
        let limited = tokio::time::timeout(DIAL_LIMIT, self.dial_unlimited());
        limited.await.unwrap_or_else(|_| {
            let peer = self.address.clone();
            Err(LinkError::PeerSilent { peer, seconds: DIAL_LIMIT.as_secs() })
        })
    }

    async fn dial_unlimited(&self) -> Result<Dialed, LinkError> {
        let network = |error| LinkError::network(&self.address, error);
        let tcp = TcpStream::connect(&self.address).await.map_err(network)?;
        tcp.set_nodelay(true).map_err(network)?;
        let name = self.server_name();
        let mut tls = TlsConnector::from(self.tls.clone())
            .connect(name, Socket::new(tcp))
            .await
            .map_err(network)?;
        if tls.get_ref().1.alpn_protocol() != Some(crate::ALPN_LINK) {
            return Err(LinkError::protocol(&self.address, "it did not agree to ALPN sluis/1"));
        }
        let exporter = exporter(tls.get_ref().1, &self.address)?;
        let hello = read_hello(&mut tls).await.map_err(network)?;
        let (site, site_key) = SiteHello::open(&hello, &exporter, &self.pinned)
            .map_err(|source| self.identity(source))?;
        let version = session::choose_version(&site).map_err(|source| self.identity(source))?;
        let own = self.hello(version).seal(&self.key, &exporter);
        write_hello(&mut tls, &own).await.map_err(network)?;
        let welcome = self.read_welcome(&mut tls).await?;
        let link = Link::start(tokio_rustls::TlsStream::Client(tls), Side::Client);
        Ok(Dialed { link, site, site_key, welcome })
    }

    fn identity(&self, source: session::HelloError) -> LinkError {
        LinkError::PeerIdentity { peer: self.address.clone(), source }
    }

    fn hello(&self, version: u16) -> ClientHello {
        ClientHello {
            version,
            role: if self.kind == ClientKind::Console { 2 } else { 1 },
            key: self.key.public().0,
            name: self.name.clone(),
            software: self.software.clone(),
            revision: self.revision,
            platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
            token: self.token.clone(),
            passive: (self.kind == ClientKind::PassiveAgent).then_some(true),
        }
    }

    /// The name for SNI: the host part; a site with several certificates picks by it.
    fn server_name(&self) -> ServerName<'static> {
        let host = self.address.rsplit_once(':').map_or(self.address.as_str(), |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        ServerName::try_from(host)
            .unwrap_or_else(|_| ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()))
    }

    async fn read_welcome(&self, tls: &mut TlsStream<Socket>) -> Result<Welcome, LinkError> {
        let network = |error| LinkError::network(&self.address, error);
        let mut header = [0; session::HEADER_LEN];
        tls.read_exact(&mut header).await.map_err(network)?;
        let len = session::frame_len(&header)?.unwrap_or(session::HEADER_LEN);
        let mut frame = vec![0; len];
        frame[..header.len()].copy_from_slice(&header);
        tls.read_exact(&mut frame[header.len()..]).await.map_err(network)?;
        match session::parse(frame.into())? {
            Frame::Message(Message::Welcome(welcome)) => Ok(welcome),
            Frame::Message(Message::Refused(refused)) => Err(LinkError::Refused(refused)),
            _ => Err(LinkError::protocol(&self.address, "neither a welcome nor a refusal came")),
        }
    }
}
