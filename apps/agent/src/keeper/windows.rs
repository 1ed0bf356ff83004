//! Windows has no keeper yet: the agent serves in the process that was started, and does not update itself.

use model::Release;
use tokio::sync::watch;

use super::ledger::Failure;

/// What the keeper, or whoever spoke to it, wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Check in with the site now.
    CheckIn,
    /// End.
    Stop,
}

/// How the serving process stands, for `sluis-agent status`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServeStatus {
    /// Whether there is a link to the site now.
    pub connected: bool,
    /// Sessions that run.
    pub sessions: u32,
    /// In words.
    pub text: String,
}

/// The keeper, seen from the serving process: there is none.
#[derive(Debug, Clone)]
pub struct KeeperHandle;

impl KeeperHandle {
    /// No keeper.
    pub const fn alone() -> Self {
        Self
    }

    /// No keeper.
    pub async fn connect(_: &Release) -> std::io::Result<Self> {
        Ok(Self)
    }

    /// Nobody has to know.
    pub async fn proven(&self) {}

    /// Nobody has to know.
    pub async fn unfit(&self, _: &str) {}

    /// Nobody wants anything, ever.
    pub async fn command(&self) -> Command {
        std::future::pending().await
    }

    /// No version fails here.
    pub fn failure(&self) -> watch::Receiver<Option<Failure>> {
        watch::channel(None).1
    }

    /// Nothing to do.
    pub async fn told(&self) {}

    /// Nothing to do.
    pub async fn forget(&self, _: &str) {}

    /// Nothing to do.
    pub async fn set_status(&self, _: ServeStatus) {}
}
