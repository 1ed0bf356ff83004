//! The log of installs: what happened, in words, for as long as the appliance lives.

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
    /// What the attempt is about, such as `site 1.1.0 (rev 2)`.
    #[serde(default)]
    pub subject: String,
    /// The installer's state.
    pub phase: String,
    /// How much it weighs.
    pub level: Level,
    /// What happened.
    pub text: String,
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
        entries.drain(..entries.len().saturating_sub(SHOWN_MAX));
        let last = entries.last().map_or(0, |entry| entry.n);
        Ok(Self {
            paths: paths.clone(),
            entries: Mutex::new(entries),
            last: watch::Sender::new(last),
        })
    }

    /// Adds an entry, whose `n` is given here; answers it and which one it is of its attempt, from 1.
    pub fn add(&self, mut entry: Entry) -> (u32, Entry) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entry.n = entries.last().map_or(0, |last| last.n) + 1;
        match entry.level {
            Level::Info => tracing::info!(phase = entry.phase, "{}", entry.text),
            Level::Warning => tracing::warn!(phase = entry.phase, "{}", entry.text),
            Level::Error => tracing::error!(phase = entry.phase, "{}", entry.text),
        }
        let line = serde_json::to_string(&entry).unwrap_or_default() + "\n";
        if let Err(error) = append(&self.paths, line.as_bytes()) {
            tracing::error!(%error, "Log of installs cannot be written");
        }
        let step = entries.iter().filter(|known| known.attempt == entry.attempt).count() + 1;
        entries.push(entry.clone());
        if entries.len() > SHOWN_MAX {
            entries.remove(0);
        }
        drop(entries);
        self.last.send_replace(entry.n);
        (u32::try_from(step).unwrap_or(u32::MAX), entry)
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

fn append(paths: &Paths, bytes: &[u8]) -> std::io::Result<()> {
    let mut file =
        std::fs::OpenOptions::new().append(true).create(true).open(paths.install_log())?;
    file.write_all(bytes)
}
