//! Keeps the current version of the site serving, outside of what the installer does.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use install::{Event, Install};
use model::PackageKind;
use release::Sha256;

use super::{Generation, relapse};
use crate::base::{Base, Shared};
use crate::effects::site::bring_up;

/// Crashes in a row, each soon after its start, after which nothing is switched any more.
const CRASHES_MAX: u32 = 5;
/// How long a generation has to serve for its crash not to count as one more in a row.
const STEADY: Duration = Duration::from_secs(20);
/// So many deaths within so much time mean that a version that was just committed is not to be kept.
const RELAPSE: (usize, Duration) = (3, Duration::from_mins(2));
/// How long the kept version has to take over before the failed one is started again.
const PUT_BACK: Duration = Duration::from_secs(15);
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
    let mut record = Record::default();
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
        record.look(active.as_ref());
        retire_drained(&base).await;
        let Some(slot) = wanted(&base) else { continue };
        if active.is_some() || record.must_wait() {
            continue;
        }
        if record.relapses() && relapse::put_back(&base, &record.last_reason).await {
            record = Record { next_try: Some(Instant::now() + PUT_BACK), ..Record::default() };
            continue;
        }
        if record.crashes >= CRASHES_MAX && !rescued(&base) {
            give_up(&base, record.crashes, &record.last_reason);
            record.next_try = Some(Instant::now() + RESCUE_AGAIN);
            continue;
        }
        start_again(&base, slot, &mut record).await;
    }
}

async fn start_again(base: &Shared, slot: Sha256, record: &mut Record) {
    record.crashes += 1;
    let within = Duration::from_secs(base.config.limits.prove_s);
    match bring_up(base, slot, within).await {
        Ok(generation) => {
            record.look(Some(&generation));
            record.next_try = Some(Instant::now() + backoff(record.crashes));
            if rescued(base) {
                base.installer.tell(Event::Recovered);
            }
        }
        Err(reason) => {
            tracing::error!(reason, crashes = record.crashes, "Site does not start");
            record.died(reason);
            let wait = if rescued(base) { RESCUE_AGAIN } else { backoff(record.crashes) };
            record.next_try = Some(Instant::now() + wait);
        }
    }
}

/// What is known of how well the site stays up.
#[derive(Default)]
struct Record {
    /// Starts in a row, each soon after the one before.
    crashes: u32,
    /// Deaths of a generation that served or was to serve.
    deaths: VecDeque<Instant>,
    /// How the last one died.
    last_reason: String,
    next_try: Option<Instant>,
    serving: Option<(Arc<Generation>, Instant)>,
}

impl Record {
    /// Takes note of what serves now.
    fn look(&mut self, active: Option<&Arc<Generation>>) {
        match (active, &self.serving) {
            (Some(now), Some((known, since))) if now.number == known.number => {
                if since.elapsed() > STEADY {
                    self.crashes = 0;
                }
            }
            (Some(now), _) => self.serving = Some((now.clone(), Instant::now())),
            (None, _) => {
                if let Some((gone, _)) = self.serving.take()
                    && let Some(death) = gone.said().death()
                {
                    self.died(death);
                }
            }
        }
    }

    fn died(&mut self, reason: String) {
        self.last_reason = reason;
        self.deaths.push_back(Instant::now());
        while self.deaths.len() > RELAPSE.0 {
            self.deaths.pop_front();
        }
    }

    fn must_wait(&self) -> bool {
        self.next_try.is_some_and(|next| Instant::now() < next)
    }

    /// Whether it died so often within so little time that its version is to blame.
    fn relapses(&self) -> bool {
        let first = self.deaths.front().filter(|_| self.deaths.len() == RELAPSE.0);
        first.is_some_and(|first| first.elapsed() < RELAPSE.1)
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
