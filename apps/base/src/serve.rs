//! The base itself: composes its parts and runs until it is told to stop, replaced or dead.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use host::{Journal, JournalError, RealFs, Slots};
use install::{Course, Event, Install, Record, recover};
use model::PackageKind;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::accounts::AccountBook;
use crate::base::{Base, LedgerFile, Shared};
use crate::config::Config;
use crate::installer::{self, Happened, Installer, Machine, Walk};
use crate::keeper::LAST_EXIT;
use crate::last_check::LastCheck;
use crate::log::InstallLog;
use crate::paths::Paths;
use crate::reports::{self, Reports};
use crate::self_update::{Sockets, own_slot};
use crate::signed_in::SignedIn;
use crate::site::{Fleet, end_silent, supervise};
use crate::{api, https, license, revive, trust};

/// How often the keeper hears that the base is alive.
const ALIVE: Duration = Duration::from_secs(1);
/// How often the ledger is asked whether a version has served long enough.
const SOAK_LOOK: Duration = Duration::from_mins(1);

pub fn run(paths: Paths) -> anyhow::Result<ExitCode> {
    let sockets = Sockets::take(host::inherited_sockets()?)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 8)))
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    runtime.block_on(serve(paths, sockets))
}

/// What was found at the start.
struct Start {
    journal: Option<Journal<RealFs>>,
    course: Walk,
    /// The state differs from the last record.
    changed: bool,
}

async fn serve(paths: Paths, sockets: Sockets) -> anyhow::Result<ExitCode> {
    host::notify("WATCHDOG=1");
    host::failpoint("base-start")?;
    let config = Config::load(&paths)?;
    let slots = Slots::new(RealFs, &paths.data);
    let own = own_slot();
    let last_check = LastCheck::open(&paths);
    let start = start(&paths, &slots, &last_check).await?;
    let restarted = restarted(&start.course.install, own);
    let log = InstallLog::open(&paths)?;
    let base: Shared = Arc::new(Base {
        own,
        started: Instant::now(),
        started_at: host::now(),
        ledger: LedgerFile::open(&paths)?,
        reports: Reports::open(&paths, &log),
        log,
        accounts: AccountBook::open(&paths)?,
        signed_in: SignedIn::open(&paths),
        last_check,
        fleet: Fleet::new(&paths),
        installer: Installer::new(start.course),
        closing: watch::Sender::new(false),
        sockets,
        slots,
        config,
        paths,
    });
    base.fleet.adopt().await?;
    if let Err(error) = license::tell_site(&base) {
        tracing::warn!(%error, "Site cannot be told of its license");
    }
    tracing::info!(slot = ?base.own, "Base serves");
    let listener = base.sockets.base()?;
    tokio::spawn(api::serve(base.clone(), listener));
    for (_, fd) in base.sockets.https() {
        let listener = std::net::TcpListener::from(fd.try_clone_to_owned()?);
        tokio::spawn(https::serve(base.clone(), listener));
    }
    tokio::spawn(installer::run(base.clone(), start.journal, restarted, start.changed));
    tokio::spawn(supervise(base.clone()));
    tokio::spawn(end_silent(base.clone()));
    tokio::spawn(reports::send(base.clone()));
    tokio::spawn(soak(base.clone()));
    revive::tell_of_former(&base);
    tokio::spawn(revive::watch_keeper(base.clone()));
    until_stopped(&base).await
}

/// Reads the journal and decides with it where the installer stands.
async fn start(
    paths: &Paths,
    slots: &Slots<RealFs>,
    last_check: &LastCheck,
) -> anyhow::Result<Start> {
    let (journal, last) = match Journal::open(RealFs, &paths.data) {
        Ok((journal, last)) => (journal, last),
        Err(JournalError::Damaged(damage)) => {
            // Fails closed: the versions that `current` names run, and nothing is installed.
            tracing::error!(%damage, "Journal cannot be trusted");
            let machine = Install::Rescue { kind: PackageKind::Base, reason: damage.to_string() };
            return Ok(Start { journal: None, course: machine.into(), changed: false });
        }
        Err(error) => return Err(error.into()),
    };
    let last = last.map(Record::course);
    let plan = last.as_ref().and_then(|last| last.plan.clone());
    let (recovered, _) = recover(last.clone().map(|last| last.install), &slots.on_disk()?);
    let install = trust::prove_again(paths, slots, last_check, &recovered).await;
    let course = Course { install, plan };
    let changed = last.is_some_and(|last| last != course.saved());
    Ok(Start { journal: Some(journal), course, changed })
}

/// How the last base ended, when that says something about a base on trial.
fn restarted(machine: &Machine, own: Option<release::Sha256>) -> Happened {
    let on_trial = machine.package().filter(|package| package.kind == PackageKind::Base);
    let survived_it = on_trial.is_some_and(|package| own != Some(package.sha256));
    let last = std::env::var(LAST_EXIT).ok().filter(|last| !last.is_empty());
    // A killed base may have been killed by anybody; that it died of itself or hung is its own fault.
    let own_fault = last.filter(|last| !last.contains("signal 9") && !last.contains("signal 15"));
    Event::Restarted { died: own_fault.filter(|_| survived_it) }
}

async fn soak(base: Shared) {
    let soak = Duration::from_secs(base.config.limits.soak_s);
    loop {
        if let Err(error) = base.ledger.change(|ledger| ledger.soaked(host::now(), soak)) {
            tracing::warn!(%error, "Ledger cannot be saved");
        }
        tokio::time::sleep(SOAK_LOOK.min(soak.max(Duration::from_secs(1)))).await;
    }
}

async fn until_stopped(base: &Shared) -> anyhow::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut alive = tokio::time::interval(ALIVE);
    loop {
        tokio::select! {
            _ = alive.tick() => host::notify("WATCHDOG=1"),
            _ = terminate.recv() => break,
            // A terminal sends this to all of its processes: the keeper passes it on.
            _ = interrupt.recv() => {}
        }
    }
    tracing::info!("Appliance stops");
    base.closing.send_replace(true);
    base.fleet.stop_all().await;
    Ok(ExitCode::SUCCESS)
}
