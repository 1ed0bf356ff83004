//! What is known of a Jump Client, and how it stands.

use std::time::Duration;

use model::{AgentId, ClientState, Generation, PublicKey, Release, Timestamp};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::convert::{at, from_word, generation, key, release};
use crate::entity::agent;

/// After how long without a sign of life a Jump Client counts as lost.
pub const LOST_AFTER: Duration = Duration::from_hours(30 * 24);
/// How long after its last check-in a passive Jump Client still counts as online: it checks in at
/// least once a day, and gets an hour of grace.
pub const PASSIVE_CHECK_IN: Duration = Duration::from_hours(25);

/// An upgrade of which nothing was written down for so long is not under way any more: the site that
/// would have noted its end was restarted.
const UPGRADE_SILENCE: Duration = Duration::from_mins(30);

/// How a Jump Client keeps in touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AgentMode {
    /// It holds a link.
    Active,
    /// It only checks in.
    Passive,
}

/// How far a Jump Client's upgrade is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UpgradeStage {
    /// Waiting for its turn.
    Pending,
    /// Fetching or switching.
    Running,
    /// The last try failed.
    Failed,
}

/// What is known of a Jump Client's upgrade.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    /// How far it is.
    pub stage: UpgradeStage,
    /// Progress or reason, in ready words.
    pub text: String,
    /// Since when.
    pub at: Timestamp,
}

/// A Jump Client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Its id.
    pub id: AgentId,
    /// Its identity.
    pub key: PublicKey,
    /// What people call it; no other one has this name.
    pub name: String,
    /// The group it is in.
    pub group: String,
    /// The operating system, as it reports it.
    pub os: String,
    /// The processor architecture, as it reports it.
    pub arch: String,
    /// How it keeps in touch.
    pub mode: AgentMode,
    /// The software it runs.
    pub release: Release,
    /// When it enrolled.
    pub created: Timestamp,
    /// When it last connected or was connected.
    pub last_seen: Option<Timestamp>,
    /// The generation that holds its link.
    pub generation: Option<Generation>,
    /// Whether its user switched it off.
    pub disabled: bool,
    /// When it was taken off its endpoint.
    pub uninstalled: Option<Timestamp>,
    /// Its upgrade, while there is something to say about it.
    pub upgrade: Option<Upgrade>,
}

impl Agent {
    /// How it stands, when it ought to run `wanted`.
    pub fn state(&self, wanted: Option<&Release>, now: Timestamp) -> ClientState {
        if self.uninstalled.is_some() {
            return ClientState::Uninstalled;
        }
        if self.disabled {
            return ClientState::Disabled;
        }
        let Some(seen) = self.last_seen else { return ClientState::NeverConnected };
        // A newer one is as it should be: the site was rolled back, and neighbours fit each other.
        let older = wanted.is_some_and(|wanted| self.release < *wanted);
        match self.upgrade.as_ref().filter(|_| older) {
            Some(Upgrade { stage: UpgradeStage::Failed, .. }) => return ClientState::UpgradeFailed,
            Some(Upgrade { stage: UpgradeStage::Running, at, .. })
                if now.since(*at) < UPGRADE_SILENCE =>
            {
                return ClientState::Upgrading;
            }
            _ => {}
        }
        let absence = now.since(seen);
        let checked_in = self.mode == AgentMode::Passive && absence < PASSIVE_CHECK_IN;
        if self.generation.is_none() && !checked_in {
            return if absence < LOST_AFTER { ClientState::Offline } else { ClientState::Lost };
        }
        if older { ClientState::UpgradePending } else { ClientState::Online }
    }
}

impl TryFrom<agent::Model> for Agent {
    type Error = Error;

    fn try_from(row: agent::Model) -> Result<Self, Error> {
        let upgrade = match row.upgrade_stage {
            None => None,
            Some(stage) => Some(Upgrade {
                stage: from_word("agent", "upgrade_stage", &stage)?,
                text: row.upgrade_text.unwrap_or_default(),
                at: at(row.upgrade_at.unwrap_or_default()),
            }),
        };
        Ok(Self {
            id: AgentId(row.id),
            key: key("agent", &row.key)?,
            name: row.name,
            group: row.group_name,
            os: row.os,
            arch: row.arch,
            mode: from_word("agent", "mode", &row.mode)?,
            release: release("agent", &row.version, row.revision)?,
            created: at(row.created_at),
            last_seen: row.last_seen_at.map(at),
            generation: row.generation.map(generation),
            disabled: row.disabled,
            uninstalled: row.uninstalled_at.map(at),
            upgrade,
        })
    }
}
