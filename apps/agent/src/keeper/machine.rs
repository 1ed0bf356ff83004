//! What the keeper decides: a pure state machine.
//!
//! ```text
//!            Begin                     Proven
//!  current ─────────▶ new on trial ───────────▶ current := new
//!     ▲                    │ ended, silent, not proven in time
//!     └────────────────────┘ put back; pinned as bad
//! ```
//!
//! A version that crashes or hangs is pinned as bad at once. One that runs but does not reach the site
//! is only a suspect: it is pinned when the version before reaches the site within the same time, and
//! is not when that one cannot either, because then the network is to blame.
//! A version that was proven and then ends again and again soon after its start gives way to the one
//! before as well, and is pinned.
//!
//! The program around it saves the ledger when it changed, then performs the effects.

use std::time::Duration;

use model::Timestamp;

use super::ledger::{Failure, Ledger, Trial};
use crate::config::KeeperConfig;
use crate::update::slots::{Installed, Slot};

/// Starts that a trial gets when the machine goes down in the middle of it.
const TRIAL_STARTS_MAX: u32 = 2;

/// A process that ran for so long ends for another reason than that it cannot run.
const STEADY: Duration = Duration::from_mins(1);

/// Restarts with the same inherited sessions before they are given up: they may be what kills the process.
const SESSION_TRIES_MAX: u32 = 3;

/// When something happens: time since the keeper started, and the clock on the wall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Since the keeper started; does not jump.
    pub up: Duration,
    /// For the record.
    pub at: Timestamp,
}

/// The keeper's whole state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keeper {
    /// The durable part.
    pub ledger: Ledger,
    /// The serving process.
    pub process: Process,
}

/// How the serving process stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Process {
    /// Not there; started again at that moment.
    Down {
        /// When to start it.
        start_at: Duration,
        /// Times it ended in a row soon after its start.
        failures: u32,
    },
    /// Running.
    Up {
        /// When it began to run from this slot.
        since: Duration,
        /// When it last said something.
        heard: Duration,
        /// Whether it reached the site and passed its self-test.
        proven: bool,
        /// Times its forerunners ended in a row soon after their start.
        failures: u32,
    },
    /// Killed, and not gone yet.
    Ending {
        /// Why it was killed.
        why: Verdict,
        /// As in `Up`.
        failures: u32,
    },
}

/// Why a process is put to an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It hangs: it said nothing for that long.
    Silent(Duration),
    /// It runs and did not reach the site in that time.
    Unreached(Duration),
    /// It says so itself.
    Unfit(String),
}

/// What happens to the keeper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The serving process asks to become the version that it put into the other slot.
    Begin(Installed),
    /// It asked and then could not: it goes on as it was.
    Abort(String),
    /// It is alive.
    Heard,
    /// It reached the site and passed its self-test.
    Proven,
    /// It failed its own self-test, in these words.
    Unfit(String),
    /// It ended, or could not be started, in these words.
    Ended(String),
    /// Somebody says that this version may be tried again.
    Forget(String),
    /// The site knows of the last failure.
    Told,
    /// Time passed.
    Tick,
}

/// What the program around has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Answer to [`Event::Begin`].
    Answer(Result<(), String>),
    /// Start the program of that slot, with the sessions that are kept for it.
    Start(Slot),
    /// Kill the serving process.
    Kill,
    /// Give up the kept copies of the sessions' descriptors and state.
    DropSessions,
    /// Tell the serving process that it is the current version and may let its sessions run.
    Committed,
}

/// What follows from an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The state to save.
    pub next: Keeper,
    /// What to do then, in this order.
    pub effects: Vec<Effect>,
}

impl Keeper {
    /// The keeper after its own start: nothing runs yet.
    ///
    /// A trial that the machine's end interrupted gets another start, but not for ever.
    pub fn recover(ledger: Ledger, now: Now) -> Self {
        let process = Process::Down { start_at: now.up, failures: 0 };
        let mut keeper = Self { ledger, process };
        if let Some(trial) = &mut keeper.ledger.trial {
            if trial.starts < TRIAL_STARTS_MAX {
                trial.starts += 1;
            } else {
                let reason = format!("it did not prove itself in {TRIAL_STARTS_MAX} starts");
                keeper.end_trial(now, reason, true);
            }
        }
        keeper
    }

    /// The slot that runs, or would be started.
    pub fn slot(&self) -> Slot {
        match self.ledger.trial {
            Some(_) => self.ledger.current.other(),
            None => self.ledger.current,
        }
    }

    /// What that slot holds.
    pub fn installed(&self) -> &Installed {
        self.ledger.trial.as_ref().map_or(&self.ledger.installed, |trial| &trial.installed)
    }

    /// Decides.
    pub fn on(&self, event: Event, now: Now, limits: &KeeperConfig) -> Transition {
        let mut next = self.clone();
        let effects = match event {
            Event::Begin(installed) => vec![Effect::Answer(next.begin(installed, now))],
            Event::Abort(reason) => next.abort(reason, now),
            Event::Heard => next.hear(now),
            Event::Proven => next.prove(now),
            Event::Unfit(reason) => next.unfit(reason),
            Event::Ended(how) => next.ended(&how, now, limits),
            Event::Forget(sha256) => next.forget(&sha256),
            Event::Told => {
                next.ledger.untold = None;
                Vec::new()
            }
            Event::Tick => next.tick(now, limits),
        };
        Transition { next, effects }
    }

    /// When to tick next; `None` when nothing depends on time.
    pub fn deadline(&self, limits: &KeeperConfig) -> Option<Duration> {
        match self.process {
            Process::Down { start_at, .. } => Some(start_at),
            Process::Ending { .. } => None,
            Process::Up { since, heard, proven, .. } => {
                let silent = heard + self.silence(limits);
                let judged = self.ledger.trial.is_some() || self.ledger.suspect.is_some();
                let prove = since + Duration::from_millis(limits.prove_ms);
                Some(if judged && !proven { silent.min(prove) } else { silent })
            }
        }
    }

    fn silence(&self, limits: &KeeperConfig) -> Duration {
        let trial = self.ledger.trial.is_some();
        Duration::from_millis(if trial { limits.silent_ms } else { limits.watchdog_ms })
    }

    fn begin(&mut self, installed: Installed, now: Now) -> Result<(), String> {
        let Process::Up { since, heard, proven, .. } = &mut self.process else {
            return Err("no serving process is known to the keeper".to_owned());
        };
        if self.ledger.trial.is_some() {
            return Err("another version is on trial already".to_owned());
        }
        if !*proven {
            return Err("the running version has not reached the site itself yet".to_owned());
        }
        if installed.sha256 == self.ledger.installed.sha256 {
            return Err(format!("{} runs already", installed.release));
        }
        if let Some(failure) = self.ledger.is_bad(&installed.sha256) {
            let Failure { release, reason, .. } = failure;
            return Err(format!(
                "{release} was put back before ({reason}) and is not tried again until told"
            ));
        }
        (*since, *heard, *proven) = (now.up, now.up, false);
        self.ledger.other = Some(installed.clone());
        self.ledger.trial = Some(Trial { installed, starts: 1 });
        Ok(())
    }

    fn abort(&mut self, reason: String, now: Now) -> Vec<Effect> {
        if self.ledger.trial.is_none() {
            return Vec::new();
        }
        self.end_trial(now, reason, true);
        let failures = 0;
        self.process = Process::Up { since: now.up, heard: now.up, proven: true, failures };
        vec![Effect::DropSessions]
    }

    fn hear(&mut self, now: Now) -> Vec<Effect> {
        if let Process::Up { heard, .. } = &mut self.process {
            *heard = now.up;
        }
        Vec::new()
    }

    fn prove(&mut self, now: Now) -> Vec<Effect> {
        let Process::Up { heard, proven, .. } = &mut self.process else {
            return Vec::new();
        };
        (*heard, *proven) = (now.up, true);
        if let Some(trial) = self.ledger.trial.take() {
            let before = std::mem::replace(&mut self.ledger.installed, trial.installed);
            self.ledger.other = Some(before);
            self.ledger.current = self.ledger.current.other();
        }
        if let Some(suspect) = self.ledger.suspect.take() {
            self.ledger.pin(suspect);
        }
        vec![Effect::DropSessions, Effect::Committed]
    }

    /// On trial it is put back; the current version goes on as well as it can.
    fn unfit(&mut self, reason: String) -> Vec<Effect> {
        let Process::Up { failures, .. } = self.process else { return Vec::new() };
        if self.ledger.trial.is_none() {
            return Vec::new();
        }
        self.process = Process::Ending { why: Verdict::Unfit(reason), failures };
        vec![Effect::Kill]
    }

    fn forget(&mut self, sha256: &str) -> Vec<Effect> {
        self.ledger.bad.retain(|failure| failure.sha256 != sha256);
        self.ledger.suspect.take_if(|failure| failure.sha256 == sha256);
        Vec::new()
    }

    fn ended(&mut self, how: &str, now: Now, limits: &KeeperConfig) -> Vec<Effect> {
        let (verdict, failures) = match &self.process {
            Process::Down { failures, .. } => (None, *failures),
            Process::Up { since, proven, failures, .. } => {
                let steady = *proven && now.up.saturating_sub(*since) >= STEADY;
                (None, if steady { 0 } else { *failures })
            }
            Process::Ending { why, failures } => (Some(why.clone()), *failures),
        };
        if self.ledger.trial.is_some() {
            let (reason, sure) = match verdict {
                Some(Verdict::Silent(time)) => {
                    (format!("it hung: it said nothing for {}", seconds(time)), true)
                }
                Some(Verdict::Unfit(reason)) => (reason, true),
                Some(Verdict::Unreached(time)) => {
                    (format!("it did not reach the site within {}", seconds(time)), false)
                }
                None => (how.to_owned(), true),
            };
            self.end_trial(now, reason, sure);
            return self.start(now, 0);
        }
        let failures = failures + 1;
        let mut effects = Vec::new();
        if failures == SESSION_TRIES_MAX {
            effects.push(Effect::DropSessions);
        }
        if failures % SESSION_TRIES_MAX == 0 {
            self.fall_back(format!("it ended {failures} times soon after its start: {how}"), now);
        }
        self.process = Process::Down { start_at: now.up + backoff(failures, limits), failures };
        effects
    }

    /// The current version does not run any more: the other one may, if it ever did.
    fn fall_back(&mut self, reason: String, now: Now) {
        let usable = |other: &&Installed| self.ledger.is_bad(&other.sha256).is_none();
        let Some(other) = self.ledger.other.as_ref().filter(usable).cloned() else { return };
        let before = std::mem::replace(&mut self.ledger.installed, other);
        let Installed { release, sha256 } = before.clone();
        self.ledger.other = Some(before);
        self.ledger.current = self.ledger.current.other();
        // Or the site would offer it again at once.
        self.ledger.pin(Failure { release, sha256, reason, at: now.at, pinned: false });
    }

    /// Notes that the version on trial failed; the current one is what it was.
    fn end_trial(&mut self, now: Now, reason: String, sure: bool) {
        let Some(Trial { installed, .. }) = self.ledger.trial.take() else { return };
        let Installed { release, sha256 } = installed;
        let failure = Failure { release, sha256, reason, at: now.at, pinned: false };
        if sure {
            self.ledger.pin(failure);
        } else {
            self.ledger.suspect = Some(failure);
        }
    }

    fn start(&mut self, now: Now, failures: u32) -> Vec<Effect> {
        self.process = Process::Up { since: now.up, heard: now.up, proven: false, failures };
        vec![Effect::Start(self.slot())]
    }

    fn tick(&mut self, now: Now, limits: &KeeperConfig) -> Vec<Effect> {
        let prove = Duration::from_millis(limits.prove_ms);
        match self.process.clone() {
            Process::Down { start_at, failures } if now.up >= start_at => self.start(now, failures),
            Process::Up { heard, failures, .. } if now.up >= heard + self.silence(limits) => {
                let silent = now.up.saturating_sub(heard);
                self.process = Process::Ending { why: Verdict::Silent(silent), failures };
                vec![Effect::Kill]
            }
            Process::Up { since, proven: false, failures, .. } if now.up >= since + prove => {
                if self.ledger.trial.is_some() {
                    self.process = Process::Ending { why: Verdict::Unreached(prove), failures };
                    return vec![Effect::Kill];
                }
                self.acquit();
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// The version before does not reach the site either: the suspect is not to blame.
    fn acquit(&mut self) {
        if let Some(mut suspect) = self.ledger.suspect.take() {
            suspect.reason += "; the version before cannot reach it either, so the network is to \
                               blame and the version may be tried again";
            self.ledger.untold = Some(suspect);
        }
    }
}

fn backoff(failures: u32, limits: &KeeperConfig) -> Duration {
    let doubled = limits.restart_min_ms.saturating_mul(1 << failures.saturating_sub(1).min(20));
    Duration::from_millis(doubled.min(limits.restart_max_ms))
}

fn seconds(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 10.0 { format!("{seconds:.1} s") } else { format!("{seconds:.0} s") }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
