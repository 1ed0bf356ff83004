//! A signed repository on disk, as `sluis-release` would leave it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::{PackageKind, PublicKey, Release, Timestamp};
use release::{License, Manifest, Sha256, fixtures};
use tuf::schema::{
    MetaFile, Metadata, RoleType, Root, Snapshot, TargetFile, Targets, Timestamp as Stamp,
};
use tuf::{Signed, SigningKey};

pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    Timestamp(u64::try_from(since.as_millis()).expect("before the end of time"))
}

pub fn public(key: &SigningKey) -> PublicKey {
    key.key().keyval.public.parse().expect("32 bytes in hexadecimal")
}

pub fn base(release: &str, rules: &[&str]) -> Manifest {
    manifest(PackageKind::Base, release, rules)
}

pub fn site(release: &str, rules: &[&str]) -> Manifest {
    manifest(PackageKind::Site, release, rules)
}

/// A license for so many operators of that hostname.
pub fn license(hostname: &str, users: u32) -> Manifest {
    let mut manifest = manifest(PackageKind::License, "1.0.0 (rev 1)", &[]);
    manifest.arch = "any".into();
    manifest.license = Some(License {
        hostname: hostname.parse().expect("a hostname"),
        users,
        endpoints: None,
        expires: None,
        maintenance_until: None,
    });
    manifest
}

/// Rules are `needs base >=1.1` and `through 1.2`.
fn manifest(kind: PackageKind, release: &str, rules: &[&str]) -> Manifest {
    let release: Release = release.parse().expect("a release");
    let mut manifest = fixtures::manifest(kind, release);
    manifest.notes = format!("Notes of {}.", manifest.label());
    for rule in rules {
        match rule.split_once(' ') {
            Some(("needs", rest)) => manifest.requires.push(rest.parse().expect("a requirement")),
            Some(("through", rest)) => manifest.floors.push(rest.parse().expect("a floor")),
            _ => panic!("{rule} is no rule"),
        }
    }
    manifest
}

pub struct Repository {
    pub dir: PathBuf,
    version: u64,
}

impl Repository {
    pub fn new(dir: PathBuf) -> Self {
        for folder in ["metadata", "targets/base", "targets/site", "targets/license"] {
            std::fs::create_dir_all(dir.join(folder)).expect("a folder");
        }
        Self { dir, version: 0 }
    }

    /// Publishes exactly these packages; each one's file is its own label.
    pub fn publish(&mut self, manifests: &[Manifest]) {
        self.publish_until(manifests, now().plus(Duration::from_hours(1)));
    }

    /// As [`Repository::publish`], believed until then.
    pub fn publish_until(&mut self, manifests: &[Manifest], expires: Timestamp) {
        self.version += 1;
        let key = SigningKey::from_seed(&[1; 32]).expect("32 bytes");
        let mut root = Root::new(1, now().plus(Duration::from_hours(1)));
        for kind in [RoleType::Root, RoleType::Timestamp, RoleType::Snapshot, RoleType::Targets] {
            root.set_role(kind, &[key.key()], 1);
        }
        let mut top = Targets::new(self.version, expires);
        top.delegations_mut().delegate("base", &[key.key()], 1, &["base/*"], true);
        top.delegations_mut().delegate("site", &[key.key()], 1, &["site/*", "license/*"], true);
        let mut roles = BTreeMap::from([
            ("targets", top),
            ("base", Targets::new(self.version, expires)),
            ("site", Targets::new(self.version, expires)),
        ]);
        for manifest in manifests {
            let role = if manifest.kind == PackageKind::Base { "base" } else { "site" };
            let role = roles.get_mut(role).expect("a role");
            role.targets.insert(manifest.target_name(), self.place(manifest));
        }
        let mut meta = BTreeMap::new();
        for (role, targets) in roles {
            let bytes = signed(targets, &key);
            meta.insert(format!("{role}.json"), MetaFile::of(self.version, &bytes));
            self.write(&format!("{}.{role}.json", self.version), &bytes);
        }
        let snapshot = signed(Snapshot::new(self.version, expires, meta), &key);
        self.write(&format!("{}.snapshot.json", self.version), &snapshot);
        self.write("1.root.json", &signed(root, &key));
        let named = MetaFile::of(self.version, &snapshot);
        self.write("timestamp.json", &signed(Stamp::new(self.version, expires, named), &key));
    }

    fn place(&self, manifest: &Manifest) -> TargetFile {
        let content = manifest.label().into_bytes();
        let name = manifest.target_name();
        let (folder, file) = name.rsplit_once('/').expect("a folder");
        let place = format!("targets/{folder}/{}.{file}", tuf::sha256_hex(&content));
        std::fs::write(self.dir.join(place), &content).expect("to write");
        TargetFile::of(&content, Some(serde_json::json!(manifest)))
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        write_atomic(&self.dir.join("metadata").join(name), bytes);
    }
}

/// The server reads while a test publishes.
fn write_atomic(path: &Path, bytes: &[u8]) {
    let temporary = path.with_extension("new");
    std::fs::write(&temporary, bytes).expect("to write");
    std::fs::rename(temporary, path).expect("to rename");
}

fn signed<T: Metadata>(body: T, key: &SigningKey) -> Vec<u8> {
    let mut signed = Signed::new(body);
    signed.sign_with(key).expect("canonical");
    signed.to_bytes().expect("canonical")
}

/// SHA-256 of what [`Repository::publish`] places for a package.
pub fn sha256(manifest: &Manifest) -> Sha256 {
    tuf::sha256_hex(manifest.label().as_bytes()).parse().expect("a hash")
}
