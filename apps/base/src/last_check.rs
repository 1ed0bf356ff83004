//! What the update server last said, kept over restarts so that the page can show it.

use std::sync::{Mutex, PoisonError};

use host::{RealFs, load_json, save_json};
use install::Ledger;
use model::Timestamp;
use release::plan::{Card, Status, Step};
use serde::{Deserialize, Serialize};

use crate::paths::Paths;

/// The last answer.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Checked {
    /// When it came.
    pub checked_at: Option<Timestamp>,
    /// Every package that may be installed or runs.
    pub packages: Vec<Card>,
    /// The way to the newest of everything.
    pub plan: Vec<Step>,
    /// The latest moment that something signed and verified spoke of.
    pub latest_signed: Timestamp,
    /// Why the last try brought nothing, if it did not.
    pub failed: Option<String>,
}

impl Checked {
    /// The answer as it stands after what was installed since it came.
    pub fn since(mut self, ledger: &Ledger) -> Self {
        let runs = |card: &Card| {
            ledger.installed.get(&card.kind).is_some_and(|package| package.sha256 == card.sha256)
        };
        let done: Vec<String> = self
            .packages
            .iter()
            .filter(|card| runs(card))
            .map(|card| card.target.clone())
            .collect();
        let left = |step: &Step| !done.contains(&step.target);
        self.plan.retain(left);
        for card in &mut self.packages {
            let waited = card.way.len() > 1;
            card.way.retain(left);
            if done.contains(&card.target) {
                card.status = Status::Installed;
            } else if waited && card.way.len() == 1 {
                // What it waited for runs; whether it may be installed is asked anew before it is.
                card.status = Status::Installable;
            } else {
                continue;
            }
            (card.blocked, card.way) = (None, vec![]);
        }
        self
    }
}

/// The last answer of a running base.
pub struct LastCheck {
    paths: Paths,
    checked: Mutex<Checked>,
    /// Held by whoever asks the update server: two at once would write one trusted store.
    pub asking: tokio::sync::Mutex<()>,
}

impl LastCheck {
    pub fn open(paths: &Paths) -> Self {
        // It can be asked for again.
        let checked = load_json(&RealFs, &paths.last_check()).ok().flatten().unwrap_or_default();
        Self {
            paths: paths.clone(),
            checked: Mutex::new(checked),
            asking: tokio::sync::Mutex::default(),
        }
    }

    pub fn get(&self) -> Checked {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn latest_signed(&self) -> Timestamp {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner).latest_signed
    }

    /// Keeps an answer, or why there is none.
    pub fn change(&self, change: impl FnOnce(&mut Checked)) {
        let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut checked);
        if let Err(error) = save_json(&RealFs, &self.paths.last_check(), &*checked) {
            tracing::warn!(%error, "Answer of the update server cannot be saved");
        }
    }
}
