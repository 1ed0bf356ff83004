//! The client's way from the root it trusts to the newest metadata: a state machine.
//!
//! ```text
//!   Root ──Missing──▶ Timestamp ──▶ Snapshot ──▶ Targets ──▶ Done
//!    ↺ Fetched(N+1)        └── what is stored is still right: skipped ──┘
//! ```
//!
//! The shell asks [`Refresh::want`], fetches, feeds an [`Event`] to [`Refresh::on`], and saves the
//! [`Change`]s that come back, all of them or none, before it asks again. An error leaves what is
//! trusted as it was. The order and the checks are those of section 5 of The Update Framework's
//! specification.

use std::collections::BTreeMap;

use model::Timestamp as Moment;

use crate::check::{check_expiry, check_file, demand_role};
use crate::error::{Error, Reason};
use crate::limits::{Limits, length_max};
use crate::names;
use crate::schema::{MetaFile, Metadata, RoleType, Root, Snapshot, Targets, Timestamp};
use crate::trusted::TrustedSet;
use crate::verify::Envelope;

/// The metadata that was trusted before, byte for byte, as a store gives it back.
///
/// The store vouches that nobody changed it; a store that cannot uses [`Stored::demand_whole`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stored {
    /// The root: all trust starts here.
    pub root: Vec<u8>,
    /// The timestamp last trusted.
    pub timestamp: Option<Vec<u8>>,
    /// The snapshot last trusted.
    pub snapshot: Option<Vec<u8>>,
    /// `targets` and delegated roles, by role: they only save fetching.
    pub roles: BTreeMap<String, Vec<u8>>,
}

impl Stored {
    /// Demands that root, timestamp and snapshot are all there and signed by the root's keys.
    ///
    /// For a store that lost its checksums: whatever is damaged is then found by its signature.
    ///
    /// # Errors
    /// Which of them is missing or damaged.
    pub fn demand_whole(&self) -> Result<(), Error> {
        fn whole<T: Metadata>(root: &Root, bytes: Option<&Vec<u8>>) -> Result<T, Error> {
            bytes
                .ok_or(Reason::Missing)
                .and_then(|bytes| read_signed(root, bytes))
                .map_err(Error::stored(T::TYPE.as_str()))
        }
        let root = read_root(&self.root)?;
        whole::<Timestamp>(&root, self.timestamp.as_ref())?;
        whole::<Snapshot>(&root, self.snapshot.as_ref())?;
        Ok(())
    }
}

/// A file to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// The role that it belongs to.
    pub role: String,
    /// Its name below the address of all metadata, percent-encoded: `2.root.json`.
    pub file: String,
    /// Fetch at most so many bytes; a longer file is refused.
    pub max_length: u64,
}

/// What came of fetching what was wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The repository has no such file.
    Missing,
    /// The repository's bytes; one more than wanted is enough to be refused.
    Fetched(Vec<u8>),
}

/// What the store must do. Changes that come together are made together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Keep these bytes for the role, in place of earlier ones.
    Save {
        /// The role.
        role: String,
        /// The version that the bytes have.
        version: u64,
        /// Byte for byte what came.
        bytes: Vec<u8>,
    },
    /// Have nothing for the role any more.
    Forget {
        /// The role.
        role: String,
    },
}

/// Where the refresh stands.
#[derive(Debug, Clone)]
enum Phase {
    Root { rotations: u32 },
    Timestamp,
    Snapshot { snapshot: MetaFile },
    Targets { snapshot: Snapshot },
    Done { snapshot: Snapshot, targets: Box<Targets> },
}

/// One refresh.
#[derive(Debug, Clone)]
pub struct Refresh {
    limits: Limits,
    now: Moment,
    stored: Stored,
    root: Root,
    /// Seen and believed before: nothing older than these is accepted.
    timestamp: Option<Timestamp>,
    snapshot: Option<Snapshot>,
    phase: Phase,
}

impl Refresh {
    /// Starts from what was trusted before; `now` counts for all expiry dates of this refresh.
    ///
    /// # Errors
    /// When what was trusted before is damaged.
    pub fn new(stored: Stored, now: Moment, limits: Limits) -> Result<Self, Error> {
        let root = read_root(&stored.root)?;
        let timestamp = read_seen(stored.timestamp.as_ref())?;
        let snapshot = read_seen(stored.snapshot.as_ref())?;
        let phase = Phase::Root { rotations: 0 };
        Ok(Self { limits, now, stored, root, timestamp, snapshot, phase })
    }

    /// The file to fetch next; nothing when the refresh is done.
    pub fn want(&self) -> Option<Want> {
        let limits = &self.limits;
        let want = |role: RoleType, version: Option<u64>, max_length: u64| {
            let file = version.map_or_else(
                || names::role_file(role.as_str()),
                |version| names::versioned_role_file(role.as_str(), version),
            );
            Some(Want { role: role.as_str().to_owned(), file, max_length })
        };
        let consistent = |version| self.root.consistent_snapshot.then_some(version);
        match &self.phase {
            Phase::Root { .. } => want(RoleType::Root, Some(self.root.version + 1), limits.root),
            Phase::Timestamp => want(RoleType::Timestamp, None, limits.timestamp),
            Phase::Snapshot { snapshot } => want(
                RoleType::Snapshot,
                consistent(snapshot.version),
                length_max(snapshot, limits.snapshot),
            ),
            Phase::Targets { snapshot } => {
                let targets = snapshot.meta.get("targets.json")?;
                let max = length_max(targets, limits.targets);
                want(RoleType::Targets, consistent(targets.version), max)
            }
            Phase::Done { .. } => None,
        }
    }

    /// Takes what came and says what to save.
    ///
    /// # Errors
    /// Why what came is refused; the refresh is over and what is trusted stays as it was.
    pub fn on(&mut self, event: Event) -> Result<Vec<Change>, Error> {
        let Some(want) = self.want() else { return Err(Error::NotAsked) };
        let refused = Error::repository(want.role.clone());
        match (event, self.phase.clone()) {
            (_, Phase::Done { .. }) => Err(Error::NotAsked),
            (Event::Missing, Phase::Root { .. }) => self.end_of_roots(),
            (Event::Missing, _) => Err(refused(Reason::Missing)),
            (Event::Fetched(bytes), _) if bytes.len() as u64 > want.max_length => {
                Err(refused(Reason::TooLong { max: want.max_length }))
            }
            (Event::Fetched(bytes), Phase::Root { rotations }) => {
                self.next_root(bytes, rotations).map_err(refused)
            }
            (Event::Fetched(bytes), Phase::Timestamp) => self.new_timestamp(bytes),
            (Event::Fetched(bytes), Phase::Snapshot { snapshot }) => {
                self.new_snapshot(bytes, &snapshot)
            }
            (Event::Fetched(bytes), Phase::Targets { snapshot }) => {
                self.new_targets(bytes, snapshot).map_err(refused)
            }
        }
    }

    /// All verified metadata, once the refresh is done.
    ///
    /// # Errors
    /// Gives the refresh back when it is not.
    pub fn finish(self) -> Result<TrustedSet, Box<Self>> {
        let Phase::Done { snapshot, targets } = self.phase else { return Err(Box::new(self)) };
        let (root, stored) = (self.root, self.stored.roles);
        Ok(TrustedSet::new(self.limits, self.now, root, snapshot, *targets, stored))
    }

    /// Version N+1 must satisfy the thresholds of both N and N+1.
    fn next_root(&mut self, bytes: Vec<u8>, rotations: u32) -> Result<Vec<Change>, Reason> {
        if rotations >= self.limits.root_rotations {
            return Err(Reason::TooManyRoots { limit: self.limits.root_rotations });
        }
        let envelope = Envelope::read(&bytes)?;
        envelope.demand(self.root.authority(RoleType::Root))?;
        let root: Root = envelope.body()?;
        envelope.demand(root.authority(RoleType::Root))?;
        let expected = self.root.version + 1;
        if root.version != expected {
            return Err(Reason::WrongVersion { expected, offered: root.version });
        }
        let mut changes = vec![save("root", root.version, &bytes)];
        changes.extend(self.recover_from_fast_forward(&root));
        (self.root, self.stored.root) = (root, bytes);
        self.phase = Phase::Root { rotations: rotations + 1 };
        Ok(changes)
    }

    /// A key that was taken away may have signed versions from the far future; its word on
    /// versions no longer counts.
    fn recover_from_fast_forward(&mut self, next: &Root) -> Vec<Change> {
        let rotated = |role| self.root.rotates(role, next);
        if !rotated(RoleType::Timestamp) && !rotated(RoleType::Snapshot) {
            return Vec::new();
        }
        (self.timestamp, self.snapshot) = (None, None);
        (self.stored.timestamp, self.stored.snapshot) = (None, None);
        ["timestamp", "snapshot"].map(|role| Change::Forget { role: role.into() }).into()
    }

    fn end_of_roots(&mut self) -> Result<Vec<Change>, Error> {
        check_expiry(&self.root, self.now).map_err(Error::repository("root"))?;
        self.phase = Phase::Timestamp;
        Ok(Vec::new())
    }

    fn new_timestamp(&mut self, bytes: Vec<u8>) -> Result<Vec<Change>, Error> {
        let refused = || Error::repository("timestamp");
        let mut offered: Timestamp = read_signed(&self.root, &bytes).map_err(refused())?;
        let mut changes = Vec::new();
        match self.kept_timestamp(&offered).map_err(refused())? {
            Some(kept) => offered = kept,
            None => changes.push(save("timestamp", offered.version, &bytes)),
        }
        check_expiry(&offered, self.now).map_err(refused())?;
        let snapshot = snapshot_of(&offered).map_err(refused())?.clone();
        self.timestamp = Some(offered);
        self.after_timestamp(snapshot)?;
        Ok(changes)
    }

    /// The timestamp that was seen before, when the offered one is the same version.
    fn kept_timestamp(&self, offered: &Timestamp) -> Result<Option<Timestamp>, Reason> {
        let Some(seen) = &self.timestamp else { return Ok(None) };
        let still_signed = || {
            let bytes = self.stored.timestamp.as_ref()?;
            read_signed::<Timestamp>(&self.root, bytes).ok()
        };
        if offered.version < seen.version {
            return Err(rollback("timestamp.json", seen.version, offered.version));
        }
        if offered.version == seen.version && still_signed().is_some() {
            return Ok(Some(seen.clone()));
        }
        let (was, is) = (snapshot_of(seen)?.version, snapshot_of(offered)?.version);
        if is < was {
            return Err(rollback(Timestamp::SNAPSHOT, was, is));
        }
        Ok(None)
    }

    /// Goes on with the stored snapshot when it is the one that the timestamp names.
    fn after_timestamp(&mut self, snapshot: MetaFile) -> Result<(), Error> {
        let current = self.stored.snapshot.as_ref().and_then(|bytes| {
            check_file(bytes, &snapshot).ok()?;
            let current: Snapshot = read_signed(&self.root, bytes).ok()?;
            check_expiry(&current, self.now).ok()?;
            (current.version == snapshot.version).then_some(current)
        });
        if let Some(current) = current {
            return self.after_snapshot(current);
        }
        self.phase = Phase::Snapshot { snapshot };
        Ok(())
    }

    fn new_snapshot(&mut self, bytes: Vec<u8>, named: &MetaFile) -> Result<Vec<Change>, Error> {
        let refused = || Error::repository("snapshot");
        check_file(&bytes, named).map_err(refused())?;
        let offered: Snapshot = read_signed(&self.root, &bytes).map_err(refused())?;
        if offered.version != named.version {
            let reason = Reason::WrongVersion { expected: named.version, offered: offered.version };
            return Err(refused()(reason));
        }
        self.refuse_older_files(&offered).map_err(refused())?;
        check_expiry(&offered, self.now).map_err(refused())?;
        let mut changes = vec![save("snapshot", offered.version, &bytes)];
        changes.extend(self.forget_unnamed(&offered));
        self.stored.snapshot = Some(bytes);
        self.snapshot = Some(offered.clone());
        self.after_snapshot(offered)?;
        Ok(changes)
    }

    /// No file that was ever seen may vanish or become older.
    fn refuse_older_files(&self, offered: &Snapshot) -> Result<(), Reason> {
        let Some(seen) = &self.snapshot else { return Ok(()) };
        if offered.version < seen.version {
            return Err(rollback(Timestamp::SNAPSHOT, seen.version, offered.version));
        }
        for (name, was) in &seen.meta {
            let is = offered.meta.get(name).ok_or_else(|| Reason::Vanished(name.clone()))?;
            if is.version < was.version {
                return Err(rollback(name, was.version, is.version));
            }
        }
        Ok(())
    }

    /// Roles that the snapshot no longer names, which only a recovery brings about.
    fn forget_unnamed(&mut self, snapshot: &Snapshot) -> Vec<Change> {
        let named = |role: &String| snapshot.meta.contains_key(&format!("{role}.json"));
        let gone: Vec<String> =
            self.stored.roles.keys().filter(|role| !named(role)).cloned().collect();
        for role in &gone {
            self.stored.roles.remove(role);
        }
        gone.into_iter().map(|role| Change::Forget { role }).collect()
    }

    /// Goes on with the stored targets when they are the ones that the snapshot names.
    fn after_snapshot(&mut self, snapshot: Snapshot) -> Result<(), Error> {
        let named = snapshot.meta.get("targets.json").ok_or(Reason::NotInSnapshot);
        let named = named.map_err(Error::repository("targets"))?;
        let authority = self.root.authority(RoleType::Targets);
        let current = self
            .stored
            .roles
            .get("targets")
            .and_then(|bytes| demand_role(bytes, authority, named, self.now).ok());
        self.phase = match current {
            Some(targets) => Phase::Done { snapshot, targets: Box::new(targets) },
            None => Phase::Targets { snapshot },
        };
        Ok(())
    }

    fn new_targets(&mut self, bytes: Vec<u8>, snapshot: Snapshot) -> Result<Vec<Change>, Reason> {
        let named = snapshot.meta.get("targets.json").ok_or(Reason::NotInSnapshot)?;
        let authority = self.root.authority(RoleType::Targets);
        let targets = demand_role(&bytes, authority, named, self.now)?;
        let changes = vec![save("targets", targets.version, &bytes)];
        self.stored.roles.insert("targets".to_owned(), bytes);
        self.phase = Phase::Done { snapshot, targets: Box::new(targets) };
        Ok(changes)
    }
}

pub(crate) fn save(role: &str, version: u64, bytes: &[u8]) -> Change {
    Change::Save { role: role.to_owned(), version, bytes: bytes.to_vec() }
}

fn rollback(file: &str, trusted: u64, offered: u64) -> Reason {
    Reason::Rollback { file: file.to_owned(), trusted, offered }
}

fn snapshot_of(timestamp: &Timestamp) -> Result<&MetaFile, Reason> {
    let named = timestamp.meta.get(Timestamp::SNAPSHOT);
    named.ok_or_else(|| Reason::Malformed("it does not name snapshot.json".into()))
}

/// A root that was trusted before, or that a person trusts: signed by its own keys.
///
/// # Errors
/// When the bytes are no root, or not signed by its own keys.
pub fn read_root(bytes: &[u8]) -> Result<Root, Error> {
    let read = || {
        let envelope = Envelope::read(bytes)?;
        let root: Root = envelope.body()?;
        envelope.demand(root.authority(RoleType::Root))?;
        Ok(root)
    };
    read().map_err(Error::stored("root"))
}

/// Demands that a root led to the one after it: that its keys signed the next one.
///
/// This way a client that began with a later root completes the chain for others that began
/// earlier. It says nothing for the old root itself: whoever follows it verifies it anew.
///
/// # Errors
/// Why the old root does not stand before the next one.
pub fn demand_predecessor(old: &[u8], next: &[u8]) -> Result<(), Error> {
    let next_root = read_root(next)?;
    let demand = || {
        let envelope = Envelope::read(old)?;
        let root: Root = envelope.body()?;
        envelope.demand(root.authority(RoleType::Root))?;
        let expected = next_root.version - 1;
        if root.version != expected {
            return Err(Reason::WrongVersion { expected, offered: root.version });
        }
        Envelope::read(next)?.demand(root.authority(RoleType::Root))
    };
    demand().map_err(Error::repository("root"))
}

/// Top-level metadata, signed by the keys that the root names for it.
pub(crate) fn read_signed<T: Metadata>(root: &Root, bytes: &[u8]) -> Result<T, Reason> {
    let envelope = Envelope::read(bytes)?;
    envelope.demand(root.authority(T::TYPE))?;
    envelope.body()
}

/// Metadata that was believed when it was stored: its versions count even when the keys that
/// signed it were joined by more, or must now be more.
fn read_seen<T: Metadata>(bytes: Option<&Vec<u8>>) -> Result<Option<T>, Error> {
    let read = |bytes: &Vec<u8>| Envelope::read(bytes)?.body();
    bytes.map(read).transpose().map_err(Error::stored(T::TYPE.as_str()))
}
