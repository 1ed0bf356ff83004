//! Where bytes come from.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;

use bytes::Bytes;
use futures_util::stream::BoxStream;

/// One file of a repository. The text is a percent-encoded path, ready for a URL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// Below the address of all metadata: `2.root.json`.
    Metadata(String),
    /// Below the address of all targets: `base/<sha256>.base-1.1.0-r2-x86_64.pkg`.
    Target(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Metadata(path) => write!(f, "metadata {path}"),
            Self::Target(path) => write!(f, "target {path}"),
        }
    }
}

/// The bytes of a file, as they come.
pub struct Body {
    /// The offset in the file of the first byte that comes: the one that was asked for, or 0
    /// when the other side always begins at the beginning.
    pub from: u64,
    /// The bytes. Nothing here limits their number or waits only so long; the client does.
    pub bytes: BoxStream<'static, Result<Bytes, FetchError>>,
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("from", &self.from).finish_non_exhaustive()
    }
}

/// Why bytes do not come.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The repository answered, and has no such file.
    #[error("the repository has no such file")]
    Missing,
    /// The repository cannot be reached, or broke off.
    #[error("the repository cannot be read")]
    Broken(#[source] Box<dyn StdError + Send + Sync>),
    /// Too few bytes came for too long.
    #[error("fewer than {bytes} bytes came within {seconds} s")]
    Stalled {
        /// How many bytes were expected in that time.
        bytes: u64,
        /// The time in seconds.
        seconds: f64,
    },
}

impl FetchError {
    /// Broken for a reason in words.
    pub fn broken(reason: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Broken(reason.into())
    }
}

/// A repository, reached in some way.
///
/// Nothing that it says is believed before the metadata says so too.
pub trait Repository: Send + Sync {
    /// Opens a file at an offset in bytes.
    ///
    /// # Errors
    /// [`FetchError::Missing`] only when the other side said that there is no such file: a
    /// refresh takes it as the end of the chain of roots.
    fn open(
        &self,
        place: &Place,
        from: u64,
    ) -> impl Future<Output = Result<Body, FetchError>> + Send;
}
