//! The base sees to it that there is a keeper.
//!
//! Without one everything goes on, but a base that dies then stays dead. A service manager starts another keeper
//! within moments; where there is none, or it has given up, the base does: `docs/design/0003-base-self-update.md`.

use std::path::Path;
use std::time::Duration;

use host::{Launch, Process};
use model::PackageKind;

use crate::base::{Base, Shared};
use crate::keeper::{self, KEEPER_PID};
use crate::paths::Paths;

/// Says in the log, once, that the keeper of the version that runs was given up.
pub fn tell_of_former(base: &Base) {
    let Some(package) = base.installed(PackageKind::Base) else { return };
    if !keeper::gave_up_current(&base.paths) {
        return;
    }
    let text = format!(
        "The keeper of {package} died soon after it had taken over; the one before it goes on, and \
         that of the next version is tried."
    );
    if base.log.after(0).iter().any(|entry| entry.text == text) {
        return;
    }
    base.warn(&package, text);
}

/// Waits until the keeper is gone and starts another; that one ends this base and starts its own.
pub async fn watch_keeper(base: Shared) {
    let pid = std::env::var(KEEPER_PID).ok().and_then(|pid| pid.parse::<u32>().ok());
    // A base that was started by hand has none.
    let Some(pid) = pid else { return };
    if is_parent(pid)
        && let Ok(keeper) = Process::open(pid)
        // It may have ended in between, and its pid be that of another.
        && is_parent(pid)
    {
        keeper.ended().await;
    }
    let grace = Duration::from_secs(base.config.limits.keeper_s.max(1));
    loop {
        tracing::warn!(
            grace_s = grace.as_secs(),
            "Keeper is gone; another is started unless one comes"
        );
        tokio::time::sleep(grace).await;
        if *base.closing.borrow() {
            return;
        }
        if keeper::is_there(&base.paths) {
            continue;
        }
        match start(&base) {
            Ok(keeper) => {
                let ended = keeper.ended().await;
                tracing::error!(%ended, "Keeper that the base started is gone");
            }
            Err(error) => tracing::error!(%error, "No keeper can be started"),
        }
    }
}

fn is_parent(pid: u32) -> bool {
    rustix::process::getppid()
        .is_some_and(|parent| parent.as_raw_nonzero().get().unsigned_abs() == pid)
}

fn start(base: &Shared) -> std::io::Result<Process> {
    let Paths { data } = &base.paths;
    let program = keeper::program_to_start(&base.paths);
    tracing::error!(program = %program.display(), "Starting a keeper");
    let pid = host::launch_process(Launch {
        launcher: Path::new("/proc/self/exe"),
        program: &program,
        args: vec!["run".into(), "--data".into(), data.into()],
        env: vec![],
        // So that it need not take them out of this process, for which it may lack the right.
        sockets: base.sockets.https(),
    })?;
    Process::open(pid)
}
