//! Verified metadata, and the search through it for a target.

use std::collections::{BTreeMap, BTreeSet};

use model::Timestamp as Moment;

use crate::check::{check_expiry, check_file, demand_role};
use crate::error::{Error, Reason, TargetReason};
use crate::limits::{Limits, length_max};
use crate::names;
use crate::refresh::{Change, Event, Stored, Want, read_root, read_signed, save};
use crate::schema::{RoleType, Root, Snapshot, Targets, Timestamp};
use crate::target::VerifiedTarget;

/// All metadata of one moment, verified: what a finished refresh leaves.
///
/// It holds the top-level roles; delegated roles are fetched when a search needs them.
#[derive(Debug, Clone)]
pub struct TrustedSet {
    limits: Limits,
    now: Moment,
    root: Root,
    snapshot: Snapshot,
    targets: Targets,
    /// Delegated roles as they were stored: tried before fetching.
    stored: BTreeMap<String, Vec<u8>>,
    /// Delegated roles that were verified, by the way that led to them: two roles may delegate
    /// to a third with different keys.
    verified: BTreeMap<Way, Targets>,
}

/// The role at its end, and who delegated to it, from `targets` on; `targets` itself is left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Way(Vec<String>);

impl Way {
    fn role(&self) -> &str {
        self.0.last().map_or("targets", String::as_str)
    }

    fn is_top(&self) -> bool {
        self.0.is_empty()
    }

    fn to(&self, role: &str) -> Self {
        Self(self.0.iter().map(String::as_str).chain([role]).map(str::to_owned).collect())
    }

    /// Who delegated; `targets` for itself.
    fn parent(&self) -> Self {
        Self(self.0[..self.0.len().saturating_sub(1)].to_vec())
    }
}

/// What a search came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// The metadata of this role is needed first: give it to [`TrustedSet::on`] and search again.
    Need(Need),
    /// The target.
    Found(VerifiedTarget),
}

/// A delegated role that must be fetched before the search goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The file to fetch.
    pub want: Want,
    way: Way,
}

/// Where a step of the search led.
enum Visit {
    Need(Need),
    Children { children: Vec<Way>, terminating: bool },
    Found(VerifiedTarget),
}

impl TrustedSet {
    pub(crate) fn new(
        limits: Limits,
        now: Moment,
        root: Root,
        snapshot: Snapshot,
        targets: Targets,
        stored: BTreeMap<String, Vec<u8>>,
    ) -> Self {
        Self { limits, now, root, snapshot, targets, stored, verified: BTreeMap::new() }
    }

    /// What was trusted before, verified again without asking any repository.
    ///
    /// # Errors
    /// When something is missing, damaged or expired, or does not fit together.
    pub fn from_stored(stored: Stored, now: Moment, limits: Limits) -> Result<Self, Error> {
        let root = read_root(&stored.root)?;
        check_expiry(&root, now).map_err(Error::stored("root"))?;
        let timestamp = || {
            let bytes = stored.timestamp.as_deref().ok_or(Reason::Missing)?;
            let timestamp: Timestamp = read_signed(&root, bytes)?;
            check_expiry(&timestamp, now)?;
            let named = timestamp.meta.get(Timestamp::SNAPSHOT).ok_or(Reason::Missing)?;
            Ok(named.clone())
        };
        let named = timestamp().map_err(Error::stored("timestamp"))?;
        let snapshot = || {
            let bytes = stored.snapshot.as_deref().ok_or(Reason::Missing)?;
            check_file(bytes, &named)?;
            let snapshot: Snapshot = read_signed(&root, bytes)?;
            check_expiry(&snapshot, now)?;
            if snapshot.version == named.version {
                return Ok(snapshot);
            }
            let (expected, offered) = (named.version, snapshot.version);
            Err(Reason::WrongVersion { expected, offered })
        };
        let snapshot = snapshot().map_err(Error::stored("snapshot"))?;
        let targets = || {
            let named = snapshot.meta.get("targets.json").ok_or(Reason::NotInSnapshot)?;
            let bytes = stored.roles.get("targets").ok_or(Reason::Missing)?;
            demand_role(bytes, root.authority(RoleType::Targets), named, now)
        };
        let targets = targets().map_err(Error::stored("targets"))?;
        Ok(Self::new(limits, now, root, snapshot, targets, stored.roles))
    }

    /// The root that everything here was verified with.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// The snapshot that says which versions belong together.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The top-level targets.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// Searches for a target: pre-order, most trusted role first.
    ///
    /// # Errors
    /// When no role names it, when a role on the way is refused, or at the limit of roles.
    pub fn lookup(&mut self, name: &str) -> Result<Lookup, Error> {
        match self.walk(Some(name))? {
            Some(Visit::Found(target)) => Ok(Lookup::Found(target)),
            Some(Visit::Need(need)) => Ok(Lookup::Need(need)),
            _ => Err(Error::target(name, TargetReason::Unknown)),
        }
    }

    /// The next delegated role that was not verified yet, whatever targets it speaks for.
    ///
    /// For who passes the whole repository on: give each to [`TrustedSet::on`] and ask again.
    ///
    /// # Errors
    /// As [`TrustedSet::lookup`].
    pub fn next_role(&mut self) -> Result<Option<Need>, Error> {
        Ok(match self.walk(None)? {
            Some(Visit::Need(need)) => Some(need),
            _ => None,
        })
    }

    /// Takes the metadata of a delegated role that was needed, and says what to save.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn on(&mut self, need: &Need, event: Event) -> Result<Vec<Change>, Error> {
        let refused = Error::repository(need.want.role.clone());
        let bytes = match event {
            Event::Missing => return Err(refused(Reason::Missing)),
            Event::Fetched(bytes) if bytes.len() as u64 > need.want.max_length => {
                return Err(refused(Reason::TooLong { max: need.want.max_length }));
            }
            Event::Fetched(bytes) => bytes,
        };
        let targets = self.verify(&need.way, &bytes).map_err(refused)?;
        let changes = vec![save(&need.want.role, targets.version, &bytes)];
        self.stored.insert(need.want.role.clone(), bytes);
        self.verified.insert(need.way.clone(), targets);
        Ok(changes)
    }

    /// Visits delegated roles in order of trust, those for one target or all, until something
    /// is found or needed.
    fn walk(&mut self, name: Option<&str>) -> Result<Option<Visit>, Error> {
        let limit = self.limits.delegations;
        let too_many = || Error::target(name.unwrap_or("*"), TargetReason::TooManyRoles { limit });
        let mut visited = BTreeSet::new();
        let mut to_visit = vec![Way::default()];
        while let Some(way) = to_visit.pop() {
            if visited.contains(way.role()) {
                continue;
            }
            if visited.len() > limit as usize || way.0.len() > self.limits.delegation_depth as usize
            {
                return Err(too_many());
            }
            match self.visit(&way, name)? {
                Visit::Children { children, terminating } => {
                    visited.insert(way.role().to_owned());
                    if terminating {
                        to_visit.clear();
                    }
                    to_visit.extend(children.into_iter().rev());
                }
                end => return Ok(Some(end)),
            }
        }
        Ok(None)
    }

    fn visit(&mut self, way: &Way, name: Option<&str>) -> Result<Visit, Error> {
        if !way.is_top() && !self.verified.contains_key(way) && !self.use_stored(way) {
            return self.need(way).map(Visit::Need);
        }
        let targets = self.at(way).ok_or(Error::NotAsked)?;
        if let Some(name) = name
            && let Some(file) = targets.targets.get(name)
        {
            let consistent = self.root.consistent_snapshot;
            return VerifiedTarget::new(name, way.role(), file, consistent).map(Visit::Found);
        }
        let mut children = Vec::new();
        for role in targets.delegated() {
            if name.is_none_or(|name| role.speaks_for(name)) {
                children.push(way.to(&role.name));
                if name.is_some() && role.terminating {
                    return Ok(Visit::Children { children, terminating: true });
                }
            }
        }
        Ok(Visit::Children { children, terminating: false })
    }

    fn need(&self, way: &Way) -> Result<Need, Error> {
        let role = way.role();
        let named = self.snapshot.meta.get(&format!("{role}.json"));
        let named = named.ok_or(Reason::NotInSnapshot).map_err(Error::repository(role))?;
        let file = if self.root.consistent_snapshot {
            names::versioned_role_file(role, named.version)
        } else {
            names::role_file(role)
        };
        let max_length = length_max(named, self.limits.targets);
        let want = Want { role: role.to_owned(), file, max_length };
        Ok(Need { want, way: way.clone() })
    }

    /// Takes the stored metadata of a role if it is the one that the snapshot names.
    fn use_stored(&mut self, way: &Way) -> bool {
        let verified = self
            .stored
            .get(way.role())
            .and_then(|bytes| self.verify(way, bytes).ok())
            .map(|targets| self.verified.insert(way.clone(), targets));
        verified.is_some()
    }

    fn verify(&self, way: &Way, bytes: &[u8]) -> Result<Targets, Reason> {
        let named = self.snapshot.meta.get(&format!("{}.json", way.role()));
        let parent = self.at(&way.parent()).and_then(|targets| targets.delegations.as_ref());
        let authority = parent.and_then(|delegations| delegations.authority(way.role()));
        let authority =
            authority.ok_or_else(|| Reason::Malformed("nobody delegates to it any more".into()))?;
        demand_role(bytes, authority, named.ok_or(Reason::NotInSnapshot)?, self.now)
    }

    /// The verified metadata at the end of a way.
    fn at(&self, way: &Way) -> Option<&Targets> {
        if way.is_top() { Some(&self.targets) } else { self.verified.get(way) }
    }
}
