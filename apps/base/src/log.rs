//! The log of installs: what happened, in words, for as long as the appliance lives.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use model::{AttemptId, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::paths::Paths;

/// Entries that are kept in memory and shown; the file keeps all.
const SHOWN_MAX: usize = 5000;

/// How much an entry weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Info,
    /// Somebody should know.
    Warning,
    /// It went wrong.
    Error,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// One more than that of the entry before.
    pub n: u64,
    /// When.
    pub at: Timestamp,
    /// The attempt; none for what happens outside of one.
    pub attempt: Option<AttemptId>,
    /// Which entry of its attempt it is, from 1; 0 in what releases before this one wrote, until it is read.
    #[serde(default)]
    pub step: u32,
    /// What the attempt is about, such as `site 1.1.0 (rev 2)`.
    #[serde(default)]
    pub subject: String,
    /// The installer's state.
    pub phase: String,
    /// How much it weighs.
    pub level: Level,
    /// What happened.
    pub text: String,
    /// The longest that a session stood still by it, in milliseconds, where that was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stall_ms: Option<u64>,
}

/// The log of a running base.
pub struct InstallLog {
    paths: Paths,
    entries: Mutex<Vec<Entry>>,
    last: watch::Sender<u64>,
}

impl InstallLog {
    pub fn open(paths: &Paths) -> anyhow::Result<Self> {
        let text = match std::fs::read(paths.install_log()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => vec![],
            other => other?,
        };
        // A line that a crash cut off is no entry.
        let lines = text.split(|byte| *byte == b'\n');
        let mut entries: Vec<Entry> =
            lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
        if text.last().is_some_and(|last| *last != b'\n') {
            append(paths, b"\n")?;
        }
        number(&mut entries);
        entries.drain(..entries.len().saturating_sub(SHOWN_MAX));
        let last = entries.last().map_or(0, |entry| entry.n);
        Ok(Self {
            paths: paths.clone(),
            entries: Mutex::new(entries),
            last: watch::Sender::new(last),
        })
    }

    /// Adds an entry; its `n` and its `step` are given here.
    pub fn add(&self, mut entry: Entry) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entry.n = entries.last().map_or(0, |last| last.n) + 1;
        entry.step = entries
            .iter()
            .rev()
            .find(|known| known.attempt == entry.attempt)
            .map_or(1, |known| known.step.saturating_add(1));
        match entry.level {
            Level::Info => tracing::info!(phase = entry.phase, "{}", entry.text),
            Level::Warning => tracing::warn!(phase = entry.phase, "{}", entry.text),
            Level::Error => tracing::error!(phase = entry.phase, "{}", entry.text),
        }
        let line = serde_json::to_string(&entry).unwrap_or_default() + "\n";
        if let Err(error) = append(&self.paths, line.as_bytes()) {
            tracing::error!(%error, "Log of installs cannot be written");
        }
        let n = entry.n;
        entries.push(entry);
        if entries.len() > SHOWN_MAX {
            entries.remove(0);
        }
        drop(entries);
        self.last.send_replace(n);
    }

    /// The number of the last entry; 0 while there is none.
    pub fn last(&self) -> u64 {
        *self.last.borrow()
    }

    /// The number of the entry before the first one of the last attempt.
    pub fn before_last_attempt(&self) -> u64 {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let last = entries.iter().rev().find_map(|entry| entry.attempt);
        let first = entries.iter().find(|entry| entry.attempt.is_some() && entry.attempt == last);
        first.map_or(0, |entry| entry.n - 1)
    }

    /// The entries after that one.
    pub fn after(&self, n: u64) -> Vec<Entry> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().filter(|entry| entry.n > n).cloned().collect()
    }

    /// Hears of new entries.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }
}

/// Gives entries of earlier releases their number within their attempt.
fn number(entries: &mut [Entry]) {
    let mut counts: HashMap<Option<AttemptId>, u32> = HashMap::new();
    for entry in entries {
        let count = counts.entry(entry.attempt).or_default();
        *count = if entry.step == 0 { *count + 1 } else { entry.step };
        entry.step = *count;
    }
}

/// On stable storage when it returns: what the update server was told up to is counted by these entries.
fn append(paths: &Paths, bytes: &[u8]) -> std::io::Result<()> {
    let mut file =
        std::fs::OpenOptions::new().append(true).create(true).open(paths.install_log())?;
    file.write_all(bytes)?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(attempt: u8) -> Entry {
        let attempt = (attempt > 0).then(|| AttemptId::from_bytes([attempt; 16]));
        let (phase, text) = ("planned".to_owned(), String::new());
        Entry {
            n: 0,
            at: Timestamp(1),
            attempt,
            step: 0,
            subject: String::new(),
            phase,
            level: Level::Info,
            text,
            stall_ms: None,
        }
    }

    #[test]
    fn each_entry_keeps_its_number_within_its_attempt_over_restarts() {
        let dir = tempfile::tempdir().expect("a folder");
        let paths = Paths { data: dir.path().to_owned() };
        // What a release before this one wrote has no number.
        let old = serde_json::json!({ "n": 1, "at": 1, "attempt": AttemptId::from_bytes([1; 16]), "phase": "planned", "level": "info", "text": "" });
        std::fs::write(paths.install_log(), format!("{old}\n")).expect("a log");
        for attempt in [1, 2, 0, 2, 1] {
            // A restart before every entry.
            InstallLog::open(&paths).expect("a log").add(entry(attempt));
        }
        let log = InstallLog::open(&paths).expect("a log");
        let steps: Vec<_> = log.after(0).iter().map(|entry| (entry.n, entry.step)).collect();
        assert_eq!(steps, [(1, 1), (2, 2), (3, 1), (4, 1), (5, 2), (6, 3)]);
        assert_eq!((log.last(), log.before_last_attempt()), (6, 0));
    }
}
