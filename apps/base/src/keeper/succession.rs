//! The keeper becomes the keeper of the base that was committed: `docs/design/0003-base-self-update.md`.
//!
//! It is one process before and after, so its children, its pid and what it holds stay. Should the new program not be
//! able to take over, it becomes the old one again, which does not try that program a second time.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use host::Process;
use model::PackageKind;

use super::trial::Trial;
use super::{Kept, NAMES};
use crate::config::Config;
use crate::paths::Paths;

/// What keepers say to each other here. A program that prints another number is not become.
pub const PROTOCOL: u32 = 1;
/// The descriptors, by name.
const HELD: &str = "SLUIS_KEEPER_HELD";
/// The pid of the base.
const BASE: &str = "SLUIS_KEEPER_BASE";
/// The program before.
const BEFORE: &str = "SLUIS_KEEPER_BEFORE";
/// The program that could not take over.
const REFUSED: &str = "SLUIS_KEEPER_REFUSED";
/// How long a program may take to say its protocol.
const ANSWER: Duration = Duration::from_secs(5);

/// What the keeper before this one left.
pub struct Held {
    descriptors: Vec<(String, OwnedFd)>,
    base: u32,
    before: PathBuf,
}

/// Takes what the keeper before this one left, if this process was one.
pub fn take() -> anyhow::Result<Option<Held>> {
    let Ok(text) = std::env::var(HELD) else { return Ok(None) };
    let descriptors = host::take_held(&text).context("the keeper before left no open sockets")?;
    let base = std::env::var(BASE).ok().and_then(|pid| pid.parse().ok());
    let base = base.context("the keeper before left no base")?;
    let before = std::env::var_os(BEFORE).map(PathBuf::from).unwrap_or_default();
    Ok(Some(Held { descriptors, base, before }))
}

impl Held {
    /// Makes a keeper of it; gives it back with the reason when that cannot be.
    pub fn ready(self, paths: &Paths) -> Result<Kept, (Self, anyhow::Error)> {
        let config = match self.checked(paths) {
            Ok(config) => config,
            Err(error) => return Err((self, error)),
        };
        let base = match Process::open(self.base) {
            Ok(base) => Some(base),
            // It ended just now and was buried already; another one is started.
            Err(error) => {
                tracing::warn!(%error, "Base of the keeper before is gone");
                None
            }
        };
        let (mut sockets, mut lock) = (vec![], None);
        for (name, fd) in self.descriptors {
            match NAMES.into_iter().find(|known| *known == name) {
                Some(known) => sockets.push((known, fd)),
                None => lock = Some(fd),
            }
        }
        let lock = lock.expect("it was checked that there is one");
        // The one that takes back is not on trial; the note stays and counts when another start tries the other.
        let on_trial = (!takes_back()).then(Instant::now);
        Ok(Kept { config, sockets, lock, base, on_trial })
    }

    fn checked(&self, paths: &Paths) -> anyhow::Result<Config> {
        if !takes_back() {
            host::failpoint("keeper-take-over")?;
        }
        for name in NAMES.into_iter().chain(["lock"]) {
            let there = self.descriptors.iter().any(|(held, _)| held == name);
            ensure!(there, "the keeper before left no descriptor `{name}`");
        }
        Config::load(paths)
    }

    /// Becomes the program before again. Returns only when that cannot be done either, or when this is that program:
    /// two that send it to and fro would never end.
    pub fn give_back(self, paths: &Paths, error: &anyhow::Error) -> anyhow::Error {
        let why = format!("{error:#}");
        if takes_back() {
            return anyhow!("{why}; base and site go on without a keeper, so start `run` again");
        }
        tracing::error!(error = why, "Keeper cannot take over; the one before goes on");
        let refused = own_program();
        let held: Vec<_> =
            self.descriptors.iter().map(|(name, fd)| (name.as_str(), fd.as_fd())).collect();
        let failed = become_program(paths, &self.before, &held, self.base, |command| {
            command.env(REFUSED, refused.unwrap_or_default());
        });
        anyhow!("{why}; and {} cannot go on: {failed}", self.before.display())
    }
}

/// Looks whether another base was committed.
#[derive(Debug, Default)]
pub struct Succession {
    /// The program that was looked at last and is not become.
    left: Option<PathBuf>,
}

impl Succession {
    /// The program to become: that of the base that `current` names, unless it is this one or was looked at before.
    pub async fn next(&mut self, paths: &Paths) -> Option<PathBuf> {
        let current = paths.pointer("current", PackageKind::Base).join("bin/sluis-base");
        let next = current.canonicalize().ok()?;
        if own_program().as_ref() == Some(&next) || self.left.as_ref() == Some(&next) {
            return None;
        }
        self.left = Some(next.clone());
        // It could not take over, or died on trial.
        let refused = std::env::var_os(REFUSED).is_some_and(|refused| Path::new(&refused) == next);
        if refused || Trial::open(paths).is_some_and(|trial| trial.gave_up(&next)) {
            tracing::warn!(program = %next.display(), "Keeper stays as it is: that one failed");
            return None;
        }
        if let Err(error) = speaks(&next, paths).await {
            tracing::info!(program = %next.display(), error = format!("{error:#}"), "Keeper stays as it is");
            return None;
        }
        Some(next)
    }
}

/// Becomes that program, with signals held. Returns when it cannot, and then everything is as before.
pub fn enter(next: &Path, paths: &Paths, kept: &Kept, base: &Process) {
    if let Err(error) = host::failpoint("keeper-before-exec") {
        tracing::warn!(%error, "Keeper stays as it is");
        return;
    }
    // None when its slot is gone; then there is no way back to it.
    let own = own_program().unwrap_or_default();
    if let Err(error) = Trial::begin(paths, next, &own) {
        tracing::warn!(%error, "Keeper stays as it is: its trial cannot be noted");
        return;
    }
    let mut held: Vec<_> = kept.sockets.iter().map(|(name, fd)| (*name, fd.as_fd())).collect();
    held.push(("lock", kept.lock.as_fd()));
    tracing::info!(program = %next.display(), "Keeper becomes another version");
    let error = become_program(paths, next, &held, base.pid(), |command| {
        command.env(BEFORE, &own).env_remove(REFUSED);
    });
    Trial::end(paths);
    tracing::error!(%error, program = %next.display(), "Keeper stays as it is");
}

/// Whether that program starts here and takes what this one hands over.
async fn speaks(program: &Path, paths: &Paths) -> anyhow::Result<()> {
    let mut command = tokio::process::Command::new(program);
    command.args(["keeper-protocol", "--data"]).arg(&paths.data).env_remove(HELD);
    command.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output =
        tokio::time::timeout(ANSWER, command.output()).await.context("it does not answer")??;
    ensure!(output.status.success(), "it knows of no succession: {}", output.status);
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    ensure!(said == PROTOCOL.to_string(), "its protocol is {said}, and this one's is {PROTOCOL}");
    Ok(())
}

/// Becomes that program with what is held. Returns only on failure, and then everything is as before.
fn become_program(
    paths: &Paths,
    program: &Path,
    held: &[(&str, std::os::fd::BorrowedFd<'_>)],
    base: u32,
    more: impl FnOnce(&mut std::process::Command),
) -> std::io::Error {
    let mut command = std::process::Command::new(program);
    let becoming = || -> std::io::Result<std::io::Error> {
        command.args(["run", "--data"]).arg(&paths.data);
        command.env(HELD, host::hold_over_exec(held)?).env(BASE, base.to_string());
        more(&mut command);
        Ok(command.exec())
    };
    let error = becoming().unwrap_or_else(|error| error);
    for (_, fd) in held {
        // A descriptor that stays open over a later exec is at worst open in a base, too.
        let _ = host::keep_over_exec(*fd, false);
    }
    error
}

/// Whether another program gave back what it could not take over.
fn takes_back() -> bool {
    std::env::var_os(REFUSED).is_some()
}

/// Whether this program was become and has not kept long enough yet.
pub fn is_on_trial(paths: &Paths) -> bool {
    let own = own_program();
    Trial::open(paths).is_some_and(|trial| own.is_some_and(|own| trial.is_of(&own)))
}

fn own_program() -> Option<PathBuf> {
    Path::new("/proc/self/exe").canonicalize().ok()
}
