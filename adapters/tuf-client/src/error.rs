//! What can go wrong, by whose fault it is.

use std::io;
use std::path::PathBuf;

use crate::repository::{FetchError, Place};
use crate::store::StoreError;

/// Why the client goes no further. What is trusted and what is installed stay as they were.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The metadata or the target is not to be believed; [`tuf::Error::remedy`] says what to do.
    #[error(transparent)]
    Refused(#[from] tuf::Error),
    /// Bytes do not come; trying again later may help.
    #[error("{place} cannot be fetched")]
    Fetch {
        /// The file.
        place: Place,
        /// Why.
        #[source]
        source: FetchError,
    },
    /// The trusted store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A downloaded file cannot be read or written.
    #[error("{} cannot be written or read", path.display())]
    Disk {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A search was asked for before any refresh succeeded: a bug of the caller.
    #[error("the metadata was not refreshed yet")]
    NotRefreshed,
}

impl Error {
    /// Whether trying again later, or another mirror, may help without anybody doing anything.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Fetch { .. })
    }

    /// The way out, for a person.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Refused(error) => error.remedy(),
            Self::Fetch { .. } => {
                "Check the address and the network; what came so far is kept for the next try."
            }
            Self::Store(error) => error.remedy(),
            Self::Disk { .. } => "Check the free space and the permissions of the directory.",
            Self::NotRefreshed => "Report this as a bug.",
        }
    }
}
