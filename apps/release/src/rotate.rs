//! `rotate-root` and `sign`: new keys in order, also when the signers sit on different machines.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};
use tuf::canonical::canonical;
use tuf::schema::{RoleType, Root};
use tuf::{Event, Limits, Refresh, Signed, Stored};

use crate::files;
use crate::keys::KeyRing;
use crate::publish::Place;
use crate::repo::{DELEGATIONS, Lifetimes, Repo};
use crate::when::{self, Span};

#[derive(Args)]
pub struct RotateRoot {
    #[command(flatten)]
    place: Place,
    /// Folder with new keys: a role with keys in it is signed by those from now on.
    #[arg(long)]
    new_keys: Option<PathBuf>,
    /// How many keys of root and of targets must sign from now on; unchanged when not given.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=9))]
    threshold: Option<u32>,
    /// How long the new root is believed.
    #[arg(long, default_value = "365d")]
    root_expires: Span,
    /// Writes the next root here instead of publishing it, for others to `sign`.
    #[arg(long, conflicts_with = "from")]
    out: Option<PathBuf>,
    /// Publishes a root that was written with `--out` and signed since.
    #[arg(long, conflicts_with = "threshold")]
    from: Option<PathBuf>,
}

impl RotateRoot {
    pub fn run(self) -> Result<()> {
        let mut ring = KeyRing::load(&self.place.keys)?;
        let new = self.new_keys.iter().cloned().collect::<Vec<_>>();
        let new = KeyRing::load(&new)?;
        let mut repo = Repo::open(&self.place.repo)?;
        let next = match &self.from {
            Some(path) => {
                let bytes = files::read_bounded(path, 1 << 20)?;
                Signed::read_unverified(&bytes)
                    .with_context(|| format!("{} is no root", path.display()))?
            }
            None => self.draft(&repo.root.signed, &ring, &new)?,
        };
        if let Some(out) = &self.out {
            files::write_atomic(out, &next.to_bytes()?)?;
            println!(
                "{} has {} signatures; add others with `sluis-release sign`.",
                out.display(),
                next.signatures.len()
            );
            return Ok(());
        }
        let bytes = next.to_bytes()?;
        check(&repo.root, &bytes)?;
        delegate_anew(&mut repo, &new)?;
        ring.join(new);
        let version = next.signed.version;
        repo.adopt_root(next, &bytes)?;
        // The rest follows from the new root; cut here, `timestamp` or this command finishes it.
        repo.commit(&ring, when::now(), Lifetimes::default())?;
        println!(
            "Root {version} is published; {version}.root.json and all before it stay for older clients."
        );
        Ok(())
    }

    /// The next root, with the signatures of all keys at hand.
    fn draft(&self, old: &Root, ring: &KeyRing, new: &KeyRing) -> Result<Signed<Root>> {
        let mut root = old.clone();
        root.version += 1;
        root.expires = when::now().plus(self.root_expires.0);
        for kind in [RoleType::Root, RoleType::Targets, RoleType::Snapshot, RoleType::Timestamp] {
            let role =
                root.role(kind).with_context(|| format!("the root names no {kind}"))?.clone();
            let mut keys = new.public(kind.as_str()).to_vec();
            if keys.is_empty() {
                keys = role.keyids.iter().filter_map(|id| old.keys.get(id)).cloned().collect();
            }
            let several = matches!(kind, RoleType::Root | RoleType::Targets);
            let threshold = self.threshold.filter(|_| several).unwrap_or(role.threshold);
            if keys.len() < threshold as usize {
                bail!("{kind} would have {} keys of which {threshold} must sign", keys.len());
            }
            root.set_role(kind, &keys, threshold);
        }
        let mut next = Signed::new(root);
        let ids =
            |root: &Root| root.role(RoleType::Root).map(|r| r.keyids.clone()).unwrap_or_default();
        let mut signers = ids(old);
        signers.extend(ids(&next.signed));
        signers.dedup();
        for key in signers.iter().filter_map(|id| ring.get(id).or_else(|| new.get(id))) {
            next.sign_with(key)?;
        }
        Ok(next)
    }
}

/// Takes the next root as a client would: signed by enough of the old and of the new keys.
fn check(current: &Signed<Root>, next: &[u8]) -> Result<()> {
    let stored = Stored { root: current.to_bytes()?, ..Stored::default() };
    let mut client = Refresh::new(stored, when::now(), Limits::default())?;
    client.on(Event::Fetched(next.to_vec())).map(drop).map_err(|error| {
        anyhow::anyhow!("{error}. Both the old and the new keys of root must sign: use `--out`, `sign` and `--from`")
    })
}

/// Delegated roles with new keys are handed to those.
fn delegate_anew(repo: &mut Repo, new: &KeyRing) -> Result<()> {
    for (role, paths) in DELEGATIONS {
        let keys = new.public(role);
        if !keys.is_empty() {
            repo.role_mut("targets")?.delegations_mut().delegate(role, keys, 1, paths, true);
        }
    }
    Ok(())
}

#[derive(Args)]
pub struct Sign {
    /// The metadata file; the signatures are added to it.
    file: PathBuf,
    /// A key to sign with; give it again for another one.
    #[arg(long = "key", required = true)]
    keys: Vec<PathBuf>,
}

impl Sign {
    /// Signs whatever metadata it is; whether that key counts, clients decide.
    pub fn run(self) -> Result<()> {
        let mut ring = KeyRing::default();
        self.keys.iter().try_for_each(|path| ring.add(path))?;
        let bytes = files::read_bounded(&self.file, 8 << 20)?;
        let bad = || format!("{} is no metadata", self.file.display());
        let mut document: Value = serde_json::from_slice(&bytes).with_context(bad)?;
        let kind = document["signed"]["_type"].as_str().unwrap_or_default().to_owned();
        if !["root", "targets", "snapshot", "timestamp"].contains(&kind.as_str()) {
            bail!(bad());
        }
        let message = canonical(&document["signed"]).with_context(bad)?;
        let signatures = document["signatures"].as_array_mut().with_context(bad)?;
        for key in ring.all() {
            let id = json!(key.id());
            signatures.retain(|signature| signature["keyid"] != id);
            signatures.push(json!({ "keyid": id, "sig": release::to_hex(&key.sign(&message)) }));
        }
        let count = signatures.len();
        let mut text = serde_json::to_vec_pretty(&document)?;
        text.push(b'\n');
        let shared = fs::metadata(&self.file)?.permissions();
        files::write_atomic(&self.file, &text)?;
        fs::set_permissions(&self.file, shared)?;
        println!("{} ({kind}) has {count} signatures.", self.file.display());
        Ok(())
    }
}
