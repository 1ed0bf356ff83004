use std::cell::Cell;
use std::collections::BTreeMap;

use model::{Release, Version};

use super::explain::{Unmet, sentence};
use super::{Available, Gate, Installed, Policy, Step};
use crate::hash::Sha256;
use crate::manifest::Requirement;

/// Name of the packages of kind base.
const BASE: &str = "base";
/// Hops on one way; more means that the releases are badly made.
const HOPS_MAX: usize = 24;
/// Packages looked at for one card, so that no set of rules costs more than a moment.
const LOOKS_MAX: u32 = 500;

/// What runs, by name; while a way is looked for, what would run.
pub(super) type Running = BTreeMap<String, Have>;

/// One package that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Have {
    pub release: Release,
    pub sha256: Sha256,
}

impl From<&Installed> for Have {
    fn from(item: &Installed) -> Self {
        Self { release: item.release(), sha256: item.sha256 }
    }
}

/// One package on a way, and what it is for.
#[derive(Debug, Clone)]
pub(super) struct Leg<'a> {
    pub package: &'a Available,
    pub needed_by: Option<&'a Available>,
}

impl Leg<'_> {
    pub fn step(&self) -> Step {
        let label = self.package.manifest.label();
        let text = match self.needed_by {
            Some(other) => format!("Install {label}, which {} needs.", other.manifest.label()),
            None => format!("Install {label}."),
        };
        Step { target: self.package.target.clone(), text }
    }
}

/// A way: what to install in order, and what runs afterwards.
#[derive(Debug, Clone)]
pub(super) struct Way<'a> {
    pub legs: Vec<Leg<'a>>,
    pub running: Running,
}

/// There is no way.
#[derive(Debug, Clone)]
pub(super) struct Stop {
    pub missing: String,
    pub text: String,
}

/// Looks for ways among the candidates.
pub(super) struct Solver<'a> {
    candidates: &'a [&'a Available],
    policy: &'a Policy,
    looks: Cell<u32>,
}

impl<'a> Solver<'a> {
    /// `candidates` are sorted newest first within a name.
    pub fn new(candidates: &'a [&'a Available], policy: &'a Policy) -> Self {
        Self { candidates, policy, looks: Cell::new(0) }
    }

    /// What to install, in order, so that `target` runs.
    pub fn path(&self, target: &'a Available, running: &Running) -> Result<Way<'a>, Stop> {
        self.looks.set(0);
        let start = Way { legs: Vec::new(), running: running.clone() };
        self.extend(start, target, None, &mut Vec::new())
    }

    /// Appends what `target` needs and then `target` itself.
    fn extend(
        &self,
        mut way: Way<'a>,
        target: &'a Available,
        needed_by: Option<&'a Available>,
        open: &mut Vec<&'a str>,
    ) -> Result<Way<'a>, Stop> {
        self.refused(target)?;
        self.looks.set(self.looks.get() + 1);
        if self.looks.get() > LOOKS_MAX || open.len() >= HOPS_MAX {
            return Err(Stop::tangled(target));
        }
        open.push(&target.target);
        // Each round installs something newer, so this ends.
        while let Some(unmet) = self.unmet(target, &way.running) {
            way = self.meet(&unmet, &way, target, open)?;
            if way.legs.len() >= HOPS_MAX {
                return Err(Stop::tangled(target));
            }
        }
        open.pop();
        let manifest = &target.manifest;
        // Reached on the way already, by what it needed itself.
        if way.running.get(&manifest.name).is_some_and(|have| have.release >= manifest.release()) {
            return Ok(way);
        }
        let have = Have { release: manifest.release(), sha256: target.sha256 };
        way.running.insert(manifest.name.clone(), have);
        way.legs.push(Leg { package: target, needed_by });
        Ok(way)
    }

    /// Tries what could meet it, best first.
    fn meet(
        &self,
        unmet: &Unmet<'a>,
        way: &Way<'a>,
        target: &'a Available,
        open: &mut Vec<&'a str>,
    ) -> Result<Way<'a>, Stop> {
        let (mut first_stop, mut waiting) = (None, None);
        for helper in self.helpers(unmet, target, &way.running) {
            if open.contains(&helper.target.as_str()) {
                waiting.get_or_insert(helper);
                continue;
            }
            let depth = open.len();
            match self.extend(way.clone(), helper, Some(target), open) {
                Ok(way) => return Ok(way),
                Err(stop) => {
                    open.truncate(depth);
                    first_stop.get_or_insert((helper, stop));
                }
            }
        }
        let because = unmet.because(target);
        let text = match (first_stop, waiting) {
            (Some((helper, stop)), _) => {
                let label = sentence(&helper.manifest.label());
                format!("{because}. {label} would do, but {}", stop.text)
            }
            (None, Some(other)) => format!(
                "{because}. {} would do, but waits for it: ask your vendor for a way between them",
                sentence(&other.manifest.label())
            ),
            (None, None) => {
                format!("{because}. No package that helps is available: ask your vendor for one")
            }
        };
        Err(Stop { missing: unmet.missing(), text })
    }

    /// The first thing that keeps `target` from being installed on what runs.
    pub fn unmet(&self, target: &'a Available, running: &Running) -> Option<Unmet<'a>> {
        let manifest = &target.manifest;
        let mut floors: Vec<_> = manifest.floors.iter().collect();
        floors.sort();
        // A fresh appliance has nothing that must be carried through old versions.
        let have = running.get(&manifest.name).map(|have| &have.release);
        let floor = floors.into_iter().find_map(|floor| {
            let have = have.filter(|have| have.version < floor.0)?;
            Some(Unmet::Floor { floor, have: have.clone() })
        });
        let requirement = |of_base: bool| {
            let rules = manifest.requires.iter().filter(move |rule| (rule.name == BASE) == of_base);
            rules.into_iter().find_map(|rule| {
                let have = running.get(&rule.name).map(|have| have.release.clone());
                let met = have.as_ref().is_some_and(|have| rule.range.contains(&have.version));
                (!met).then_some(Unmet::Requirement { rule, have })
            })
        };
        let conflict = || {
            manifest.conflicts.iter().find_map(|rule| {
                let have = running.get(&rule.name).map(|have| have.release.clone())?;
                rule.range.contains(&have.version).then_some(Unmet::Conflict { rule, have })
            })
        };
        // The base goes before the site, also where both must pass through floors.
        requirement(true)
            .or(floor)
            .or_else(|| requirement(false))
            .or_else(conflict)
            .or_else(|| self.broken(target, running))
    }

    /// A package that runs and could not go on beside `target`.
    fn broken(&self, target: &'a Available, running: &Running) -> Option<Unmet<'a>> {
        let manifest = &target.manifest;
        running.iter().filter(|(name, _)| **name != manifest.name).find_map(|(_, have)| {
            let other = self.candidates.iter().find(|package| package.sha256 == have.sha256)?;
            let breaks = |rule: &&Requirement| {
                rule.name == manifest.name && !rule.range.contains(&manifest.version)
            };
            let rule = other.manifest.requires.iter().find(breaks)?;
            Some(Unmet::Breaks {
                rule,
                other: other.manifest.name.clone(),
                have: have.release.clone(),
            })
        })
    }

    /// Packages that would meet it, best first.
    fn helpers(
        &self,
        unmet: &Unmet<'a>,
        target: &Available,
        running: &Running,
    ) -> Vec<&'a Available> {
        let name = unmet.helper_name(target);
        let newer = |package: &&&Available| {
            let have = running.get(&package.manifest.name);
            package.manifest.name == name
                && have.is_none_or(|have| package.manifest.release() > have.release)
        };
        let all = self.candidates.iter().filter(newer).copied();
        match unmet {
            Unmet::Floor { floor, .. } => {
                let between = |p: &&Available| {
                    p.manifest.version >= floor.0
                        && p.manifest.release() < target.manifest.release()
                };
                let (mut line, mut later): (Vec<_>, Vec<_>) =
                    all.filter(between).partition(|p| same_line(&p.manifest.version, &floor.0));
                // The newest of the floor's own line, then the next lines upwards.
                later.reverse();
                line.extend(later);
                line
            }
            Unmet::Requirement { rule, .. } => {
                all.filter(|p| rule.range.contains(&p.manifest.version)).collect()
            }
            Unmet::Conflict { rule, .. } => {
                all.filter(|p| !rule.range.contains(&p.manifest.version)).collect()
            }
            Unmet::Breaks { .. } => {
                let goes_along = |p: &&Available| {
                    let rules = &p.manifest.requires;
                    let ours = |r: &&Requirement| r.name == target.manifest.name;
                    rules.iter().filter(ours).all(|r| r.range.contains(&target.manifest.version))
                };
                all.filter(goes_along).collect()
            }
        }
    }

    /// What the policy says against a package, whatever else runs.
    fn refused(&self, package: &Available) -> Result<(), Stop> {
        let (policy, manifest) = (self.policy, &package.manifest);
        let label = manifest.label();
        let stop = |missing: &str, text: String| Err(Stop { missing: missing.into(), text });
        if policy.bad.contains(&package.sha256) {
            let text = format!(
                "{label} failed on this appliance before and is not offered again by itself: wait for a newer release"
            );
            return stop("a release that works here", text);
        }
        if let Some(reason) = policy.withdrawn.get(&package.sha256) {
            let text = format!("{label} was withdrawn by the update server's operator: {reason}");
            return stop("a release that is not withdrawn", text);
        }
        if let Some(floor) = policy.floors.get(&manifest.name).filter(|f| manifest.version < **f) {
            let text = format!(
                "{label} is below {floor}, the lowest version that this appliance still takes"
            );
            return stop("a newer release", text);
        }
        let licensing = manifest.license.is_some();
        match &policy.gate {
            Gate::Open => Ok(()),
            Gate::Held(reason) => stop(
                "the end of a hold",
                format!(
                    "updates of this appliance are held by the update server's operator: {reason}"
                ),
            ),
            Gate::NotEntitled | Gate::Ended(_) if licensing => Ok(()),
            Gate::NotEntitled => stop(
                "an entitlement",
                match &policy.hostname {
                    Some(name) => format!("nothing entitles {name} to updates: ask your vendor"),
                    None => "nothing entitles this appliance to updates: ask your vendor".into(),
                },
            ),
            Gate::Ended(at) => stop(
                "a current entitlement",
                format!("the entitlement to updates ended on {at}: ask your vendor to renew it"),
            ),
        }
    }
}

fn same_line(a: &Version, b: &Version) -> bool {
    (a.major, a.minor) == (b.major, b.minor)
}

impl Stop {
    fn tangled(target: &Available) -> Self {
        let text = format!(
            "{} needs more steps than one plan may have: ask your vendor for the way",
            target.manifest.label()
        );
        Self { missing: "a shorter way".into(), text }
    }
}
