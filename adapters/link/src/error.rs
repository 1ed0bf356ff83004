use std::io;

use session::mux::STREAMS_MAX;
use session::{FrameError, HelloError, Refused, RefusedCode};

/// Why a link could not be made or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The network failed: try again.
    #[error("the connection to {peer} failed: {source}")]
    Network {
        /// Whom it concerns.
        peer: String,
        /// What the system said.
        source: io::Error,
    },
    /// The peer does not speak a link, or not ours.
    #[error("{peer} does not speak a Sluis link: {reason}")]
    PeerProtocol {
        /// Whom it concerns.
        peer: String,
        /// What was wrong.
        reason: String,
    },
    /// The peer could not prove who it is.
    #[error("{peer}: {source}")]
    PeerIdentity {
        /// Whom it concerns.
        peer: String,
        /// What was wrong.
        source: HelloError,
    },
    /// The peer sent a frame that cannot be.
    #[error(transparent)]
    PeerFrame(#[from] FrameError),
    /// The site said no.
    #[error("{}", .0.text)]
    Refused(Refused),
    /// The peer said nothing for too long.
    #[error("{peer} did not answer within {seconds} s")]
    PeerSilent {
        /// Whom it concerns.
        peer: String,
        /// How long we waited.
        seconds: u64,
    },
    /// As many streams are open on the link as there may be.
    #[error(
        "{STREAMS_MAX} streams are open on this link, and no more are allowed; end a session first"
    )]
    Full,
    /// The link is closed.
    #[error("the link is closed")]
    Closed,
}

impl LinkError {
    pub(crate) fn network(peer: &str, source: io::Error) -> Self {
        Self::Network { peer: peer.to_owned(), source }
    }

    pub(crate) fn protocol(peer: &str, reason: impl Into<String>) -> Self {
        Self::PeerProtocol { peer: peer.to_owned(), reason: reason.into() }
    }

    /// Whether the site has proven who it is and does not know this client, or not any more.
    pub const fn is_not_enrolled(&self) -> bool {
        matches!(self, Self::Refused(refused) if matches!(refused.reason(), RefusedCode::NotEnrolled))
    }

    /// Whether dialling again can help without anybody changing anything.
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Network { .. } | Self::PeerSilent { .. } | Self::Closed)
    }
}
