//! What can be wrong, by whose fault it is.

use model::Timestamp;

use crate::canonical::NotCanonical;
use crate::schema::RoleType;

/// Why the client goes no further; what it trusts stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The repository's metadata cannot be believed: its publisher, its mirror or the way
    /// there is at fault.
    #[error("the {role} metadata of the repository is refused: {reason}")]
    Repository {
        /// The role whose metadata it is.
        role: String,
        /// Why.
        reason: Reason,
    },
    /// The trusted metadata on this machine is damaged, or was never there.
    #[error("the trusted {role} metadata on this machine is refused: {reason}")]
    Stored {
        /// The role whose metadata it is.
        role: String,
        /// Why.
        reason: Reason,
    },
    /// A target cannot be used.
    #[error("the target “{name}” is refused: {reason}")]
    Target {
        /// Its name.
        name: String,
        /// Why.
        reason: TargetReason,
    },
    /// The caller gave metadata that was not asked for: a bug of the caller.
    #[error("no metadata was asked for")]
    NotAsked,
}

impl Error {
    pub(crate) fn repository(role: impl Into<String>) -> impl FnOnce(Reason) -> Self {
        let role = role.into();
        move |reason| Self::Repository { role, reason }
    }

    pub(crate) fn stored(role: impl Into<String>) -> impl FnOnce(Reason) -> Self {
        let role = role.into();
        move |reason| Self::Stored { role, reason }
    }

    pub(crate) fn target(name: &str, reason: TargetReason) -> Self {
        Self::Target { name: name.to_owned(), reason }
    }

    /// The way out, for a person.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Repository { reason: Reason::Expired { .. }, .. } => {
                "Check this machine's clock. If it is right, the publisher must sign again, or a \
                 stale mirror is in the way; what is installed goes on running."
            }
            Self::Repository { reason: Reason::Missing, .. } => {
                "Check the address of the repository; a mirror may be incomplete."
            }
            Self::Repository { reason: Reason::TooManyRoots { .. }, .. } => "Refresh again.",
            Self::Repository { .. } => {
                "Try another mirror. If this goes on, tell the publisher: somebody may be \
                 changing the repository."
            }
            Self::Stored { .. } => {
                "Remove the directory of trusted metadata and start again from a root that you \
                 got in a way that you trust."
            }
            Self::Target { reason: TargetReason::Unknown, .. } => {
                "Check the name; the publisher may have withdrawn it."
            }
            Self::Target { .. } => "Download it again, from another mirror if there is one.",
            Self::NotAsked => "Report this as a bug.",
        }
    }
}

/// Why metadata is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// There is none.
    #[error("there is none")]
    Missing,
    /// It is longer than it may be.
    #[error("it is longer than {max} bytes")]
    TooLong {
        /// The limit in bytes.
        max: u64,
    },
    /// It is not metadata as the specification describes it.
    #[error("it cannot be read: {0}")]
    Malformed(String),
    /// It is metadata of another type.
    #[error("its type is “{found}”, not {expected}")]
    WrongType {
        /// What was asked for.
        expected: RoleType,
        /// What came.
        found: String,
    },
    /// It follows a specification that this release does not know.
    #[error("it follows version “{0}” of the specification, not 1")]
    SpecVersion(String),
    /// Too few of the right keys signed it.
    #[error("{valid} of its keys signed it, {needed} are needed")]
    Signatures {
        /// How many different keys signed.
        valid: usize,
        /// How many must.
        needed: u32,
    },
    /// It is older than what was already trusted.
    #[error("it says version {offered} of {file}, but {trusted} was seen before")]
    Rollback {
        /// The file that would go back.
        file: String,
        /// The version that was trusted.
        trusted: u64,
        /// The version that came.
        offered: u64,
    },
    /// It is not the version that the metadata above it names.
    #[error("its version is {offered}, not {expected}")]
    WrongVersion {
        /// The version that it must have.
        expected: u64,
        /// The version that came.
        offered: u64,
    },
    /// Its time is over.
    #[error("it expired at {expired}, and it is {now}")]
    Expired {
        /// From when on it must not be believed.
        expired: Timestamp,
        /// The moment that counted as now.
        now: Timestamp,
    },
    /// It has not the length that the metadata above it names.
    #[error("it has {actual} bytes, not {expected}")]
    Length {
        /// The length that it must have.
        expected: u64,
        /// The length that came.
        actual: u64,
    },
    /// It has not the hash that the metadata above it names.
    #[error("its {algorithm} differs from the one that was signed")]
    Hash {
        /// The algorithm.
        algorithm: String,
    },
    /// The metadata above it names hashes, but none that this release can check.
    #[error("it is described by hashes that are not known here")]
    UnknownHash,
    /// The snapshot does not name it.
    #[error("the snapshot does not name it")]
    NotInSnapshot,
    /// The snapshot no longer names a file that it named before.
    #[error("it no longer names {0}")]
    Vanished(String),
    /// There are more new roots than are followed at once.
    #[error("there are more than {limit} new roots")]
    TooManyRoots {
        /// The limit.
        limit: u32,
    },
}

impl From<NotCanonical> for Reason {
    fn from(error: NotCanonical) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// Why a target is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetReason {
    /// No role that may speak for the name names it.
    #[error("no role names it")]
    Unknown,
    /// The search stopped at its limit.
    #[error("it was not found within {limit} delegated roles")]
    TooManyRoles {
        /// The limit.
        limit: u32,
    },
    /// The name cannot be a path below a directory or an address.
    #[error("its name has an empty part or one of dots")]
    BadName,
    /// The metadata has no usable SHA-256 for it.
    #[error("its metadata has no SHA-256")]
    NoSha256,
    /// The bytes are more or fewer than were signed.
    #[error("it has {actual} bytes, not {expected}")]
    Length {
        /// The length that was signed.
        expected: u64,
        /// The length that came.
        actual: u64,
    },
    /// The bytes are not those that were signed.
    #[error("its SHA-256 differs from the one that was signed")]
    Hash,
}
