use std::collections::BTreeSet;

use crate::{Fault, Install, PackageRef, Subject};

/// What is on disk, as the base finds it at its start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Disk {
    /// Packages that stand whole in their slots, by SHA-256.
    pub slots: BTreeSet<String>,
    /// Package files that are whole, by SHA-256.
    pub downloads: BTreeSet<String>,
}

/// What recovery kept of the last record, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It stands as it is.
    AsItWas,
    /// What it had reached is not on disk: an earlier state, whose effects bring it back.
    Earlier,
    /// It cannot go on: the attempt ends.
    Ended,
}

/// Decides where the installer stands from its last record and from what is on disk.
pub fn recover(last: Option<Install<PackageRef>>, disk: &Disk) -> (Install<PackageRef>, Kept) {
    let Some(state) = last else { return (Install::Idle, Kept::AsItWas) };
    let has = |package: &PackageRef| disk.slots.contains(&package.sha256.to_string());
    let fetched = |package: &PackageRef| disk.downloads.contains(&package.sha256.to_string());
    match state {
        Install::Verified { attempt, package } if !fetched(&package) => {
            (Install::Fetching { attempt, package }, Kept::Earlier)
        }
        Install::Staged { attempt, package } | Install::Preflight { attempt, package }
            if !has(&package) =>
        {
            (unstaged(attempt, package, &fetched), Kept::Earlier)
        }
        Install::Expanded { attempt, subject: Subject::Update(package), .. } if !has(&package) => {
            (unstaged(attempt, package, &fetched), Kept::Earlier)
        }
        Install::Expanded { attempt, subject, .. }
        | Install::SwitchingOver { attempt, subject, .. }
        | Install::Trial { attempt, subject, .. }
            if !has(&subject.reference()) =>
        {
            let package = subject.reference();
            let fault = Fault::host(
                format!("the slot of {package} is gone from the disk"),
                "Check the disk, then install again.",
            );
            (Install::RollingBack { attempt, package, fault }, Kept::Ended)
        }
        Install::RollingBack {
            attempt: crate::Attempt { from: Some(from), .. }, fault, ..
        } if !has(&from) => {
            let reason = format!("{}; the slot of {from} is gone from the disk", fault.text);
            (Install::Rescue { kind: from.kind, reason }, Kept::Ended)
        }
        state => (state, Kept::AsItWas),
    }
}

fn unstaged(
    attempt: crate::Attempt,
    package: PackageRef,
    fetched: &impl Fn(&PackageRef) -> bool,
) -> Install<PackageRef> {
    if fetched(&package) {
        Install::Verified { attempt, package }
    } else {
        Install::Fetching { attempt, package }
    }
}
