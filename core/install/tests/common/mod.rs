//! Packages, moments and a walk over everything that can happen.
#![allow(dead_code, reason = "each test file uses a part")]

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use model::{AttemptId, PackageKind, Release, Timestamp};
use release::{VerifiedPackage, fixtures};
use sluis_core_install::{Event, Fault, Install, Limits, Now, PackageRef};

pub type Machine = Install<VerifiedPackage>;

pub const NOON: Timestamp = Timestamp::from_secs(1_000);
pub const LATE: Timestamp = Timestamp::from_secs(2_000);

pub fn at(at: Timestamp) -> Now {
    let limits = Limits {
        prove: Duration::from_secs(45),
        switch: Duration::from_secs(15),
        trial: Duration::from_mins(1),
        tries: 1,
    };
    Now { at, limits }
}

pub fn proof(kind: PackageKind, patch: u64) -> VerifiedPackage {
    fixtures::package(kind, Release::new(1, 0, patch, 1))
}

pub fn package(kind: PackageKind, patch: u64) -> PackageRef {
    proof(kind, patch).reference()
}

pub fn id(n: u8) -> AttemptId {
    AttemptId::from_bytes([n; 16])
}

pub fn chosen(kind: PackageKind) -> Event<VerifiedPackage> {
    Event::Chosen { id: id(1), package: package(kind, 2), from: Some(package(kind, 1)) }
}

/// Every kind of event, with every choice in it that could matter.
pub fn events(kind: PackageKind) -> Vec<Event<VerifiedPackage>> {
    let bad = Fault::package("the new version crashed", "wait");
    let full = Fault::host("the disk is full", "make room");
    vec![
        chosen(kind),
        Event::GoBack { id: id(2), to: package(kind, 1), from: package(kind, 2) },
        Event::Confirmed,
        Event::Fetched(proof(kind, 2)),
        Event::Fetched(proof(kind, 3)),
        Event::Unpacked,
        Event::PreflightPassed,
        Event::Expanded,
        Event::Proven,
        Event::Switched,
        Event::TrialPassed,
        Event::Retired,
        Event::Reverted,
        Event::RevertFailed("the old version does not start".into()),
        Event::Failed(bad),
        Event::Failed(full),
        Event::Cancelled,
        Event::Restarted { died: None },
        Event::Restarted { died: Some("signal 11".into()) },
        Event::NoneHealthy { kind, reason: "it crashed five times".into() },
        Event::Recovered,
        Event::Tick,
    ]
}

/// Every state that any order of events can lead to.
pub fn reachable(from: Machine, kind: PackageKind) -> HashSet<Machine> {
    let events = events(kind);
    let mut seen = HashSet::new();
    let mut todo = VecDeque::from([from]);
    while let Some(install) = todo.pop_front() {
        if !seen.insert(install.clone()) {
            continue;
        }
        for event in &events {
            for now in [NOON, LATE] {
                if let Ok(transition) = install.on(event.clone(), &at(now)) {
                    todo.push_back(transition.next);
                }
            }
        }
    }
    seen
}

/// The states of one good update, in order, each with the event that leads to the next.
pub fn good_update(kind: PackageKind) -> Vec<Event<VerifiedPackage>> {
    vec![
        chosen(kind),
        Event::Confirmed,
        Event::Fetched(proof(kind, 2)),
        Event::Unpacked,
        Event::PreflightPassed,
        Event::Expanded,
        Event::Proven,
        Event::Switched,
        Event::TrialPassed,
        Event::Retired,
    ]
}
