//! One TUF repository on disk: what is published, and how something is added in one step.
//!
//! `metadata/` holds every `N.root.json` and `N.ROLE.json` and the one `timestamp.json`; `targets/` the
//! files with their hash in front of their name. Whatever a change writes is not looked at by anybody
//! until `timestamp.json` is replaced as the last step, so a change that is cut leaves the old state.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use model::Timestamp;
use release::Sha256;
use tuf::schema::{
    MetaFile, Metadata, Role, RoleType, Root, Snapshot, Targets, Timestamp as Stamp,
};
use tuf::{KeyId, Signed, role_file, versioned_role_file};

use crate::files;
use crate::keys::KeyRing;
use crate::when::Span;

/// Bytes of the longest metadata file that is read.
const METADATA_MAX: usize = 8 << 20;

/// Delegated roles with the targets they speak for.
pub const DELEGATIONS: [(&str, &[&str]); 3] = [
    ("base", &["base/*"]),
    ("site", &["site/*", "license/*"]),
    ("agent", &["agent/*", "console/*"]),
];

/// How long each role is believed after it was signed.
#[derive(Clone, Copy)]
pub struct Lifetimes {
    pub root: Span,
    pub targets: Span,
    pub snapshot: Span,
    pub timestamp: Span,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            root: Span::days(365),
            targets: Span::days(365),
            snapshot: Span::days(90),
            timestamp: Span::days(14),
        }
    }
}

/// A repository that this process alone changes.
pub struct Repo {
    dir: PathBuf,
    pub root: Signed<Root>,
    targets: BTreeMap<String, Signed<Targets>>,
    snapshot: Option<Signed<Snapshot>>,
    /// What the timestamp says of the snapshot.
    snapshot_file: Option<MetaFile>,
    timestamp: Option<u64>,
    dirty: BTreeSet<String>,
    _lock: File,
}

impl Repo {
    /// An empty repository in a folder that has none.
    pub fn create(dir: &Path, root: Signed<Root>, targets: Targets) -> Result<Self> {
        let metadata = dir.join("metadata");
        let lock = lock(dir)?;
        if metadata.join("timestamp.json").exists() {
            bail!("{} holds a repository already: give another folder", dir.display());
        }
        let mut roles = BTreeMap::from([("targets".to_owned(), Signed::new(targets))]);
        for (role, _) in DELEGATIONS {
            roles.insert(role.to_owned(), Signed::new(Targets::new(0, Timestamp(0))));
        }
        let dirty = roles.keys().cloned().collect();
        for role in roles.values_mut() {
            // The first commit makes it version 1.
            role.signed.version = 0;
        }
        let dir = dir.to_owned();
        Ok(Self {
            dir,
            root,
            targets: roles,
            snapshot: None,
            snapshot_file: None,
            timestamp: None,
            dirty,
            _lock: lock,
        })
    }

    /// The repository as its timestamp names it, from its newest root on.
    pub fn open(dir: &Path) -> Result<Self> {
        let lock = lock(dir)?;
        sweep(dir)?;
        let read = |file: &str| read(dir, file);
        if !dir.join("metadata/1.root.json").exists() {
            bail!("{} holds no repository: make one with `sluis-release repo init`", dir.display());
        }
        let mut version = 1;
        while dir.join("metadata").join(versioned_role_file("root", version + 1)).exists() {
            version += 1;
        }
        let root: Signed<Root> = parse(&versioned_role_file("root", version), &read)?;
        let stamp: Signed<Stamp> = parse("timestamp.json", &read)?;
        let named =
            stamp.signed.meta.get(Stamp::SNAPSHOT).context("the timestamp names no snapshot")?;
        let snapshot: Signed<Snapshot> =
            parse(&versioned_role_file("snapshot", named.version), &read)?;
        let mut targets = BTreeMap::new();
        for (file, meta) in &snapshot.signed.meta {
            let role = file.strip_suffix(".json").unwrap_or(file);
            targets
                .insert(role.to_owned(), parse(&versioned_role_file(role, meta.version), &read)?);
        }
        if !targets.contains_key("targets") {
            bail!("{}: the snapshot names no targets.json", dir.display());
        }
        Ok(Self {
            dir: dir.to_owned(),
            root,
            targets,
            snapshot: Some(snapshot),
            snapshot_file: Some(named.clone()),
            timestamp: Some(stamp.signed.version),
            dirty: BTreeSet::new(),
            _lock: lock,
        })
    }

    /// The targets that a role speaks for, to be changed; it is signed anew at the next commit.
    pub fn role_mut(&mut self, role: &str) -> Result<&mut Targets> {
        self.dirty.insert(role.to_owned());
        let found = self.targets.get_mut(role).map(|signed| &mut signed.signed);
        found.with_context(|| format!("this repository has no role “{role}”"))
    }

    /// The targets that a role speaks for.
    pub fn role(&self, role: &str) -> Option<&Targets> {
        self.targets.get(role).map(|signed| &signed.signed)
    }

    /// The delegated role that speaks for a target.
    pub fn role_for(&self, target: &str) -> Result<String> {
        let top = self.role("targets").context("there are no top-level targets")?;
        let role = top.delegated().find(|role| role.speaks_for(target));
        let role = role.map(|role| role.name.clone());
        role.with_context(|| format!("no role of this repository speaks for {target}"))
    }

    /// Puts a file where clients look for the target of that name and content.
    pub fn place_target(&self, name: &str, sha256: Sha256, source: &Path) -> Result<()> {
        let (folder, file) = name.rsplit_once('/').context("a target lies in a folder")?;
        let place = self.dir.join("targets").join(folder).join(format!("{sha256}.{file}"));
        if place.exists() && files::hash_file(&place)?.1 == sha256 {
            return Ok(());
        }
        files::write_with(&place, |out| {
            let mut from = File::open(source)?;
            std::io::copy(&mut from, out).map(|_| ())
        })?;
        let (_, written) = files::hash_file(&place)?;
        if written != sha256 {
            fs::remove_file(&place)
                .with_context(|| format!("cannot remove {}", place.display()))?;
            bail!("{} changed while it was read: try again", source.display());
        }
        Ok(())
    }

    /// Replaces the root by its next version, which was checked before.
    pub fn adopt_root(&mut self, root: Signed<Root>, bytes: &[u8]) -> Result<()> {
        self.write(&versioned_role_file("root", root.signed.version), bytes)?;
        self.root = root;
        Ok(())
    }

    /// Signs and writes what changed, then the snapshot, and last the timestamp, which makes it public.
    pub fn commit(&mut self, ring: &KeyRing, now: Timestamp, lives: Lifetimes) -> Result<()> {
        self.refresh_signers()?;
        let mut written = Vec::new();
        let top = self.targets["targets"].signed.clone();
        for role in &self.dirty {
            let signed = self.targets.get_mut(role).context("a changed role is there")?;
            signed.signed.version += 1;
            signed.signed.expires = now.plus(lives.targets.0);
            *signed = Signed::new(signed.signed.clone());
            let (keyids, threshold) = signers(&self.root.signed, &top, role)?;
            sign(role, signed, &keyids, threshold, ring)?;
            written.push((versioned_role_file(role, signed.signed.version), signed.to_bytes()?));
        }
        // What did not change keeps its words, whoever wrote that file.
        let mut meta = self.snapshot.as_ref().map_or_else(BTreeMap::new, |s| s.signed.meta.clone());
        for role in std::mem::take(&mut self.dirty) {
            let signed = &self.targets[&role];
            meta.insert(role_file(&role), MetaFile::of(signed.signed.version, &signed.to_bytes()?));
        }
        let version = self.snapshot.as_ref().map_or(1, |old| old.signed.version + 1);
        let mut snapshot = Signed::new(Snapshot::new(version, now.plus(lives.snapshot.0), meta));
        self.sign_top(RoleType::Snapshot, &mut snapshot, ring)?;
        let bytes = snapshot.to_bytes()?;
        self.snapshot_file = Some(MetaFile::of(version, &bytes));
        written.push((versioned_role_file("snapshot", version), bytes));
        self.snapshot = Some(snapshot);
        let timestamp = self.make_timestamp(ring, now, lives)?;
        for (file, bytes) in &written {
            self.write(file, bytes)?;
        }
        self.write("timestamp.json", &timestamp)
    }

    /// Signs the timestamp anew, and the snapshot too when its keys changed.
    pub fn refresh(&mut self, ring: &KeyRing, now: Timestamp, lives: Lifetimes) -> Result<()> {
        let snapshot = self.snapshot.as_ref().context("there is no snapshot")?;
        let role =
            self.root.signed.role(RoleType::Snapshot).context("there is no snapshot role")?;
        let ending = snapshot.signed.expires <= now.plus(lives.timestamp.0);
        if ending || !is_signed(snapshot, role) {
            return self.commit(ring, now, lives);
        }
        self.refresh_signers()?;
        if !self.dirty.is_empty() {
            return self.commit(ring, now, lives);
        }
        let timestamp = self.make_timestamp(ring, now, lives)?;
        self.write("timestamp.json", &timestamp)
    }

    fn make_timestamp(
        &mut self,
        ring: &KeyRing,
        now: Timestamp,
        lives: Lifetimes,
    ) -> Result<Vec<u8>> {
        let named = self.snapshot_file.clone().context("there is no snapshot")?;
        let version = self.timestamp.map_or(1, |old| old + 1);
        let mut stamp = Signed::new(Stamp::new(version, now.plus(lives.timestamp.0), named));
        self.sign_top(RoleType::Timestamp, &mut stamp, ring)?;
        self.timestamp = Some(version);
        Ok(stamp.to_bytes()?)
    }

    /// Marks roles whose signers changed since they were signed.
    fn refresh_signers(&mut self) -> Result<()> {
        let top = self.targets["targets"].signed.clone();
        for (role, signed) in &self.targets {
            let (keyids, threshold) = signers(&self.root.signed, &top, role)?;
            let count = signed.signatures.iter().filter(|s| keyids.contains(&s.keyid)).count();
            if count < threshold as usize {
                self.dirty.insert(role.clone());
            }
        }
        Ok(())
    }

    fn sign_top<T: Metadata>(
        &self,
        kind: RoleType,
        body: &mut Signed<T>,
        ring: &KeyRing,
    ) -> Result<()> {
        let role =
            self.root.signed.role(kind).with_context(|| format!("the root names no {kind}"))?;
        sign(kind.as_str(), body, &role.keyids, role.threshold, ring)
    }

    fn write(&self, file: &str, bytes: &[u8]) -> Result<()> {
        files::write_atomic(&self.dir.join("metadata").join(file), bytes)
    }

    /// Writes the first root; later ones go through [`Repo::adopt_root`].
    pub fn write_first_root(&self) -> Result<()> {
        self.write("1.root.json", &self.root.to_bytes()?)
    }
}

/// Who signs for a role: the root says it for `targets`, and that for the delegated ones.
fn signers(root: &Root, top: &Targets, role: &str) -> Result<(Vec<KeyId>, u32)> {
    if role == "targets" {
        let role = root.role(RoleType::Targets).context("the root names no targets role")?;
        return Ok((role.keyids.clone(), role.threshold));
    }
    let found = top.delegated().find(|delegated| delegated.name == role);
    let found = found.with_context(|| format!("nothing delegates to the role “{role}”"))?;
    Ok((found.keyids.clone(), found.threshold))
}

/// Signs with every key at hand that counts, and demands enough of them.
pub fn sign<T: Metadata>(
    role: &str,
    body: &mut Signed<T>,
    keyids: &[KeyId],
    threshold: u32,
    ring: &KeyRing,
) -> Result<()> {
    let keys: Vec<_> = keyids.iter().filter_map(|id| ring.get(id)).collect();
    if keys.len() < threshold as usize {
        bail!(
            "{role} needs {threshold} of its {} keys to sign, and {} of them are in {}: add `--keys` with the folder of the others",
            keyids.len(),
            keys.len(),
            ring.places()
        );
    }
    for key in keys {
        body.sign_with(key)?;
    }
    Ok(())
}

fn is_signed<T>(body: &Signed<T>, role: &Role) -> bool {
    let count = body.signatures.iter().filter(|s| role.keyids.contains(&s.keyid)).count();
    count >= role.threshold as usize
}

fn read(dir: &Path, file: &str) -> Result<Vec<u8>> {
    files::read_bounded(&dir.join("metadata").join(file), METADATA_MAX)
}

fn parse<T: Metadata>(file: &str, read: &dyn Fn(&str) -> Result<Vec<u8>>) -> Result<Signed<T>> {
    Signed::read_unverified(&read(file)?).with_context(|| format!("{file} is damaged"))
}

/// Removes what a process that was killed left half written; the lock is held, so nobody writes now.
fn sweep(dir: &Path) -> Result<()> {
    for folder in ["metadata", "targets"] {
        let folder = dir.join(folder);
        if !folder.exists() {
            continue;
        }
        for (path, place) in files::walk(&folder)? {
            let name = path.rsplit('/').next().unwrap_or(&path);
            if name.starts_with('.') && name.ends_with(files::HALF_WRITTEN) {
                fs::remove_file(&place)
                    .with_context(|| format!("cannot remove {}", place.display()))?;
            }
        }
    }
    Ok(())
}

/// One process changes a repository at a time; the lock goes with the process.
fn lock(dir: &Path) -> Result<File> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let path = dir.join(".lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            bail!("another sluis-release is changing {}: wait for it", dir.display())
        }
        Err(fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}
