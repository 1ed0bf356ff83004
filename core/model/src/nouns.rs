use std::fmt;

use serde::{Deserialize, Serialize};

/// What a package carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PackageKind {
    /// The base software.
    Base,
    /// The site software.
    Site,
    /// Seats, hostname and expiry; no software.
    License,
    /// A kind that a later release knows.
    #[serde(other)]
    Unknown,
}

impl fmt::Display for PackageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Base => "base",
            Self::Site => "site",
            Self::License => "license",
            Self::Unknown => "unknown",
        })
    }
}

/// Number of a running process of the site, counted by the base from 1; a higher one is newer.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The part of one end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The site: the end that accepts.
    Site,
    /// An agent.
    Agent,
    /// An access console.
    Console,
}

/// What a session does on the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionKind {
    /// A shell on a terminal.
    Shell,
    /// One command, its output and its exit status.
    Command,
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionState {
    /// Asked for; the agent has not answered yet.
    Opening,
    /// Bytes can flow.
    Live,
    /// Over.
    Ended,
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionOutcome {
    /// The remote process exited with this status.
    Exited(u8),
    /// A signal ended the remote process.
    Signalled(u8),
    /// The operator ended the session.
    Closed,
    /// The session could not start or go on, with the reason.
    Failed(String),
}

/// How a Jump Client stands, as a person tells it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientState {
    /// Enrolled, and has never connected.
    NeverConnected,
    /// Holds a link now, or (passive) checked in lately.
    Online,
    /// Has no link now.
    Offline,
    /// Has no link for so long that it is not expected back.
    Lost,
    /// Its user switched it off.
    Disabled,
    /// Taken off its endpoint.
    Uninstalled,
    /// Older than the site and waiting for its turn.
    UpgradePending,
    /// Fetching or switching to the site's version.
    Upgrading,
    /// Its last try at an upgrade failed.
    UpgradeFailed,
}
