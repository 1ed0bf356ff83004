//! What the update server last said, kept over restarts so that the page can show it.

use std::sync::{Mutex, PoisonError};

use host::{RealFs, load_json, save_json};
use model::Timestamp;
use release::plan::{Card, Step};
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

/// The last answer of a running base.
pub struct LastCheck {
    paths: Paths,
    checked: Mutex<Checked>,
}

impl LastCheck {
    pub fn open(paths: &Paths) -> Self {
        // It can be asked for again.
        let checked = load_json(&RealFs, &paths.last_check()).ok().flatten().unwrap_or_default();
        Self { paths: paths.clone(), checked: Mutex::new(checked) }
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
