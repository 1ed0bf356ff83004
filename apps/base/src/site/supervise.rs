//! Keeps the current version of the site serving, outside of what the installer does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use install::{Event, Install};
use model::PackageKind;
use release::Sha256;

use super::Generation;
use crate::base::{Base, Shared};
use crate::effects::site::bring_up;

/// Crashes in a row, each soon after its start, after which nothing is switched any more.
const CRASHES_MAX: u32 = 5;
/// How long a generation has to serve for its crash not to count as one more in a row.
const STEADY: Duration = Duration::from_secs(20);
/// How often a rescue tries whether the site starts after all.
const RESCUE_AGAIN: Duration = Duration::from_mins(1);
/// How often the serving generation is asked whether it lives, and how often it may stay silent in a row.
const ASK: (Duration, u32) = (Duration::from_secs(5), 6);
/// How often drained generations are looked for.
const LOOK: Duration = Duration::from_millis(500);

/// Ends a serving generation that runs and answers nothing any more, so that another one is started.
pub async fn end_silent(base: Shared) {
    let mut silent = (0, 0);
    loop {
        tokio::time::sleep(ASK.0).await;
        let Some(active) = base.fleet.active() else { continue };
        let answers = active.status().await.is_ok();
        silent = if answers { (0, 0) } else { (active.number, silent.1 + 1) };
        if silent.0 == active.number && silent.1 >= ASK.1 {
            tracing::error!(
                generation = active.number,
                "Serving generation answers nothing; ending it"
            );
            active.stop(Duration::from_secs(2)).await;
        }
    }
}

/// Runs for as long as the base does.
pub async fn supervise(base: Shared) {
    let mut crashes = 0;
    let mut next_try = Instant::now();
    let mut last_reason = String::new();
    let mut serving_since: Option<(u64, Instant)> = None;
    let mut first = true;
    loop {
        if !std::mem::take(&mut first) {
            // Either way the rest is looked at.
            let _ = tokio::time::timeout(LOOK, base.fleet.changed.notified()).await;
        }
        if *base.closing.borrow() {
            // What ends now is meant to end.
            return;
        }
        let active = base.fleet.active();
        match (&active, serving_since) {
            (Some(now), Some((number, since))) if now.number == number => {
                if since.elapsed() > STEADY {
                    crashes = 0;
                }
            }
            (Some(now), _) => serving_since = Some((now.number, Instant::now())),
            (None, _) => {}
        }
        retire_drained(&base).await;
        let Some(slot) = wanted(&base) else { continue };
        if active.is_some() || Instant::now() < next_try {
            continue;
        }
        if crashes >= CRASHES_MAX && !rescued(&base) {
            give_up(&base, crashes, &last_reason);
            next_try = Instant::now() + RESCUE_AGAIN;
            continue;
        }
        crashes += 1;
        let within = Duration::from_secs(base.config.limits.prove_s);
        match bring_up(&base, slot, within).await {
            Ok(generation) => {
                serving_since = Some((generation.number, Instant::now()));
                next_try = Instant::now() + backoff(crashes);
                last_reason = String::from("each time it ended soon after its start");
                if rescued(&base) {
                    base.installer.tell(Event::Recovered);
                }
            }
            Err(reason) => {
                tracing::error!(reason, crashes, "Site does not start");
                last_reason = reason;
                let wait = if rescued(&base) { RESCUE_AGAIN } else { backoff(crashes) };
                next_try = Instant::now() + wait;
            }
        }
    }
}

fn rescued(base: &Base) -> bool {
    matches!(*base.installer.state(), Install::Rescue { .. })
}

fn give_up(base: &Base, crashes: u32, reason: &str) {
    let reason = format!("the site did not stay up in {crashes} tries: {reason}");
    base.installer.tell(Event::NoneHealthy { kind: PackageKind::Site, reason });
}

fn backoff(crashes: u32) -> Duration {
    Duration::from_millis(match crashes {
        0 => 0,
        1 => 200,
        2 => 1000,
        3 => 2000,
        _ => 5000,
    })
}

/// The slot that should serve; none while the installer decides about it.
fn wanted(base: &Base) -> Option<Sha256> {
    let switching = matches!(
        *base.installer.state(),
        Install::SwitchingOver { .. }
            | Install::Trial { .. }
            | Install::RollingBack { .. }
            | Install::Committed { .. }
    ) && base.installer.kind() == Some(PackageKind::Site);
    if switching { None } else { base.slots.current(PackageKind::Site).ok().flatten() }
}

/// Ends generations that have nothing left and that nobody may need again.
async fn retire_drained(base: &Shared) {
    let needed = needed(base);
    let active = base.fleet.active().map(|generation| generation.number);
    for generation in base.fleet.all() {
        if Some(generation.number) == active || needed.contains(&generation.slot) {
            continue;
        }
        match generation.status().await {
            Ok(status) => match status.phase.as_str() {
                "drained" => stop(generation),
                // Left behind by a hand-over that was cut off.
                "active" | "standby" if active.is_some() => drop(generation.drain().await),
                _ => {}
            },
            // It never said a word, and nobody waits for it.
            Err(_) if !generation.said().ready && active.is_some() => stop(generation),
            Err(_) => {}
        }
    }
}

/// Slots whose generations the attempt under way may need.
fn needed(base: &Base) -> Vec<Sha256> {
    let state = base.installer.state();
    if state.at_rest() || matches!(*state, Install::Committed { .. }) {
        return vec![];
    }
    let from = state.attempt().and_then(|attempt| attempt.from.clone());
    from.into_iter().chain(state.package()).map(|package| package.sha256).collect()
}

fn stop(generation: Arc<Generation>) {
    tokio::spawn(async move { generation.stop(Duration::from_secs(10)).await });
}
