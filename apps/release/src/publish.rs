//! `repo init`, `publish`, `timestamp` and `verify`: a repository from its first day on.

use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Subcommand};
use release::catalog::{Catalog, CatalogError, catalog};
use release::{Sha256, VerifiedPackage};
use serde_json::Value;
use tuf::schema::{RoleType, Root, TargetFile, Targets};
use tuf::{Key, Signed};

use crate::keys::KeyRing;
use crate::repo::{DELEGATIONS, Lifetimes, Repo, sign};
use crate::when::{self, Span};
use crate::{build, files, package};

/// The repository and the keys that sign for it.
#[derive(Args, Clone)]
pub struct Place {
    /// Folder of the repository.
    #[arg(long)]
    pub repo: PathBuf,
    /// Folder with keys; give it again for another one.
    #[arg(long, required = true)]
    pub keys: Vec<PathBuf>,
}

#[derive(Subcommand)]
pub enum RepoCommand {
    /// Make an empty repository signed with these keys.
    Init(Init),
}

#[derive(Args)]
pub struct Init {
    #[command(flatten)]
    place: Place,
    /// How many keys of root and of targets must sign.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=9))]
    threshold: u32,
    /// How long the root is believed.
    #[arg(long, default_value = "365d")]
    root_expires: Span,
}

impl RepoCommand {
    pub fn run(self) -> Result<()> {
        let Self::Init(init) = self;
        init.run()
    }
}

impl Init {
    fn run(self) -> Result<()> {
        let ring = KeyRing::load(&self.place.keys)?;
        let lives = Lifetimes { root: self.root_expires, ..Lifetimes::default() };
        let now = when::now();
        let mut root = Root::new(1, now.plus(lives.root.0));
        for kind in [RoleType::Root, RoleType::Targets, RoleType::Snapshot, RoleType::Timestamp] {
            let offline = matches!(kind, RoleType::Root | RoleType::Targets);
            let threshold = if offline { self.threshold } else { 1 };
            root.set_role(kind, public(&ring, kind.as_str(), threshold)?, threshold);
        }
        let mut targets = Targets::new(1, now);
        for (role, paths) in DELEGATIONS {
            let keys = public(&ring, role, 1)?;
            targets.delegations_mut().delegate(role, keys, 1, paths, true);
        }
        let mut root = Signed::new(root);
        let entry = root.signed.role(RoleType::Root).cloned().context("the root has its role")?;
        sign("root", &mut root, &entry.keyids, entry.threshold, &ring)?;
        let mut repo = Repo::create(&self.place.repo, root, targets)?;
        repo.write_first_root()?;
        repo.commit(&ring, now, lives)?;
        println!("{} is a repository now.", self.place.repo.display());
        println!(
            "Give {} to clients as their first root.",
            self.place.repo.join("metadata/1.root.json").display()
        );
        Ok(())
    }
}

fn public<'a>(ring: &'a KeyRing, role: &str, threshold: u32) -> Result<&'a [Key]> {
    let keys = ring.public(role);
    if keys.len() < threshold as usize {
        bail!(
            "{} keys of {role} are in {}, and {threshold} must sign: run `sluis-release keys create` first",
            keys.len(),
            ring.places()
        );
    }
    Ok(keys)
}

#[derive(Args)]
pub struct Publish {
    #[command(flatten)]
    place: Place,
    /// Packages (`.pkg`) and stamped programs that `build` made.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

impl Publish {
    pub fn run(self) -> Result<()> {
        publish(&self.place, &self.files)
    }
}

/// Adds files as targets in one step: clients see all of them or none.
pub fn publish(place: &Place, paths: &[PathBuf]) -> Result<()> {
    let ring = KeyRing::load(&place.keys)?;
    let mut repo = Repo::open(&place.repo)?;
    let mut news = 0;
    for path in paths {
        let (name, custom) = describe(path)?;
        let (length, sha256) = files::hash_file(path)?;
        let role = repo.role_for(&name)?;
        let old = repo.role(&role).and_then(|targets| targets.targets.get(&name));
        if let Some(old) = old.and_then(|file| file.hashes.get("sha256")) {
            ensure!(
                *old == sha256.to_string(),
                "{name} is published with other bytes already: build it with a higher revision"
            );
            println!("{name} is published already.");
            continue;
        }
        repo.place_target(&name, sha256, path)?;
        let file = TargetFile::with_digest(length, &sha256.to_string(), Some(custom));
        repo.role_mut(&role)?.targets.insert(name.clone(), file);
        println!("{name} {sha256}");
        news += 1;
    }
    if news > 0 {
        repo.commit(&ring, when::now(), Lifetimes::default())?;
    }
    Ok(())
}

/// Target name and `custom` field of a file, after checking it whole.
fn describe(path: &Path) -> Result<(String, Value)> {
    if let Some((build, _)) = build::read_stamp(path)? {
        return Ok((build.target_name(), serde_json::to_value(&build)?));
    }
    let (manifest, json) = package::read(path).with_context(|| {
        format!("{} is neither a package nor a stamped program", path.display())
    })?;
    Ok((manifest.target_name(), serde_json::from_slice(&json)?))
}

#[derive(Args)]
pub struct Refresh {
    #[command(flatten)]
    place: Place,
    /// How long the new timestamp is believed.
    #[arg(long, default_value = "14d")]
    expires: Span,
    /// Signs these roles anew as well, so that they do not expire, such as `targets,base`.
    #[arg(long, value_delimiter = ',')]
    renew: Vec<String>,
}

impl Refresh {
    pub fn run(self) -> Result<()> {
        let ring = KeyRing::load(&self.place.keys)?;
        let mut repo = Repo::open(&self.place.repo)?;
        let lives = Lifetimes { timestamp: self.expires, ..Lifetimes::default() };
        let now = when::now();
        for role in &self.renew {
            repo.role_mut(role)?;
        }
        repo.refresh(&ring, now, lives)?;
        println!("The timestamp is good until {}.", now.plus(lives.timestamp.0));
        Ok(())
    }
}

#[derive(Args)]
pub struct Verify {
    /// Folder of the repository.
    #[arg(long)]
    repo: PathBuf,
    /// Root to start from; the repository's first one when it is not given.
    #[arg(long)]
    root: Option<PathBuf>,
}

impl Verify {
    /// Does what a client does, for every target.
    pub fn run(self) -> Result<()> {
        let metadata = self.repo.join("metadata");
        let root = self.root.unwrap_or_else(|| metadata.join("1.root.json"));
        let root = files::read_bounded(&root, 1 << 20)?;
        let fetched = catalog(&root, when::now(), |want| {
            let path = metadata.join(&want.file);
            Ok::<_, Infallible>(fs::read(path).ok())
        });
        let catalog = fetched.map_err(|error| match error {
            CatalogError::Metadata(error) => anyhow::anyhow!("{error}. {}", error.remedy()),
            CatalogError::Fetch(never) => match never {},
        })?;
        if let Some((name, why)) = catalog.others.first() {
            bail!("{name} is published and no client can use it: {why}");
        }
        check_files(&self.repo, &catalog)?;
        println!(
            "Good: {} packages and {} programs, each signed, whole, and what it says it is.",
            catalog.packages.len(),
            catalog.clients.len()
        );
        Ok(())
    }
}

fn check_files(repo: &Path, catalog: &Catalog) -> Result<()> {
    for target in &catalog.targets {
        let path = repo.join("targets").join(target.path());
        let (length, Sha256(digest)) = files::hash_file(&path)?;
        let checked = target.check(&digest, length).with_context(|| path.display().to_string())?;
        if catalog.packages.iter().any(|package| package.target == target.name()) {
            let (_, json) = package::read(&path)?;
            VerifiedPackage::verify(&checked, &json)?;
        } else {
            let stamp = build::read_stamp(&path)?.map(|(build, _)| build);
            let named = catalog.clients.iter().find(|client| client.target == target.name());
            ensure!(
                stamp.as_ref() == named.map(|c| &c.build),
                "{} carries another stamp",
                path.display()
            );
        }
    }
    Ok(())
}
