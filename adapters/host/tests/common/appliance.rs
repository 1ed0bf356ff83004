//! The installer on a disk: the real journal, slots, pointers, ledger and machine; processes only answer.

use std::path::{Path, PathBuf};

use install::{
    Effect, Event, Fault, Install, Ledger, Limits, Now, PackageRef, Proof, Subject, recover,
};
use model::{AttemptId, PackageKind, Release, Timestamp};
use sluis_host::{Fs, Journal, Slots, load_json, save_json};

use super::package;

type Machine = Install<PackageRef>;

pub const NOW: Timestamp = Timestamp::from_secs(1_000);

/// How the new version behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Story {
    Good,
    FailsMigration,
    CrashesInTrial,
    GoBack,
}

/// All of them.
pub const STORIES: [Story; 4] =
    [Story::Good, Story::FailsMigration, Story::CrashesInTrial, Story::GoBack];

/// The part of an appliance that lives on its disk; its processes only answer as the story says.
pub struct Appliance<F> {
    fs: F,
    data: PathBuf,
    journal: Journal<F>,
    slots: Slots<F>,
    machine: Machine,
    kind: PackageKind,
    story: Story,
}

fn packages(kind: PackageKind) -> [(Vec<u8>, PackageRef); 2] {
    [1, 2].map(|n| package(kind, Release::new(1, 0, n, 1), &format!("program {n}")))
}

/// Makes a data directory in which the old version serves; for a way back, the new one does and the old one is kept.
pub fn set_up<F: Fs + Clone>(fs: &F, data: &Path, kind: PackageKind, story: Story) {
    fs.create_dir(data).expect("a disk");
    fs.create_dir(&data.join("downloads")).expect("a disk");
    fs.sync_dir(data.parent().expect("a directory")).expect("a disk");
    let slots = Slots::new(fs.clone(), data);
    let mut ledger = Ledger::default();
    let [old, new] = packages(kind);
    for (bytes, reference) in [&old, &new] {
        let archive = data.join("first.pkg");
        fs.write(&archive, 0o600, &mut &bytes[..]).expect("a disk");
        if reference == &old.1 || story == Story::GoBack {
            slots.unpack_first(&archive).expect("a good package");
        }
    }
    let (current, previous) =
        if story == Story::GoBack { (&new.1, Some(&old.1)) } else { (&old.1, None) };
    slots.point(kind, current.sha256, previous.map(|p| p.sha256)).expect("pointers");
    ledger.commit(current, previous, NOW);
    save_json(fs, &data.join("ledger.json"), &ledger).expect("a disk");
    fs.sync_dir(data).expect("a disk");
}

impl<F: Fs + Clone> Appliance<F> {
    /// Starts as the base does: journal, recovery, what is on disk.
    pub fn start(fs: F, data: &Path, kind: PackageKind, story: Story) -> Result<Self, String> {
        let (journal, last) = Journal::open(fs.clone(), data).map_err(|e| e.to_string())?;
        let slots = Slots::new(fs.clone(), data);
        let on_disk = slots.on_disk().map_err(|e| e.to_string())?;
        let (machine, _) = recover(last.map(|record| record.install), &on_disk);
        Ok(Self { fs, data: data.to_owned(), journal, slots, machine, kind, story })
    }

    /// Goes on until it is at rest.
    pub fn run(&mut self) -> Result<(), String> {
        let mut todo = if self.machine == Install::Idle {
            let [old, new] = packages(self.kind).map(|(_, reference)| reference);
            let id = AttemptId::from_bytes([7; 16]);
            vec![match self.story {
                Story::GoBack => Event::GoBack { id, to: old, from: new },
                _ => Event::Chosen { id, package: new, from: Some(old) },
            }]
        } else {
            vec![Event::Restarted { died: None }]
        };
        for effect in self.machine.resume() {
            todo.extend(self.perform(effect)?);
        }
        for _ in 0..100 {
            if todo.is_empty() {
                return Ok(());
            }
            let event = todo.remove(0);
            let now = Now { at: NOW, limits: Limits::default() };
            let Ok(transition) = self.machine.on(event, &now) else { continue };
            self.journal.append(&transition.next.clone().into(), NOW).map_err(|e| e.to_string())?;
            self.machine = transition.next;
            for effect in transition.effects {
                todo.extend(self.perform(effect)?);
            }
        }
        Err("it never came to rest".into())
    }

    fn perform(&mut self, effect: Effect<PackageRef>) -> Result<Option<Event<PackageRef>>, String> {
        let bad = Fault::package("it crashed", "wait");
        Ok(match effect {
            Effect::Confirm(_) => Some(Event::Confirmed),
            Effect::Fetch(wanted) => {
                let [_, (bytes, _)] = packages(self.kind);
                let path = self.slots.download(wanted.sha256);
                self.fs.write(&path, 0o600, &mut &bytes[..]).map_err(|e| e.to_string())?;
                self.fs.sync(&path).map_err(|e| e.to_string())?;
                let dir = self.data.join("downloads");
                self.fs.sync_dir(&dir).map_err(|e| e.to_string())?;
                Some(Event::Fetched(wanted))
            }
            Effect::Unpack(package) => {
                let archive = self.slots.download(package.reference().sha256);
                self.slots.unpack_first(&archive).map_err(|e| e.to_string())?;
                Some(Event::Unpacked)
            }
            Effect::Preflight { .. } => Some(Event::PreflightPassed),
            Effect::Expand(_) if self.story == Story::FailsMigration => Some(Event::Failed(bad)),
            Effect::Expand(_) => Some(Event::Expanded),
            Effect::Prove(subject) => {
                // Whatever is started is whole.
                let slot = match subject {
                    Subject::Update(package) | Subject::Kept(package) => package.sha256,
                };
                self.slots.check(slot).map_err(|e| e.to_string())?;
                Some(Event::Proven)
            }
            Effect::SwitchOver { .. } => Some(Event::Switched),
            Effect::Watch { .. } if self.story == Story::CrashesInTrial => Some(Event::Failed(bad)),
            Effect::Watch { .. } => Some(Event::TrialPassed),
            Effect::Point { current, previous } => {
                let previous = previous.map(|p| p.sha256);
                let pointed = self.slots.point(self.kind, current.sha256, previous);
                pointed.map_err(|e| e.to_string())?;
                None
            }
            Effect::RecordCommit { package } => {
                let previous = self.machine.attempt().and_then(|a| a.from.clone());
                self.ledger(|ledger| ledger.commit(&package, previous.as_ref(), NOW))?;
                None
            }
            Effect::Retire { .. } => Some(Event::Retired),
            Effect::Revert { .. } => Some(Event::Reverted),
            Effect::Pin { package, reason } => {
                self.ledger(|ledger| ledger.pin(&package, &reason, NOW))?;
                None
            }
        })
    }

    fn ledger(&self, change: impl FnOnce(&mut Ledger)) -> Result<(), String> {
        let path = self.data.join("ledger.json");
        let ledger: Option<Ledger> = load_json(&self.fs, &path).map_err(|e| e.to_string())?;
        let mut ledger = ledger.ok_or("the ledger is gone")?;
        change(&mut ledger);
        save_json(&self.fs, &path, &ledger).map_err(|e| e.to_string())
    }

    /// What must hold whenever it is at rest.
    pub fn check(&self) {
        let [old, new] = packages(self.kind).map(|(_, reference)| reference);
        let current = self.slots.current(self.kind).expect("a disk").expect("a current version");
        self.slots.check(current).expect("the current version is whole");
        let ledger: Ledger = load_json(&self.fs, &self.data.join("ledger.json"))
            .expect("a whole ledger")
            .expect("the ledger is there");
        assert_eq!(ledger.installed[&self.kind].sha256, current);
        match (self.story, &self.machine) {
            (Story::Good, Install::Contracted { .. }) => assert_eq!(current, new.sha256),
            (Story::GoBack, Install::Contracted { .. }) => assert_eq!(current, old.sha256),
            (_, Install::RolledBack { .. }) => {
                assert_eq!(current, old.sha256);
                assert!(ledger.bad(&new).is_some(), "a bad version is pinned");
            }
            (story, state) => panic!("{story:?} ended in {state:?}"),
        }
        if let Some(kept) = self.slots.previous(self.kind).expect("a disk") {
            self.slots.check(kept).expect("the kept version is whole");
        }
    }
}
