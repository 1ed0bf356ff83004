use std::collections::HashMap;

use futures_util::future::BoxFuture;
use model::{AgentId, OperatorId, PublicKey, Release, SessionId, Timestamp};

/// How much this generation carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Jump Clients with a link.
    pub agents: usize,
    /// Consoles with a link.
    pub consoles: usize,
    /// Sessions that have not ended.
    pub sessions: usize,
}

/// What the upgrade queue says about a Jump Client.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpgradeView {
    /// Its place in the queue, from 1, and how many wait in all.
    pub position: Option<(usize, usize)>,
    /// How far its upgrade is, in words; may be empty.
    pub progress: String,
    /// When an upgrade that failed is tried again by itself.
    pub next_try: Option<Timestamp>,
}

/// What pages and API ask of the links and sessions of this generation.
///
/// What outlives a generation — who is connected to whom, what ran — is in the store.
pub trait Hub: Send + Sync {
    /// How much this generation carries.
    fn counts(&self) -> Counts;

    /// What a Jump Client ought to run; `None` when this package brings none for it.
    fn wanted_release(&self) -> Option<Release>;

    /// What the upgrade queue says about the Jump Clients that are in it.
    fn upgrades(&self) -> HashMap<AgentId, UpgradeView>;

    /// Ends a session for the operator named; false when it is not here.
    fn end_session(&self, session: SessionId, by: String) -> BoxFuture<'_, bool>;

    /// A Jump Client was removed: its key opens nothing any more, and its link ends.
    fn agent_removed(&self, agent: AgentId);

    /// An account was disabled: the links of its consoles end.
    fn operator_disabled(&self, operator: OperatorId);

    /// A console was withdrawn: its link ends.
    fn console_revoked(&self, key: PublicKey);
}
