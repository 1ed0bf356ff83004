use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use host::{Clock, RealFs, Slots, load_json, save_json};
use install::{Ledger, PackageRef};
use model::{PackageKind, Timestamp};
use release::Sha256;
use tokio::sync::watch;

use crate::accounts::AccountBook;
use crate::config::Config;
use crate::installer::Installer;
use crate::last_check::{Checked, LastCheck};
use crate::log::{Entry, InstallLog, Level};
use crate::paths::Paths;
use crate::reports::Reports;
use crate::self_update::Sockets;
use crate::signed_in::SignedIn;
use crate::site::Fleet;

/// Everything that the parts of a running base share.
pub struct Base {
    pub paths: Paths,
    pub config: Config,
    /// The slot that this process runs from; none when it was started from elsewhere.
    pub own: Option<Sha256>,
    pub started: Instant,
    /// What the clock said then.
    pub started_at: Timestamp,
    pub slots: Slots<RealFs>,
    pub ledger: LedgerFile,
    pub log: InstallLog,
    pub accounts: AccountBook,
    pub signed_in: SignedIn,
    pub last_check: LastCheck,
    pub reports: Reports,
    pub fleet: Fleet,
    pub installer: Installer,
    pub sockets: Sockets,
    /// Set when connections are to be finished and no new ones begun.
    pub closing: watch::Sender<bool>,
}

impl Base {
    /// The moment, never before what signed metadata spoke of.
    pub fn now(&self) -> Timestamp {
        Clock { at_least: self.last_check.latest_signed() }.now()
    }

    /// The moment for deadlines: setting the clock moves none of them.
    pub fn steady_now(&self) -> Timestamp {
        self.started_at.plus(self.started.elapsed())
    }

    /// Warns in the log of installs of something outside of an attempt.
    pub fn warn(&self, about: &PackageRef, text: String) {
        self.log.add(Entry {
            n: 0,
            at: host::now(),
            attempt: None,
            step: 0,
            stall_ms: None,
            subject: about.to_string(),
            phase: self.installer.state().name().to_owned(),
            level: Level::Warning,
            text,
        });
    }

    /// Architecture of this appliance, as packages name it.
    pub fn arch() -> &'static str {
        std::env::consts::ARCH
    }

    /// The package that runs, of that kind.
    pub fn installed(&self, kind: PackageKind) -> Option<install::PackageRef> {
        self.ledger.read(|ledger| ledger.installed.get(&kind).cloned())
    }

    /// What the update server offers, by its last answer and what was installed since.
    pub fn offered(&self) -> Checked {
        let checked = self.last_check.get();
        self.ledger.read(|ledger| checked.since(ledger))
    }

    /// The package in the kept slot, of that kind.
    pub fn kept(&self, kind: PackageKind) -> Option<install::PackageRef> {
        self.ledger.read(|ledger| ledger.kept.get(&kind).cloned())
    }
}

/// The shared base.
pub type Shared = Arc<Base>;

/// The ledger, on disk whenever it changes.
pub struct LedgerFile {
    paths: Paths,
    ledger: Mutex<Ledger>,
}

impl LedgerFile {
    pub fn open(paths: &Paths) -> anyhow::Result<Self> {
        let ledger = load_json(&RealFs, &paths.ledger())?.unwrap_or_default();
        Ok(Self { paths: paths.clone(), ledger: Mutex::new(ledger) })
    }

    pub fn read<T>(&self, read: impl FnOnce(&Ledger) -> T) -> T {
        read(&self.ledger.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the ledger and saves it; unchanged when that fails.
    pub fn change<T>(&self, change: impl FnOnce(&mut Ledger) -> T) -> std::io::Result<T> {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = ledger.clone();
        let result = change(&mut next);
        if next != *ledger {
            save_json(&RealFs, &self.paths.ledger(), &next)?;
            *ledger = next;
        }
        Ok(result)
    }
}
