//! What the installer's effects do. Each may be performed again after a crash.

mod harm;
mod package;
pub mod site;

use std::time::Duration;

use install::{Effect, Event, Fault, PackageRef, Subject};
use model::PackageKind;
use release::VerifiedPackage;

use crate::base::Shared;
use crate::installer::{self, Happened};
use crate::{license, preflight, self_update};

/// The name of an effect, for logs and tests.
pub fn name(effect: &Effect<VerifiedPackage>) -> &'static str {
    match effect {
        Effect::Confirm(_) => "confirm",
        Effect::Fetch(_) => "fetch",
        Effect::Unpack(_) => "unpack",
        Effect::Preflight { .. } => "preflight",
        Effect::Expand(_) => "expand",
        Effect::Prove(_) => "prove",
        Effect::SwitchOver { .. } => "switch-over",
        Effect::Watch { .. } => "watch",
        Effect::Point { .. } => "point",
        Effect::RecordCommit { .. } => "record-commit",
        Effect::Retire { .. } => "retire",
        Effect::Revert { .. } => "revert",
        Effect::Pin { .. } => "pin",
    }
}

/// Performs an effect; answers what came of it, if that matters.
pub async fn perform(base: &Shared, effect: Effect<VerifiedPackage>) -> Option<Happened> {
    let result = match effect {
        Effect::Confirm(package) => {
            package::confirm(base, &package).await.map(|()| Event::Confirmed)
        }
        Effect::Fetch(package) => package::fetch(base, &package).await.map(Event::Fetched),
        Effect::Unpack(package) => package::unpack(base, package).await.map(|()| Event::Unpacked),
        Effect::Preflight { package, .. } => {
            preflight::check(base, package.manifest()).map(|()| Event::PreflightPassed)
        }
        Effect::Expand(package) => site::expand(base, &package).await.map(|()| Event::Expanded),
        Effect::Prove(subject) => prove(base, &subject).await.map(|()| Event::Proven),
        Effect::SwitchOver { subject, .. } => {
            switch_over(base, &subject).await.map(|()| Event::Switched)
        }
        Effect::Watch { subject, .. } => watch(base, &subject).await.map(|()| Event::TrialPassed),
        Effect::Point { current, previous } => {
            point(base, &current, previous.as_ref()).await;
            return None;
        }
        Effect::RecordCommit { package } => {
            let previous = base.installer.state().attempt().and_then(|a| a.from.clone());
            for_sure("the commit cannot be recorded", || {
                base.ledger.change(|l| l.commit(&package, previous.as_ref(), host::now()))
            })
            .await;
            return None;
        }
        Effect::Retire { package, .. } => {
            retire(base, &package).await;
            return Some(Event::Retired);
        }
        Effect::Revert { failed, to } => return Some(revert(base, &failed, to.as_ref()).await),
        Effect::Pin { package, reason } => {
            for_sure("the bad version cannot be recorded", || {
                base.ledger.change(|l| l.pin(&package, &reason, host::now()))
            })
            .await;
            return None;
        }
    };
    Some(result.unwrap_or_else(Event::Failed))
}

async fn prove(base: &Shared, subject: &Subject<VerifiedPackage>) -> Result<(), Fault> {
    let package = install_ref(subject);
    if matches!(subject, Subject::Kept(_)) {
        let (slots, sha256) = (base.slots.clone(), package.sha256);
        let checked = tokio::task::spawn_blocking(move || slots.check(sha256)).await;
        if let Ok(Err(error)) = checked {
            return Err(Fault::host(
                format!("the kept slot cannot be used: {error}"),
                "Install a package instead.",
            ));
        }
    }
    match package.kind {
        PackageKind::Base => self_update::prove(base, &package).await,
        _ => site::prove(base, &package).await,
    }
}

async fn switch_over(base: &Shared, subject: &Subject<VerifiedPackage>) -> Result<(), Fault> {
    let package = install_ref(subject);
    match package.kind {
        PackageKind::Base => self_update::switch_over(base, &package).await,
        _ => site::switch_over(base, &package).await,
    }
}

async fn watch(base: &Shared, subject: &Subject<VerifiedPackage>) -> Result<(), Fault> {
    let package = install_ref(subject);
    match package.kind {
        PackageKind::Base => self_update::watch(base, &package).await,
        _ => site::watch(base, &package).await,
    }
}

async fn revert(base: &Shared, failed: &PackageRef, to: Option<&PackageRef>) -> Happened {
    let result = match failed.kind {
        PackageKind::Base => self_update::revert(base, failed, to).await,
        _ => site::revert(base, failed, to).await,
    };
    if result.is_ok() {
        collect(base).await;
    }
    result.map_or_else(Event::RevertFailed, |()| Event::Reverted)
}

async fn point(base: &Shared, current: &PackageRef, previous: Option<&PackageRef>) {
    for_sure("the pointers cannot be written", || {
        base.slots.point(current.kind, current.sha256, previous.map(|p| p.sha256))
    })
    .await;
    if current.kind == PackageKind::License {
        for_sure("the site cannot be told of its license", || license::tell_site(base)).await;
    }
}

async fn retire(base: &Shared, package: &PackageRef) {
    if package.kind == PackageKind::Site {
        site::retire(base).await;
        if let Some(active) = base.fleet.active()
            && let Ok(status) = active.status().await
            && status.stall_ms_max > 0
        {
            installer::note_stall(base, status.stall_ms_max);
        }
    }
    collect(base).await;
}

/// Removes the slots and downloads that nothing needs: not what runs, what is kept, or what is being handed over.
async fn collect(base: &Shared) {
    // Slots of generations that still drain are needed by them.
    let mut keep: Vec<_> = base.fleet.all().iter().map(|generation| generation.slot).collect();
    keep.extend(base.own);
    let slots = base.slots.clone();
    let collected = tokio::task::spawn_blocking(move || slots.collect(&keep)).await;
    if let Ok(Err(error)) = collected {
        tracing::warn!(%error, "Old slots cannot be removed");
    }
}

/// What was decided must be written down, however long it takes.
async fn for_sure<T>(what: &str, mut write: impl FnMut() -> std::io::Result<T>) {
    while let Err(error) = write() {
        tracing::error!(%error, "Trying again: {what}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn install_ref(subject: &Subject<VerifiedPackage>) -> PackageRef {
    subject.reference()
}
