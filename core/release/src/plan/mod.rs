//! Which packages an appliance may install now, and in which order it gets to the newest.
//!
//! The same inventory, packages and policy always make the same plan: what the update server answers
//! and what the base prints is this value. Floors go first and the base goes before the site; a package
//! that must wait says for what, and which packages lead there.

mod explain;
mod path;

use std::collections::{BTreeMap, BTreeSet};

use model::{PackageKind, Release, Revision, Timestamp, Version};
use serde::{Deserialize, Serialize};

use crate::hash::Sha256;
use crate::hostname::Hostname;
use crate::manifest::Manifest;
use explain::sentence;
use path::{Leg, Running, Solver, Stop};

/// One package that an appliance runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Installed {
    /// What it carries.
    pub kind: PackageKind,
    /// Its name, as rules refer to it.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// The build of that version.
    pub revision: Revision,
    /// SHA-256 of its `.pkg` file.
    pub sha256: Sha256,
}

/// One package that maintainers published.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Available {
    /// Name of the TUF target.
    pub target: String,
    /// Length of the `.pkg` file in bytes.
    pub length: u64,
    /// SHA-256 of the `.pkg` file.
    pub sha256: Sha256,
    /// What it says about itself.
    pub manifest: Manifest,
}

/// What this appliance may have at all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// Machine of the appliance; none when it did not say, and then every architecture is shown.
    pub arch: Option<String>,
    /// Primary hostname of the site; licenses for others are left out.
    pub hostname: Option<Hostname>,
    /// Operators that the entitlement grants, for the cards.
    pub licenses: Option<u32>,
    /// When the entitlement ends, for the cards.
    pub expires: Option<Timestamp>,
    /// Whether new software is offered.
    pub gate: Gate,
    /// Packages that failed on this appliance.
    pub bad: BTreeSet<Sha256>,
    /// Lowest version of each name that the appliance still takes.
    pub floors: BTreeMap<String, Version>,
    /// Packages that the operator of the update server withdrew, with the reason.
    pub withdrawn: BTreeMap<Sha256, String>,
}

/// Whether new software is offered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Gate {
    /// Everything.
    #[default]
    Open,
    /// Nothing, until the operator of the update server lifts the hold; with the reason.
    Held(String),
    /// Only licenses: nothing entitles this hostname.
    NotEntitled,
    /// Only licenses: the entitlement ended then.
    Ended(Timestamp),
}

/// What can be installed and in which order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The way to the newest of everything, first to last.
    pub steps: Vec<Step>,
    /// Every package that the appliance runs or could run, newest first within base, site, license.
    pub cards: Vec<Card>,
}

/// One package to install.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Step {
    /// Name of the TUF target.
    pub target: String,
    /// What is done and why, for a person.
    pub text: String,
}

/// One package as a person sees it under Available Updates.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Card {
    /// Name of the TUF target.
    pub target: String,
    /// What it carries.
    pub kind: PackageKind,
    /// Its name, as rules refer to it.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// The build of that version.
    pub revision: Revision,
    /// Primary hostname that the offer is for.
    pub hostname: Option<Hostname>,
    /// Operators who may work at the same time.
    pub licenses: Option<u32>,
    /// When that ends.
    pub expires: Option<Timestamp>,
    /// Release notes.
    pub notes: String,
    /// Length of the `.pkg` file in bytes.
    pub size: u64,
    /// SHA-256 of the `.pkg` file: what is downloaded must have it, and TUF must name the same.
    pub sha256: Sha256,
    /// What must be installed before, each such as `base >=1.3`.
    pub requires: Vec<String>,
    /// Whether it can be installed now.
    pub status: Status,
    /// Why not, when `status` is `blocked`.
    pub blocked: Option<Blocked>,
    /// The whole way to it in order, itself last, when others go first; empty when it can be installed at once,
    /// runs, or cannot be had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub way: Vec<Step>,
}

impl Card {
    /// Version and revision together.
    pub fn release(&self) -> Release {
        Release { version: self.version.clone(), revision: self.revision }
    }
}

/// Whether a package can be installed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Yes.
    Installable,
    /// It runs.
    Installed,
    /// No, and the card says why.
    Blocked,
    /// A status that a later update server knows; treated as blocked.
    #[serde(other)]
    Unknown,
}

/// Why a package cannot be installed now.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Blocked {
    /// What is missing, in a few words such as `base >=1.3`.
    pub missing: String,
    /// Target to install first; none when nothing that is available helps.
    pub by: Option<String>,
    /// The whole reason and the way out, for a person.
    pub text: String,
}

/// Plans the way of one appliance.
///
/// Never fails: a package that cannot be had stays a blocked card with its reason.
pub fn plan(inventory: &[Installed], available: &[Available], policy: &Policy) -> Plan {
    let candidates = candidates(available, policy);
    let running: Running = inventory.iter().map(|item| (item.name.clone(), item.into())).collect();
    let solver = Solver::new(&candidates, policy);
    let cards = candidates
        .iter()
        .filter(|package| shown(package, inventory))
        .map(|package| card(package, inventory, &running, &solver, policy))
        .collect();
    Plan { steps: steps(&candidates, running, &solver), cards }
}

/// What this appliance could run at all: base, site, license; newest first; one of each release.
fn candidates<'a>(available: &'a [Available], policy: &Policy) -> Vec<&'a Available> {
    let mut candidates: Vec<&Available> =
        available.iter().filter(|package| concerns(package, policy)).collect();
    candidates.sort_by(|a, b| {
        let (x, y) = (&a.manifest, &b.manifest);
        (x.kind, &x.name)
            .cmp(&(y.kind, &y.name))
            .then(y.seq.cmp(&x.seq))
            .then(a.target.cmp(&b.target))
    });
    candidates
        .dedup_by(|a, b| (&a.manifest.name, a.manifest.seq) == (&b.manifest.name, b.manifest.seq));
    candidates
}

fn concerns(package: &Available, policy: &Policy) -> bool {
    let manifest = &package.manifest;
    let fits = policy.arch.as_ref().is_none_or(|arch| manifest.fits(arch));
    let ours = match &manifest.license {
        Some(license) => policy.hostname.as_ref() == Some(&license.hostname),
        None => true,
    };
    manifest.kind != PackageKind::Unknown && fits && ours
}

/// Older packages are no news; going back is a matter of kept slots.
fn shown(package: &Available, inventory: &[Installed]) -> bool {
    inventory
        .iter()
        .find(|item| item.name == package.manifest.name)
        .is_none_or(|item| package.manifest.release() >= item.release())
}

impl Installed {
    /// Version and revision together.
    pub fn release(&self) -> Release {
        Release { version: self.version.clone(), revision: self.revision }
    }
}

fn card(
    package: &Available,
    inventory: &[Installed],
    running: &Running,
    solver: &Solver<'_>,
    policy: &Policy,
) -> Card {
    let manifest = &package.manifest;
    let Standing { status, blocked, way } = standing(package, inventory, running, solver);
    let license = manifest.license.as_ref();
    Card {
        target: package.target.clone(),
        kind: manifest.kind,
        name: manifest.name.clone(),
        version: manifest.version.clone(),
        revision: manifest.revision,
        hostname: policy.hostname.clone(),
        licenses: license.map(|l| l.users).or(policy.licenses),
        expires: license.map_or(policy.expires, |l| l.expires),
        notes: manifest.notes.clone(),
        size: package.length,
        sha256: package.sha256,
        requires: manifest.requires.iter().map(ToString::to_string).collect(),
        status,
        blocked,
        way,
    }
}

/// Whether one package can be installed, and if not, why and what leads there.
struct Standing {
    status: Status,
    blocked: Option<Blocked>,
    way: Vec<Step>,
}

impl Standing {
    fn free(status: Status) -> Self {
        Self { status, blocked: None, way: vec![] }
    }

    fn blocked(blocked: Blocked, way: Vec<Step>) -> Self {
        Self { status: Status::Blocked, blocked: Some(blocked), way }
    }
}

fn standing(
    package: &Available,
    inventory: &[Installed],
    running: &Running,
    solver: &Solver<'_>,
) -> Standing {
    let manifest = &package.manifest;
    let installed =
        |item: &Installed| item.name == manifest.name && item.release() == manifest.release();
    if inventory.iter().any(installed) {
        return Standing::free(Status::Installed);
    }
    match solver.path(package, running) {
        Ok(way) if way.legs.len() == 1 => Standing::free(Status::Installable),
        Ok(way) => {
            let steps = way.legs.iter().map(Leg::step).collect();
            Standing::blocked(waits(package, &way.legs, running, solver), steps)
        }
        Err(stop) => Standing::blocked(stopped(stop), vec![]),
    }
}

/// Blocked, and other packages lead there.
fn waits(package: &Available, legs: &[Leg<'_>], running: &Running, solver: &Solver<'_>) -> Blocked {
    let before: Vec<String> =
        legs[..legs.len() - 1].iter().map(|leg| leg.package.manifest.label()).collect();
    let (missing, why) = match solver.unmet(package, running) {
        Some(unmet) => (unmet.missing(), unmet.because(package)),
        // Everything it asks for is there, and still others go first: only by way of what they ask.
        None => (before[0].clone(), format!("{} must wait", package.manifest.label())),
    };
    let first = match before.as_slice() {
        [one] => format!("Install {one} first."),
        many => format!("Install these first, in this order: {}.", many.join(", ")),
    };
    let by = legs.first().map(|leg| leg.package.target.clone());
    Blocked { missing, by, text: format!("{}. {first}", sentence(&why)) }
}

fn stopped(stop: Stop) -> Blocked {
    Blocked { missing: stop.missing, by: None, text: format!("{}.", sentence(&stop.text)) }
}

/// The way to the newest of everything; where the newest cannot be had, to the newest that can.
fn steps(candidates: &[&Available], mut running: Running, solver: &Solver<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut done = BTreeSet::new();
    // Sorted by kind: the base comes before the site, and that before licenses.
    for package in candidates {
        let name = package.manifest.name.as_str();
        if done.contains(name) {
            continue;
        }
        if running.get(name).is_some_and(|have| have.release >= package.manifest.release()) {
            done.insert(name);
            continue;
        }
        if let Ok(way) = solver.path(package, &running) {
            steps.extend(way.legs.iter().map(Leg::step));
            running = way.running;
            done.insert(name);
        }
    }
    steps
}
