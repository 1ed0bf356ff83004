//! One generation of the site takes over from another.

use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use host::{RealFs, load_json, save_json};
use install::{Fault, PackageRef};
use model::{PackageKind, Timestamp};
use release::{Sha256, VerifiedPackage};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;

use super::harm;
use crate::base::Shared;
use crate::site::Generation;

/// The way out of a fault of the new version.
const REMEDY: &str = "Wait for a newer version; this one is not tried again by itself.";
/// How often a new version is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// Of a hundred clients that were connected, so many have to be back.
const BACK_PERCENT: u64 = 99;
/// Kept before a deadline, so that the reason is told rather than that time is over.
const MARGIN: Duration = Duration::from_millis(300);
/// A failed version that does not take the order to hand over, or does not end, by then is not waited for any
/// longer.
const LAST_WORD: Duration = Duration::from_secs(1);
/// Longest text of a failed migration that is passed on.
const WORDS_MAX: usize = 600;

/// Who was connected when the hand-over began.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct HandOver {
    attempt: Option<model::AttemptId>,
    agents: u64,
}

/// Expands the database to what the package needs; nothing for a base.
pub async fn expand(base: &Shared, package: &VerifiedPackage) -> Result<(), Fault> {
    let Some(level) = package.manifest().schema_level() else { return Ok(()) };
    if package.manifest().kind != PackageKind::Site {
        return Ok(());
    }
    let slot = base.slots.path(package.sha256());
    let mut command = tokio::process::Command::new(slot.join("bin/sluis-site"));
    command.args(["migrate", "--to", &level.to_string()]).envs(base.fleet.environment(0, &slot));
    command.env_remove("LISTEN_FDS").stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let within = Duration::from_secs(base.config.limits.migrate_s);
    let failed = |why: String| {
        Fault::package(format!("the database cannot be expanded to level {level}: {why}"), REMEDY)
    };
    let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
    let mut words = String::new();
    let work = async {
        if let Some(mut stderr) = child.stderr.take() {
            let mut bytes = vec![];
            let _ = stderr.read_to_end(&mut bytes).await;
            words.push_str(String::from_utf8_lossy(&bytes).trim());
        }
        child.wait().await
    };
    match tokio::time::timeout(within, work).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(failed(format!("{status}: {}", last_words(&words)))),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(failed(format!("it took longer than {} s", within.as_secs()))),
    }
}

/// Why a program gave up: what follows its last `Error:`, or the end of what it said, on one line. A
/// backtrace behind it is left to the log.
pub fn last_words(said: &str) -> String {
    let why = said.rsplit_once("Error: ").map_or(said, |(_, why)| why);
    let why = why.split_once("Stack backtrace:").map_or(why, |(why, _)| why);
    let line = why.split_whitespace().collect::<Vec<_>>().join(" ");
    let left_out = line.chars().count().saturating_sub(WORDS_MAX);
    line.chars().skip(left_out).collect()
}

/// Starts the new version beside the old one and asks it everything.
pub async fn prove(base: &Shared, package: &PackageRef) -> Result<(), Fault> {
    base.installer.say(format!("Starting {package}."), 0.1);
    let generation = candidate(base, package)?;
    tokio::select! {
        proven = examine(base, package, &generation) => proven,
        harm = harm::done(base, &generation) => {
            let harm = ended(&generation, harm).await;
            Err(Fault::package(format!("{package} {harm}"), REMEDY))
        }
    }
}

/// Ends a generation on the spot; answers why, as it came. It gets no time to hand over: meanwhile it would take
/// what the other version needs, and its sessions resume there anyway.
async fn ended(generation: &Generation, harm: String) -> String {
    generation.kill().await;
    harm
}

async fn examine(
    base: &Shared,
    package: &PackageRef,
    generation: &Generation,
) -> Result<(), Fault> {
    let left = left(base);
    let bad = |text: String| Fault::package(format!("{package} {text}"), REMEDY);
    match tokio::time::timeout(left, generation.ready()).await {
        Ok(Ok(())) => {}
        Ok(Err(death)) => return Err(bad(format!("died at its start: {death}"))),
        Err(_) => {
            let last = generation.said().status;
            let words =
                if last.is_empty() { String::new() } else { format!("; it last said: {last}") };
            return Err(bad(format!("was not ready within {} s{words}", left.as_secs())));
        }
    }
    base.installer.say(format!("{package} is ready; looking at its health."), 0.5);
    generation.health().await.map_err(|why| bad(format!("is not healthy: {why}")))?;
    same_identity(base, generation).await.map_err(bad)?;
    base.installer.say("Running a session from end to end.", 0.7);
    let tested = tokio::select! {
        tested = generation.selftest(self::left(base)) => tested,
        death = generation.dead() => Err(format!("it died: {death}")),
    };
    tested.map_err(|why| bad(format!("does not carry a session: {why}")))
}

/// Clients refuse a site whose identity is another than the one they know, so such a version must not
/// serve for a moment.
async fn same_identity(base: &Shared, new: &Generation) -> Result<(), String> {
    let Some(serving) = base.fleet.active().filter(|active| active.number != new.number) else {
        return Ok(());
    };
    let asked = tokio::join!(serving.status(), new.status());
    // One that does not answer, or is too old to say it, cannot be compared.
    let (Ok(old), Ok(new)) = asked else { return Ok(()) };
    match (old.identity, new.identity) {
        (Some(known), Some(found)) if known != found => Err(format!(
            "has another identity than the site that serves ({}… instead of {}…), and no client would trust it",
            start_of(&found),
            start_of(&known),
        )),
        _ => Ok(()),
    }
}

/// Enough of an identity to tell it from another.
fn start_of(identity: &str) -> String {
    identity.chars().take(16).collect()
}

/// The generation on trial: the newest of that slot that is newer than what serves, started when there is none.
fn candidate(base: &Shared, package: &PackageRef) -> Result<Arc<Generation>, Fault> {
    let serving = base.fleet.active();
    let older = serving.as_ref().filter(|active| active.slot != package.sha256);
    let found = base.fleet.all().into_iter().rev().find(|generation| {
        generation.slot == package.sha256
            && generation.is_alive()
            && older.is_none_or(|older| generation.number > older.number)
    });
    match found {
        Some(generation) => Ok(generation),
        None => start(base, package.sha256).map_err(|why| {
            Fault::host(
                format!("{package} cannot be started: {why}"),
                "Look at the appliance's log.",
            )
        }),
    }
}

fn start(base: &Shared, slot: Sha256) -> Result<Arc<Generation>, String> {
    base.fleet.start(&base.ledger, &base.sockets, slot).map_err(|error| format!("{error:#}"))
}

/// Lets the new version accept and tells the old one to hand over.
pub async fn switch_over(base: &Shared, package: &PackageRef) -> Result<(), Fault> {
    let new = candidate(base, package)?;
    if !new.said().ready {
        // A power cut ended it between its proof and now.
        prove(base, package).await?;
    }
    // Usually one; a base that was killed between the two steps below left both serving.
    let mut old = base.fleet.all();
    old.retain(|generation| generation.number != new.number);
    remember(base, &old).await;
    host::failpoint("switch-before-activate").map_err(|e| Fault::host(e.to_string(), ""))?;
    if let Err(why) = new.activate().await {
        // An answer that broke off is the first sign of a death.
        let died = tokio::time::timeout(LAST_WORD, new.dead()).await;
        let why = match died {
            Ok(death) => format!("died when it took over: {death}"),
            Err(_) => format!("does not take over: {why}"),
        };
        return Err(Fault::package(format!("{package} {why}"), REMEDY));
    }
    base.fleet.serves(Some(new.number));
    host::failpoint("switch-after-activate").map_err(|e| Fault::host(e.to_string(), ""))?;
    for old in old {
        if let Err(reason) = old.drain().await {
            // It may have died; what it had comes to the new one by itself.
            tracing::warn!(reason, generation = old.number, "Old generation does not drain");
        }
    }
    Ok(())
}

/// Writes down how many clients there were; an earlier try of the same attempt saw more of them.
async fn remember(base: &Shared, old: &[Arc<Generation>]) {
    let attempt = base.installer.state().attempt().map(|attempt| attempt.id);
    let mut now = 0;
    for old in old {
        now += old.status().await.map_or(0, |status| status.agents_connected);
    }
    let before = remembered(base);
    let agents = if before.attempt == attempt { now.max(before.agents) } else { now };
    if let Err(error) = save_json(&RealFs, &base.paths.hand_over(), &HandOver { attempt, agents }) {
        tracing::warn!(%error, "Number of clients cannot be written down");
    }
}

fn remembered(base: &Shared) -> HandOver {
    load_json(&RealFs, &base.paths.hand_over()).ok().flatten().unwrap_or_default()
}

/// Watches the new version serve until it has proven itself or time is over.
pub async fn watch(base: &Shared, package: &PackageRef) -> Result<(), Fault> {
    let bad = |text: String| Fault::package(format!("{package} {text}"), REMEDY);
    let new = candidate(base, package)?;
    if !new.said().ready || base.fleet.active().is_none_or(|active| active.number != new.number) {
        switch_over(base, package).await?;
    }
    let attempt = base.installer.state().attempt().map(|attempt| attempt.id);
    let agents = Some(remembered(base)).filter(|h| h.attempt == attempt).map_or(0, |h| h.agents);
    let enough = (agents * BACK_PERCENT).div_ceil(100);
    let stable = Duration::from_secs(base.config.limits.stable_s);
    let mut fine_since: Option<Instant> = None;
    let mut tested = false;
    let mut missing = "it does not answer".to_owned();
    let deadline = Instant::now() + left(base);
    let mut silence = std::pin::pin!(harm::hangs(&new));
    loop {
        if Instant::now() >= deadline {
            return Err(bad(format!("did not prove itself in time: {missing}")));
        }
        let look = async {
            new.health().await.map_err(|why| format!("it is not healthy: {why}"))?;
            let status = new.status().await.map_err(|error| error.to_string())?;
            let back = status.agents_settled.unwrap_or(status.agents_connected);
            if back < enough {
                return Err(format!(
                    "{back} of {agents} clients are back, and {enough} are needed"
                ));
            }
            if !tested {
                let session = new.selftest(Duration::from_secs(20)).await;
                session.map_err(|why| format!("it does not carry a session: {why}"))?;
            }
            Ok::<(), String>(())
        };
        let looked = tokio::select! {
            looked = tokio::time::timeout_at(deadline.into(), look) => looked,
            death = new.dead() => return Err(bad(format!("died while it served: {death}"))),
            harm = harm::done(base, &new) => return Err(bad(ended(&new, harm).await)),
            silence = &mut silence => return Err(bad(silence)),
        };
        match looked {
            Ok(Ok(())) => {
                tested = true;
                "it stopped answering".clone_into(&mut missing);
                let since = *fine_since.get_or_insert_with(Instant::now);
                let fraction = since.elapsed().as_secs_f64() / stable.as_secs_f64().max(0.001);
                base.installer
                    .say(format!("{package} serves, and its clients are back."), fraction);
                if since.elapsed() >= stable {
                    return Ok(());
                }
            }
            Ok(Err(why)) => {
                base.installer.say(format!("{package} serves; waiting: {why}."), 0.0);
                missing = why;
                fine_since = None;
            }
            // The deadline: what was missing last is the reason.
            Err(_) => {}
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            death = new.dead() => return Err(bad(format!("died while it served: {death}"))),
            harm = harm::done(base, &new) => return Err(bad(ended(&new, harm).await)),
            silence = &mut silence => return Err(bad(silence)),
        }
    }
}

/// Lets the old version take over again and ends the new one.
pub async fn revert(
    base: &Shared,
    failed: &PackageRef,
    to: Option<&PackageRef>,
) -> Result<(), String> {
    let old = to.and_then(|to| base.fleet.of_slot(to.sha256)).filter(|old| old.said().ready);
    let since = old.as_ref().map_or(0, |old| old.number);
    let new: Vec<_> = base
        .fleet
        .all()
        .into_iter()
        .filter(|generation| generation.slot == failed.sha256 && generation.number > since)
        .collect();
    if let Some(to) = to {
        if let Some(old) = &old {
            let active = old.activate().await;
            active.map_err(|why| format!("{to} does not take over again: {why}"))?;
            base.fleet.serves(Some(old.number));
        } else {
            let within = Duration::from_secs(base.config.limits.prove_s);
            let up = bring_up(base, to.sha256, within).await;
            up.map_err(|why| format!("{to} does not start again: {why}"))?;
        }
    } else {
        base.fleet.serves(None);
    }
    let ends = new.iter().map(|generation| end(generation));
    futures_util::future::join_all(ends).await;
    Ok(())
}

/// Gives a generation a moment to hand over its sessions, and ends it; at once when it hangs, as it holds them.
async fn end(generation: &Generation) {
    if !matches!(tokio::time::timeout(LAST_WORD, generation.drain()).await, Ok(Ok(()))) {
        generation.kill().await;
        return;
    }
    let handed_over = async {
        loop {
            if generation.status().await.ok()?.phase == "drained" {
                return Some(());
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(5), handed_over).await;
    generation.stop(Duration::from_secs(3)).await;
}

/// Starts a slot, or takes one that runs, and lets it serve.
pub async fn bring_up(
    base: &Shared,
    slot: Sha256,
    within: Duration,
) -> Result<Arc<Generation>, String> {
    let generation = match base.fleet.of_slot(slot) {
        Some(running) => running,
        None => start(base, slot)?,
    };
    let Ok(ready) = tokio::time::timeout(within, generation.ready()).await else {
        generation.stop(Duration::from_secs(1)).await;
        return Err(format!("it was not ready within {} s", within.as_secs()));
    };
    ready?;
    generation.activate().await?;
    base.fleet.serves(Some(generation.number));
    // Only a committed version is brought up outside of a trial.
    generation.committed().await;
    Ok(generation)
}

/// Tells every other generation to leave when its last session has; the supervisor ends them then.
pub async fn retire(base: &Shared) {
    let active = base.fleet.active();
    if let Some(active) = &active {
        active.committed().await;
    }
    let active = active.map(|generation| generation.number);
    for generation in base.fleet.all() {
        if Some(generation.number) != active {
            // A dead one has left already.
            let _ = generation.drain().await;
        }
    }
}

/// What is left until the deadline of the state, less a margin.
fn left(base: &Shared) -> Duration {
    let deadline: Timestamp = base.installer.state().deadline().unwrap_or_default();
    deadline.since(base.steady_now()).saturating_sub(MARGIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_are_the_reason_without_the_log_before_it() {
        let said = "INFO Database expanded\nError: no room\n\nCaused by:\n    the disk is full\n";
        assert_eq!(last_words(said), "no room Caused by: the disk is full");
        assert_eq!(last_words("Error: no room\n\nStack backtrace:\n   0: main\n"), "no room");
        assert_eq!(last_words("Aborted"), "Aborted");
        assert_eq!(last_words(&"x".repeat(WORDS_MAX + 5)).len(), WORDS_MAX);
    }
}
