//! A version that passed its trial and does not stay up afterwards: the kept one takes over again by itself.

use install::{Event, PackageRef};
use model::PackageKind;

use crate::base::{Base, Shared};
use crate::installer::attempt_id;
use crate::log::{Entry, Level};

/// Pins the site that runs as bad and goes back to the kept one; answers whether it does.
///
/// Only within the time in which a committed version soaks. Later its failure has another cause, and a version from
/// long ago is no remedy.
pub async fn put_back(base: &Shared, reason: &str) -> bool {
    let Some((failed, kept)) = candidates(base) else { return false };
    let why = format!("it did not stay up after it had passed its trial: {reason}");
    let id = attempt_id();
    base.log.add(Entry {
        n: 0,
        at: host::now(),
        attempt: Some(id),
        step: 0,
        stall_ms: None,
        subject: failed.to_string(),
        phase: base.installer.state().name().to_owned(),
        level: Level::Error,
        text: format!("{failed} is put back: {why}. {kept} takes over again."),
    });
    if let Err(error) = base.ledger.change(|ledger| ledger.pin(&failed, &why, host::now())) {
        tracing::error!(%error, "Bad version cannot be recorded");
        return false;
    }
    base.installer.ask(Event::GoBack { id, to: kept, from: failed }).await.is_ok()
}

/// The version that runs and the one to go back to.
fn candidates(base: &Base) -> Option<(PackageRef, PackageRef)> {
    let (failed, kept) = (base.installed(PackageKind::Site)?, base.kept(PackageKind::Site)?);
    base.ledger.read(|ledger| {
        let floor = ledger.floors.get(&failed.kind)?;
        let soaks = floor.soaking.as_ref().is_some_and(|(release, _)| *release == failed.release);
        // A bad one was put back before: the failed one may be what replaced it.
        (soaks && ledger.bad(&kept).is_none() && failed != kept)
            .then(|| (failed.clone(), kept.clone()))
    })
}
