//! What the keeper remembers: `state` in the data folder.

use std::io;
use std::path::{Path, PathBuf};

use model::{Release, Timestamp};
use serde::{Deserialize, Serialize};

use crate::os;
use crate::update::slots::{Installed, Slot, Slots};

/// Versions that are remembered as bad; the oldest is forgotten first.
const BAD_MAX: usize = 32;

/// The durable state. It is replaced as a whole, so a crash leaves the old or the new one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// The slot whose version is proven.
    pub current: Slot,
    /// What the current slot holds.
    pub installed: Installed,
    /// What the other slot holds, if anything.
    #[serde(default)]
    pub other: Option<Installed>,
    /// A version in the other slot that still has to prove itself.
    #[serde(default)]
    pub trial: Option<Trial>,
    /// Versions that failed here and are not tried again until told.
    #[serde(default)]
    pub bad: Vec<Failure>,
    /// A version that did not reach the site; it is bad if the one before reaches it.
    #[serde(default)]
    pub suspect: Option<Failure>,
    /// The last failure, until the site has been told.
    #[serde(default)]
    pub untold: Option<Failure>,
}

/// A version on trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// What is on trial in the other slot.
    pub installed: Installed,
    /// How often it was started: more than once only when the machine went down meanwhile.
    pub starts: u32,
}

/// A version that was put back, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The release.
    pub release: Release,
    /// Its program's SHA-256 in hexadecimal digits.
    pub sha256: String,
    /// Why, for people.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// Whether it is pinned as bad; otherwise it may be offered again.
    pub pinned: bool,
}

impl Ledger {
    /// The ledger of a data folder where only `slot` holds something.
    pub fn new(slot: Slot, installed: Installed) -> Self {
        Self {
            current: slot,
            installed,
            other: None,
            trial: None,
            bad: Vec::new(),
            suspect: None,
            untold: None,
        }
    }

    /// Reads the ledger; when it is damaged, starts a new one from what the slots hold.
    pub fn load(data: &Path) -> io::Result<Self> {
        let path = path(data);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Self::rebuild(data),
            Err(e) => return Err(e),
        };
        match serde_json::from_slice(&text) {
            Ok(ledger) => Ok(ledger),
            Err(error) => {
                let aside = data.join("state.damaged");
                tracing::error!(%error, kept = %aside.display(), "State file is damaged, rebuilding it");
                std::fs::rename(&path, aside)?;
                Self::rebuild(data)
            }
        }
    }

    /// From the slots alone; from this program when no slot holds anything whole.
    fn rebuild(data: &Path) -> io::Result<Self> {
        let slots = Slots::new(data);
        let whole = |slot| {
            let installed = slots.installed(slot)?;
            slots.check(slot, &installed).is_ok().then_some(installed)
        };
        for slot in [Slot::A, Slot::B] {
            if let Some(installed) = whole(slot) {
                let mut ledger = Self::new(slot, installed);
                ledger.other = whole(slot.other());
                ledger.save(data)?;
                return Ok(ledger);
            }
        }
        let installed = slots.install(Slot::A, &std::env::current_exe()?, None)?;
        let ledger = Self::new(Slot::A, installed);
        ledger.save(data)?;
        Ok(ledger)
    }

    /// Writes it durably.
    pub fn save(&self, data: &Path) -> io::Result<()> {
        os::replace_file(&path(data), &serde_json::to_vec_pretty(self)?)
    }

    /// Why that program is not to be tried, if it is not.
    pub fn is_bad(&self, sha256: &str) -> Option<&Failure> {
        self.bad.iter().chain(&self.suspect).find(|failure| failure.sha256 == sha256)
    }

    /// Remembers a version as bad, once.
    pub fn pin(&mut self, failure: Failure) {
        self.bad.retain(|known| known.sha256 != failure.sha256);
        if self.bad.len() == BAD_MAX {
            self.bad.remove(0);
        }
        self.untold = Some(Failure { pinned: true, ..failure.clone() });
        self.bad.push(Failure { pinned: true, ..failure });
    }
}

fn path(data: &Path) -> PathBuf {
    data.join("state")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_ledger_is_rebuilt_from_the_slots_and_kept_aside() {
        let dir = tempfile::tempdir().expect("a folder");
        let program = dir.path().join("program");
        std::fs::write(&program, b"one").expect("written");
        let slots = Slots::new(dir.path());
        let b = slots.install(Slot::B, &program, None).expect("installed");
        let ledger = Ledger::load(dir.path()).expect("rebuilt");
        assert_eq!((ledger.current, &ledger.installed), (Slot::B, &b));
        assert_eq!(Ledger::load(dir.path()).expect("saved"), ledger);

        std::fs::write(path(dir.path()), b"{\"current\":").expect("written");
        assert_eq!(Ledger::load(dir.path()).expect("rebuilt"), ledger);
        assert!(dir.path().join("state.damaged").exists());
    }

    #[test]
    fn a_version_is_bad_once_and_the_list_does_not_grow() {
        let installed =
            |n: u32| Installed { release: Release::new(1, 0, 0, n), sha256: n.to_string() };
        let mut ledger = Ledger::new(Slot::A, installed(0));
        for n in (1..=40).chain([40]) {
            let Installed { release, sha256 } = installed(n);
            let reason = "it crashed".into();
            ledger.pin(Failure { release, sha256, reason, at: Timestamp(1), pinned: false });
        }
        assert_eq!(ledger.bad.len(), BAD_MAX);
        assert!(ledger.is_bad("40").is_some_and(|failure| failure.pinned));
        assert!(ledger.is_bad("1").is_none());
    }
}
