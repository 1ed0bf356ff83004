//! From the name of a target to a verified program in the other slot.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use model::{Release, Timestamp};
use release::{ClientBuild, ClientKind, ManifestError};
use tuf::VerifiedTarget;
use tuf_client::{Client, FetchError, RescueRepository, StoreError, TrustedStore};

use super::rescue::RescueChannel;
use super::slots::{Installed, Slot, Slots};
use crate::keeper::ledger::{Failure, Ledger};

/// Metadata that expired before this moment is expired whatever the clock says: 2026-11-21.
const BUILT: Timestamp = Timestamp::from_secs(1_795_219_200);

/// A first root is a few kilobytes.
const ROOT_MAX: usize = 512 * 1024;

/// A program that is ready to be switched to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staged {
    /// Where it lies.
    pub slot: Slot,
    /// What it is.
    pub installed: Installed,
}

/// An update that could not be made ready; what runs goes on.
#[derive(Debug, thiserror::Error)]
pub enum FetchUpdateError {
    /// Nothing vouches for updates here.
    #[error(
        "no TUF root is trusted here, so no update can be verified; give one with `sluis-agent enrol --root FILE`"
    )]
    NoRoot,
    /// The site gave no first root.
    #[error("the site gives no TUF root to begin with")]
    FirstRoot(#[source] FetchError),
    /// The trusted metadata cannot be used.
    #[error("the trusted metadata in {} cannot be used", path.display())]
    Store {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// Metadata or program were not fetched, or are not to be believed.
    #[error("{target} cannot be fetched from the site and verified")]
    Tuf {
        /// The target.
        target: String,
        /// Why.
        #[source]
        source: tuf_client::Error,
    },
    /// It is no program for this machine.
    #[error("{target} is not an agent for {arch}, {reason}")]
    NotForHere {
        /// The target.
        target: String,
        /// Machine and system of this agent.
        arch: String,
        /// What it is instead.
        reason: String,
    },
    /// It says nothing about itself.
    #[error("{target} does not say what it is")]
    Undescribed {
        /// The target.
        target: String,
        /// What is wrong.
        #[source]
        source: ManifestError,
    },
    /// It failed here before.
    #[error("{release} was put back before ({reason}) and is not tried again until told")]
    Bad {
        /// Which.
        release: Release,
        /// Why.
        reason: String,
    },
    /// This version has not proven itself yet, so the way back must stay open.
    #[error("the running version is still on trial; the next update waits until it is proven")]
    OnTrial,
    /// The slot cannot be written.
    #[error("the update cannot be written to its slot")]
    Slot(#[source] std::io::Error),
}

/// Machine and system of this agent, as target names have it.
pub fn own_arch() -> String {
    format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)
}

/// Whether updates can be verified: a root is trusted, or was given at enrolment.
pub fn has_root(data: &Path) -> bool {
    data.join("tuf").join("root.json").exists() || crate::enrol::root_path(data).exists()
}

/// Takes the site's first root over a link whose identity is proven; once, when none was given.
///
/// From then on every change of it must be signed by the keys of this one.
pub async fn trust_first_root(data: &Path, channel: RescueChannel) -> Result<(), FetchUpdateError> {
    let root = RescueRepository::new(channel)
        .first_root(ROOT_MAX)
        .await
        .map_err(FetchUpdateError::FirstRoot)?;
    let path = data.join("tuf");
    match TrustedStore::open_or_init(&path, &root) {
        Ok(_) => Ok(()),
        Err(source) => Err(FetchUpdateError::Store { path, source }),
    }
}

/// Fetches the target through the rescue channel, verifies it and puts it into the other slot.
///
/// A download that broke off goes on where it was. `progress` gets percent.
pub async fn stage(
    data: &Path,
    channel: RescueChannel,
    target: &str,
    mut progress: impl FnMut(u8) + Send,
) -> Result<Staged, FetchUpdateError> {
    let tuf = |source| FetchUpdateError::Tuf { target: target.to_owned(), source };
    let mut client = Client::new(RescueRepository::new(channel), open_store(data)?);
    client.refresh(now()).await.map_err(tuf)?;
    let verified = client.target(target).await.map_err(tuf)?;
    let build = describe(target, &verified)?;
    refuse_bad(data, &verified.sha256_hex())?;
    let length = verified.length().max(1);
    let mut tell = |bytes: u64| progress((bytes.saturating_mul(100) / length).min(100) as u8);
    let downloads = data.join("downloads");
    let downloaded = client.download(&verified, &downloads, &mut tell).await.map_err(tuf)?;
    let (data, release) = (data.to_owned(), build.release());
    let sha256 = verified.sha256_hex();
    let staging =
        tokio::task::spawn_blocking(move || put(&data, &downloaded.path, release, &sha256));
    staging.await.map_err(|e| FetchUpdateError::Slot(std::io::Error::other(e)))?
}

fn open_store(data: &Path) -> Result<TrustedStore, FetchUpdateError> {
    let path = data.join("tuf");
    let opened = match std::fs::read(crate::enrol::root_path(data)) {
        Ok(root) => TrustedStore::open_or_init(&path, &root),
        Err(_) => TrustedStore::open(&path),
    };
    opened.map_err(|source| match source {
        StoreError::NotInitialised { .. } => FetchUpdateError::NoRoot,
        source => FetchUpdateError::Store { path, source },
    })
}

/// What the signed metadata says about the program, when it is one for this machine.
fn describe(target: &str, verified: &VerifiedTarget) -> Result<ClientBuild, FetchUpdateError> {
    let null = serde_json::Value::Null;
    let build = ClientBuild::from_custom(target, verified.custom().unwrap_or(&null));
    let build = build
        .map_err(|source| FetchUpdateError::Undescribed { target: target.to_owned(), source })?;
    let arch = own_arch();
    if build.kind != ClientKind::Agent || build.arch != arch {
        let reason = format!("but {} for {}", build.kind, build.arch);
        return Err(FetchUpdateError::NotForHere { target: target.to_owned(), arch, reason });
    }
    Ok(build)
}

/// Before the download: the keeper would refuse it afterwards.
fn refuse_bad(data: &Path, sha256: &str) -> Result<(), FetchUpdateError> {
    let ledger = Ledger::load(data).map_err(FetchUpdateError::Slot)?;
    match ledger.is_bad(sha256).cloned() {
        Some(Failure { release, reason, .. }) => Err(FetchUpdateError::Bad { release, reason }),
        None => Ok(()),
    }
}

/// Copies the download into the slot that does not run, and makes sure that it is what was verified.
fn put(
    data: &Path,
    from: &Path,
    release: Release,
    sha256: &str,
) -> Result<Staged, FetchUpdateError> {
    let ledger = Ledger::load(data).map_err(FetchUpdateError::Slot)?;
    if ledger.trial.is_some() {
        return Err(FetchUpdateError::OnTrial);
    }
    let slot = ledger.current.other();
    let slots = Slots::new(data);
    let installed = slots.install(slot, from, Some(release)).map_err(FetchUpdateError::Slot)?;
    if installed.sha256 != sha256 {
        let text = "it changed on the disk after it was verified";
        return Err(FetchUpdateError::Slot(std::io::Error::other(text)));
    }
    // Only now: until here a broken copy could be made again without another download.
    let _ = std::fs::remove_file(from);
    Ok(Staged { slot, installed })
}

fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    tuf::clock::trusted_now(BUILT, None, Timestamp(now.as_millis() as u64))
}
