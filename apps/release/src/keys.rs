//! Signing keys: made once, kept as files that only their owner reads.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use tuf::{Key, KeyId, SigningKey};

use crate::files;

/// Roles that stay offline, with more than one key each.
const OFFLINE: [&str; 2] = ["root", "targets"];
/// Roles with one key: the delegated ones, and the two that are online.
const SINGLE: [&str; 5] = ["base", "site", "agent", "snapshot", "timestamp"];

#[derive(Subcommand)]
pub enum Command {
    /// Make all keys of a repository: root and targets several, the other roles one each.
    Create(Create),
}

#[derive(Args)]
pub struct Create {
    /// Folder to write them to; keys that are there are never replaced.
    #[arg(long)]
    out: PathBuf,
    /// Keys of root and of targets.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=9))]
    keys: u8,
    /// Only these roles, such as `root,snapshot`.
    #[arg(long, value_delimiter = ',')]
    roles: Vec<String>,
}

/// One key as it lies on disk.
#[derive(Serialize, Deserialize)]
struct KeyFile {
    role: String,
    keytype: String,
    keyid: KeyId,
    public: String,
    seed: String,
}

impl Command {
    pub fn run(self) -> Result<()> {
        let Self::Create(create) = self;
        create.run()
    }
}

impl Create {
    fn run(self) -> Result<()> {
        let known: Vec<&str> = OFFLINE.into_iter().chain(SINGLE).collect();
        if let Some(role) = self.roles.iter().find(|role| !known.contains(&role.as_str())) {
            bail!("there is no role “{role}”: the roles are {}", known.join(", "));
        }
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.out)
            .with_context(|| format!("cannot make {}", self.out.display()))?;
        let wanted = |role: &&str| self.roles.is_empty() || self.roles.iter().any(|r| r == role);
        let mut names = Vec::new();
        for role in OFFLINE.into_iter().filter(wanted) {
            names.extend((1..=self.keys).map(|n| (role, format!("{role}-{n}.key"))));
        }
        names.extend(SINGLE.into_iter().filter(wanted).map(|role| (role, format!("{role}.key"))));
        if let Some((_, name)) = names.iter().find(|(_, name)| self.out.join(name).exists()) {
            bail!(
                "{} is there already and a key is written only once: give another folder",
                self.out.join(name).display()
            );
        }
        for (role, name) in &names {
            let path = self.out.join(name);
            let id = create(role, &path)?;
            println!("{}  {role} {id}", path.display());
        }
        println!("Keep the keys of root and targets offline, each with another person.");
        Ok(())
    }
}

fn create(role: &str, path: &Path) -> Result<KeyId> {
    let mut seed = [0; 32];
    aws_lc_rs::rand::fill(&mut seed).ok().context("the system gives no random bytes")?;
    let key = SigningKey::from_seed(&seed)?;
    let file = KeyFile {
        role: role.to_owned(),
        keytype: "ed25519".into(),
        keyid: key.id(),
        public: key.key().keyval.public,
        seed: release::to_hex(&seed),
    };
    let mut json = serde_json::to_vec_pretty(&file)?;
    json.push(b'\n');
    files::write_secret(path, &json)?;
    Ok(file.keyid)
}

/// The keys at hand.
#[derive(Default)]
pub struct KeyRing {
    keys: BTreeMap<KeyId, SigningKey>,
    by_role: BTreeMap<String, Vec<Key>>,
    folders: Vec<PathBuf>,
}

impl KeyRing {
    /// All `*.key` files of these folders.
    pub fn load(folders: &[PathBuf]) -> Result<Self> {
        let mut ring = Self { folders: folders.to_vec(), ..Self::default() };
        for folder in folders {
            let entries = fs::read_dir(folder)
                .with_context(|| format!("cannot read {}", folder.display()))?;
            let mut paths: Vec<PathBuf> =
                entries.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?;
            paths.retain(|path| path.extension().is_some_and(|e| e == "key"));
            paths.sort();
            paths.iter().try_for_each(|path| ring.add(path))?;
        }
        Ok(ring)
    }

    /// Adds one key file.
    pub fn add(&mut self, path: &Path) -> Result<()> {
        let meta = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
        if meta.permissions().mode() & 0o077 != 0 {
            bail!("{0} can be read by others: run `chmod 600 {0}`", path.display());
        }
        let bytes = files::read_bounded(path, 4096)?;
        let bad = || format!("{} is no key of sluis-release", path.display());
        let file: KeyFile = serde_json::from_slice(&bytes).with_context(bad)?;
        let seed = release::from_hex::<32>(&file.seed).with_context(bad)?;
        let key = SigningKey::from_seed(&seed).with_context(bad)?;
        if key.id() != file.keyid {
            bail!("{}: its seed does not belong to its id; restore it from a copy", path.display());
        }
        self.by_role.entry(file.role).or_default().push(key.key());
        self.keys.insert(key.id(), key);
        Ok(())
    }

    /// The public keys made for a role.
    pub fn public(&self, role: &str) -> &[Key] {
        self.by_role.get(role).map_or(&[], Vec::as_slice)
    }

    /// The key with that id, if it is at hand.
    pub fn get(&self, id: &KeyId) -> Option<&SigningKey> {
        self.keys.get(id)
    }

    /// All keys at hand.
    pub fn all(&self) -> impl Iterator<Item = &SigningKey> {
        self.keys.values()
    }

    /// Adds all keys of another ring.
    pub fn join(&mut self, other: Self) {
        self.keys.extend(other.keys);
        self.folders.extend(other.folders);
    }

    /// Where the keys came from, for errors.
    pub fn places(&self) -> String {
        let places: Vec<String> = self.folders.iter().map(|p| p.display().to_string()).collect();
        places.join(", ")
    }
}
