//! A link: one TLS 1.3 connection between a client (agent or console) and a site, with an identity
//! proof of both sides inside it and many streams on it.
//!
//! Agents and consoles [`Dialer::dial`]; the site's [`Acceptor`] answers and tells links from
//! browsers by ALPN. What the frames mean is `core/session`'s business; who may do what is the
//! site's. `docs/concepts/link.md` describes the wire.

mod accept;
mod backoff;
mod connection;
mod dial;
mod error;
mod keeper;
mod keys;
mod link;
mod socket;
mod stream;
mod tls;

pub use accept::{Accepted, Acceptor, Greeter, LinkRequest};
pub use backoff::Backoff;
pub use dial::{ClientKind, Dialed, Dialer};
pub use error::LinkError;
pub use keeper::{Current, Event, Keeper, newer_link};
pub use keys::{KeyFileError, fresh_id_bytes, load_or_create_key};
pub use link::{Link, LinkHandle};
pub use socket::Socket;
pub use stream::{RawStream, Reader, Received, Stream, Writer};
pub use tls::{ALPN_LINK, TlsError, client_config, install_crypto, server_config};
