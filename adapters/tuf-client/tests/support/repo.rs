//! A TUF repository made with the signing side of the core, with handles for doing wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use model::Timestamp as Moment;
use serde_json::Value;
use tuf::schema::{
    MetaFile, Metadata, Role, RoleType, Root, Snapshot, TargetFile, Targets, Timestamp,
};
use tuf::sign::Signature;
use tuf::{Key, KeyId, Signed, SigningKey, versioned_role_file};

/// 2030-12-31
pub const EXPIRES: Moment = Moment::from_secs(1_924_905_600);
/// 2030-06-15
pub const SOON: Moment = Moment::from_secs(1_907_712_000);
/// 2029-12-31
pub const EXPIRED: Moment = Moment::from_secs(1_893_369_600);

const TOP: [RoleType; 4] =
    [RoleType::Root, RoleType::Timestamp, RoleType::Snapshot, RoleType::Targets];

/// Changes a file.
pub type Edit = Box<dyn Fn(Vec<u8>) -> Vec<u8>>;
/// Changes what is said of a file.
pub type EditMeta = fn(&mut MetaFile);

pub struct Repo {
    out: PathBuf,
    steps: usize,
    seeds: u32,
    pub root: Root,
    pub signers: BTreeMap<String, Vec<u32>>,
    pub versions: BTreeMap<String, u64>,
    pub expires: BTreeMap<String, Moment>,
    pub roles: BTreeMap<String, Targets>,
    pub unnamed: BTreeSet<String>,
    pub roots: Vec<Vec<u8>>,
    contents: BTreeMap<String, Vec<u8>>,
    /// Changes one role's file before anything is said about it.
    pub edit: Option<(String, Edit)>,
    /// Changes what is said of a role's file.
    pub edit_meta: Option<(String, EditMeta)>,
}

/// The key that grows from a number.
pub fn key(seed: u32) -> SigningKey {
    let mut bytes = [7; 32];
    bytes[..4].copy_from_slice(&seed.to_le_bytes());
    SigningKey::from_seed(&bytes).expect("32 bytes")
}

impl Repo {
    /// One key for each top-level role; more is set by hand.
    pub fn new(out: &Path) -> Self {
        let mut repo = Self {
            out: out.to_owned(),
            steps: 0,
            seeds: 0,
            root: Root::new(1, EXPIRES),
            signers: BTreeMap::new(),
            versions: BTreeMap::new(),
            expires: BTreeMap::new(),
            roles: BTreeMap::from([("targets".to_owned(), Targets::new(1, EXPIRES))]),
            unnamed: BTreeSet::new(),
            roots: Vec::new(),
            contents: BTreeMap::new(),
            edit: None,
            edit_meta: None,
        };
        for role in TOP {
            repo.versions.insert(role.to_string(), 1);
            repo.expires.insert(role.to_string(), EXPIRES);
            repo.rotate(role);
        }
        repo.publish_root(None);
        fs::create_dir_all(out).expect("a directory");
        fs::write(out.join("root.json"), &repo.roots[0]).expect("a file");
        repo
    }

    /// A top-level target and a delegated one.
    pub fn usual(out: &Path) -> Self {
        let mut repo = Self::new(out);
        repo.add("targets", "a.txt", "content of a");
        repo.delegate("targets", "base", &["base/*"], 1, 1, false);
        repo.add("base", "base/b.pkg", "content of b");
        repo
    }

    pub fn new_signer(&mut self) -> u32 {
        self.seeds += 1;
        self.seeds
    }

    /// Gives a top-level role one new key instead of those it had; the old ones come back.
    pub fn rotate(&mut self, role: RoleType) -> Vec<u32> {
        let signer = self.new_signer();
        self.root.set_role(role, &[key(signer).key()], 1);
        self.signers.insert(role.to_string(), vec![signer]).unwrap_or_default()
    }

    pub fn publish_root(&mut self, signers: Option<Vec<u32>>) {
        self.root.version = self.roots.len() as u64 + 1;
        self.root.expires = self.expires["root"];
        let signers = signers.unwrap_or_else(|| self.signers["root"].clone());
        self.roots.push(sign(self.root.clone(), &signers));
    }

    pub fn delegate(
        &mut self,
        parent: &str,
        name: &str,
        paths: &[&str],
        keys: usize,
        threshold: u32,
        terminating: bool,
    ) {
        let signers: Vec<u32> = (0..keys).map(|_| self.new_signer()).collect();
        let public: Vec<Key> = signers.iter().map(|signer| key(*signer).key()).collect();
        self.roles.entry(name.to_owned()).or_insert_with(|| Targets::new(1, EXPIRES));
        let delegations = self.roles.get_mut(parent).expect("a role").delegations_mut();
        delegations.delegate(name, &public, threshold, paths, terminating);
        self.signers.insert(name.to_owned(), signers);
        self.versions.insert(name.to_owned(), 1);
        self.expires.insert(name.to_owned(), EXPIRES);
    }

    pub fn add(&mut self, role: &str, name: &str, content: &str) {
        let file = TargetFile::of(content.as_bytes(), Some(Value::from(name)));
        let targets = self.roles.get_mut(role).expect("a role");
        targets.targets.insert(name.to_owned(), file);
        self.contents.insert(name.to_owned(), content.as_bytes().to_vec());
    }

    pub fn bump(&mut self, roles: &[&str]) {
        for role in roles {
            *self.versions.get_mut(*role).expect("a role") += 1;
        }
    }

    pub fn bump_all(&mut self) {
        self.bump(&["targets", "base", "snapshot", "timestamp"]);
    }

    /// Writes the next step and says where it is.
    pub fn write(&mut self) -> PathBuf {
        let step = self.out.join(self.steps.to_string());
        self.steps += 1;
        let directory = step.join("metadata");
        fs::create_dir_all(&directory).expect("a directory");
        let mut meta = BTreeMap::new();
        for (role, mut targets) in self.roles.clone() {
            let version = self.versions[&role];
            (targets.version, targets.expires) = (version, self.expires[&role]);
            let bytes = self.file(&directory, &role, version, targets);
            if !self.unnamed.contains(&role) {
                meta.insert(format!("{role}.json"), self.meta(&role, version, &bytes));
            }
        }
        let version = self.versions["snapshot"];
        let snapshot = Snapshot::new(version, self.expires["snapshot"], meta);
        let bytes = self.file(&directory, "snapshot", version, snapshot);
        let meta = self.meta("snapshot", version, &bytes);
        let version = self.versions["timestamp"];
        let timestamp = Timestamp::new(version, self.expires["timestamp"], meta);
        self.file(&directory, "timestamp", version, timestamp);
        for (n, root) in (1_u64..).zip(&self.roots) {
            fs::write(directory.join(versioned_role_file("root", n)), root).expect("a file");
        }
        self.write_targets(&step.join("targets"));
        step
    }

    fn file<T: Metadata>(&self, directory: &Path, role: &str, version: u64, signed: T) -> Vec<u8> {
        let mut bytes = sign(signed, &self.signers[role]);
        if let Some((edited, edit)) = &self.edit
            && edited == role
        {
            bytes = edit(bytes);
        }
        // As a server sees the name: decoded.
        let name = match role {
            "timestamp" => "timestamp.json".to_owned(),
            role => format!("{version}.{role}.json"),
        };
        let path = directory.join(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(path, &bytes).expect("a file");
        bytes
    }

    fn meta(&self, role: &str, version: u64, bytes: &[u8]) -> MetaFile {
        let mut meta = MetaFile::of(version, bytes);
        if let Some((edited, edit)) = &self.edit_meta
            && (edited == role || edited == "*")
        {
            edit(&mut meta);
        }
        meta
    }

    fn write_targets(&self, directory: &Path) {
        for targets in self.roles.values() {
            for (name, file) in &targets.targets {
                if name.contains("..") {
                    continue;
                }
                let (folder, base) = name.rsplit_once('/').unwrap_or(("", name));
                let folder = directory.join(folder);
                fs::create_dir_all(&folder).expect("a directory");
                let path = folder.join(format!("{}.{base}", file.hashes["sha256"]));
                fs::write(path, &self.contents[name]).expect("a file");
            }
        }
    }

    /// Names a role's key a second time, under another id.
    pub fn alias(&mut self, name: &str, keyid: &KeyId) {
        let signer = key(self.signers[name][0]).key();
        let delegations = self.roles.get_mut("targets").expect("a role").delegations_mut();
        delegations.keys.insert(keyid.clone(), signer);
        let role = delegations.roles.iter_mut().find(|role| role.name == name).expect("a role");
        role.keyids.push(keyid.clone());
    }

    /// Raises what the root demands for a role.
    pub fn demand(&mut self, role: RoleType, threshold: u32) {
        let signers = &self.signers[role.as_str()];
        let keys: Vec<Key> = signers.iter().map(|signer| key(*signer).key()).collect();
        self.root.set_role(role, &keys, threshold);
    }

    /// A role that a later specification may know.
    pub fn later_role(&mut self) {
        let role = Role { keyids: Vec::new(), threshold: 1, extra: tuf::schema::Extra::new() };
        self.root.roles.insert("later".into(), role);
    }
}

pub fn sign<T: Metadata>(signed: T, signers: &[u32]) -> Vec<u8> {
    let mut signed = Signed::new(signed);
    for signer in signers {
        signed.sign_with(&key(*signer)).expect("canonical");
    }
    signed.to_bytes().expect("canonical")
}

/// Adds the signature of a key under another id, or a second time under its own.
pub fn sign_again(bytes: &[u8], signer: u32, keyid: KeyId) -> Vec<u8> {
    let mut signed = Signed::<Targets>::read_unverified(bytes).expect("targets");
    let sig = key(signer).sign(&signed.message().expect("canonical"));
    let sig = sig.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    signed.signatures.push(Signature { keyid, sig });
    signed.to_bytes().expect("canonical")
}
