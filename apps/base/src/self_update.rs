//! The base replaces itself: `docs/design/0003-base-self-update.md`.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context;
use install::{Fault, PackageRef};
use release::Sha256;

use crate::base::Shared;
use crate::effects::site::last_words;
use crate::keeper::LAST_EXIT;

/// How long requests under way may take when the base makes room for the next one.
const FINISH: Duration = Duration::from_secs(3);
/// The way out of a fault of the new version.
const REMEDY: &str = "Wait for a newer version; this one is not tried again by itself.";

/// The sockets that the keeper opened; they outlive this process.
pub struct Sockets {
    https: Vec<OwnedFd>,
    base: OwnedFd,
}

impl Sockets {
    /// Sorts what this process was started with.
    pub fn take(inherited: Vec<(String, OwnedFd)>) -> anyhow::Result<Self> {
        let (mut https, mut base) = (vec![], None);
        for (name, fd) in inherited {
            match name.as_str() {
                "https" => https.push(fd),
                "base" => base = Some(fd),
                other => tracing::warn!(name = other, "Socket of an unknown name"),
            }
        }
        let base = base
            .context("the socket `base` is missing: start the appliance with `sluis-base run`")?;
        Ok(Self { https, base })
    }

    /// Those that a generation inherits.
    pub fn https(&self) -> Vec<(&'static str, BorrowedFd<'_>)> {
        self.https.iter().map(|fd| ("https", fd.as_fd())).collect()
    }

    /// Our own listener for the base's socket.
    pub fn base(&self) -> std::io::Result<std::os::unix::net::UnixListener> {
        Ok(self.base.try_clone()?.into())
    }

    fn keep(&self, keep: bool) -> std::io::Result<()> {
        self.https
            .iter()
            .chain([&self.base])
            .try_for_each(|fd| host::keep_over_exec(fd.as_fd(), keep))
    }
}

/// The slot that this process runs from.
pub fn own_slot() -> Option<Sha256> {
    let program = std::fs::read_link("/proc/self/exe").ok()?;
    program.parent()?.parent()?.file_name()?.to_str()?.parse().ok()
}

/// Whether the new program starts at all and takes the configuration.
pub async fn prove(base: &Shared, package: &PackageRef) -> Result<(), Fault> {
    let program = base.slots.path(package.sha256).join("bin/sluis-base");
    let mut command = tokio::process::Command::new(&program);
    command.args(["config", "check", "--data"]).arg(&base.paths.data);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let bad = |why: String| Fault::package(format!("{package} does not start: {why}"), REMEDY);
    let output = tokio::time::timeout(Duration::from_secs(10), command.output()).await;
    match output {
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => {
            let words = String::from_utf8_lossy(&output.stderr);
            Err(bad(format!("{}: {}", output.status, last_words(&words))))
        }
        Ok(Err(error)) => Err(bad(error.to_string())),
        Err(_) => Err(bad("it did nothing for 10 s".into())),
    }
}

/// Becomes the new base; in the new base: says that it is there.
pub async fn switch_over(base: &Shared, package: &PackageRef) -> Result<(), Fault> {
    if base.own == Some(package.sha256) {
        return Ok(());
    }
    host::failpoint("exec-before").map_err(|e| Fault::host(e.to_string(), "Install again."))?;
    let error = become_slot(base, package.sha256).await;
    Err(Fault::package(format!("{package} cannot be executed: {error}"), REMEDY))
}

/// In the new base: looks at itself from outside for a while.
pub async fn watch(base: &Shared, package: &PackageRef) -> Result<(), Fault> {
    if base.own != Some(package.sha256) {
        return switch_over(base, package).await;
    }
    let socket = base.paths.base_socket();
    let started = Instant::now();
    let stable = Duration::from_secs(base.config.limits.stable_s);
    while started.elapsed() < stable {
        let answer = host::call_within(
            &socket,
            hyper::Method::GET,
            "/appliance/api/v1/alive",
            None,
            Duration::from_secs(5),
        );
        let answer = answer.await.map_err(|error| {
            Fault::package(format!("{package} does not answer: {error}"), REMEDY)
        })?;
        if !answer.status.is_success() {
            return Err(Fault::package(format!("{package} answers {}", answer.status), REMEDY));
        }
        if let Some(active) = base.fleet.active() {
            active.status().await.map_err(|error| {
                Fault::package(format!("{package} lost the site: {error}"), REMEDY)
            })?;
        }
        let fraction = started.elapsed().as_secs_f64() / stable.as_secs_f64().max(0.001);
        base.installer.say(format!("{package} holds the sockets and reaches the site."), fraction);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// In the new base: becomes the old one. In the old one: nothing is left to do.
pub async fn revert(
    base: &Shared,
    failed: &PackageRef,
    to: Option<&PackageRef>,
) -> Result<(), String> {
    if base.own != Some(failed.sha256) {
        return Ok(());
    }
    let to = to.ok_or("there is no base to go back to")?;
    let error = become_slot(base, to.sha256).await;
    Err(format!("{to} cannot be executed: {error}"))
}

/// Finishes the requests under way and becomes the base of that slot, sockets kept. Returns only on failure.
async fn become_slot(base: &Shared, slot: Sha256) -> std::io::Error {
    let program = base.slots.path(slot).join("bin/sluis-base");
    if let Err(error) = std::fs::File::open(&program) {
        return error;
    }
    base.closing.send_replace(true);
    // Every server and connection holds a receiver until it is done.
    let _ = tokio::time::timeout(FINISH, base.closing.closed()).await;
    if let Err(error) = base.sockets.keep(true) {
        return error;
    }
    tracing::info!(program = %program.display(), "Base becomes another version");
    let error = std::process::Command::new(&program)
        .args(["serve", "--data"])
        .arg(&base.paths.data)
        .env_remove(LAST_EXIT)
        .exec();
    // The servers are closed: the keeper starts over from what is committed.
    tracing::error!(%error, program = %program.display(), "Base cannot be executed");
    std::process::exit(70);
}
