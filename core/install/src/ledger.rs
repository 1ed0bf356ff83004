use std::collections::BTreeMap;
use std::time::Duration;

use model::{Generation, PackageKind, Release, Timestamp};
use serde::{Deserialize, Serialize};

use crate::PackageRef;

/// A package that is not offered again by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bad {
    /// The package.
    pub package: PackageRef,
    /// Why.
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
}

/// The release below which nothing is installed, and the one that becomes it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Floor {
    /// Nothing older is installed.
    pub release: Option<Release>,
    /// Committed, and not yet for long enough.
    pub soaking: Option<(Release, Timestamp)>,
}

/// What must not roll back with the software: attempts, floors, bad versions, generation numbers.
///
/// Saved beside the journal and never inside a slot or the site's data.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Ledger {
    /// Attempts ever begun.
    pub attempts: u64,
    /// The last generation that was started.
    pub generation: Generation,
    /// Floors by kind.
    pub floors: BTreeMap<PackageKind, Floor>,
    /// Bad packages by the SHA-256 of their file.
    pub bad: BTreeMap<String, Bad>,
    /// What was installed, by kind: the package behind `current`.
    pub installed: BTreeMap<PackageKind, PackageRef>,
    /// The package behind `previous`, by kind.
    pub kept: BTreeMap<PackageKind, PackageRef>,
}

impl Ledger {
    /// Counts an attempt.
    pub fn attempt_begun(&mut self) {
        self.attempts += 1;
    }

    /// Gives the next generation its number, larger than any before.
    pub fn generation_next(&mut self) -> Generation {
        self.generation.0 += 1;
        self.generation
    }

    /// Pins a package as bad. Repeatable; the first reason stays.
    pub fn pin(&mut self, package: &PackageRef, reason: &str, at: Timestamp) {
        self.bad.entry(key(package)).or_insert_with(|| Bad {
            package: package.clone(),
            reason: reason.to_owned(),
            at,
        });
    }

    /// Lets a package be tried again, as an administrator who insists may.
    pub fn unpin(&mut self, package: &PackageRef) {
        self.bad.remove(&key(package));
    }

    /// Why the package is bad, if it is.
    pub fn bad(&self, package: &PackageRef) -> Option<&Bad> {
        self.bad.get(&key(package))
    }

    /// Records what runs now and what is kept. Repeatable.
    pub fn commit(&mut self, package: &PackageRef, previous: Option<&PackageRef>, at: Timestamp) {
        self.installed.insert(package.kind, package.clone());
        match previous {
            Some(previous) => self.kept.insert(package.kind, previous.clone()),
            None => self.kept.remove(&package.kind),
        };
        let floor = self.floors.entry(package.kind).or_default();
        let release = package.release.clone();
        if floor.soaking.as_ref().is_none_or(|(soaking, _)| *soaking != release) {
            floor.soaking = Some((release, at));
        }
    }

    /// Raises the floors whose release has served long enough; answers whether anything changed.
    ///
    /// Until then the kept slot is not below the floor. A floor never falls.
    pub fn soaked(&mut self, now: Timestamp, soak: Duration) -> bool {
        let mut changed = false;
        for floor in self.floors.values_mut() {
            let Some((release, since)) = &floor.soaking else { continue };
            if now.since(*since) < soak {
                continue;
            }
            if floor.release.as_ref().is_none_or(|old| old < release) {
                floor.release = Some(release.clone());
            }
            floor.soaking = None;
            changed = true;
        }
        changed
    }

    /// The floor of that kind.
    pub fn floor(&self, kind: PackageKind) -> Option<&Release> {
        self.floors.get(&kind)?.release.as_ref()
    }
}

fn key(package: &PackageRef) -> String {
    package.sha256.to_string()
}
