//! Handing over what a generation has to whoever accepts now.
//!
//! Make before break: each client is told to dial again, and says when its new link is up. Only when
//! both ends of a session are ready is the session let go, so that it stands still for one exchange
//! of messages and not for a handshake.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use crate::hub::{Entry, Peer};
use crate::serve::{Phase, Site};
use crate::sessions::Leg;

/// The time over which clients are told to move. A handshake costs both sides milliseconds, which a
/// keystroke would wait for if all came at once.
const SPREAD: Duration = Duration::from_secs(2);

/// The pause after each client: not more than 500 handshakes a second, and not fewer than 20.
const PAUSES: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));

/// A client without a session that is not ready so long after all were told is moved the hard way: it
/// dials when it notices.
const PATIENCE: Duration = Duration::from_secs(15);

/// A session whose ends are not ready so long after all were told is let go all the same.
///
/// Longer than a version may be on trial: when clients cannot reach the new one it is taken back, and
/// until then their sessions go on here.
const SESSION_PATIENCE: Duration = Duration::from_secs(90);

/// Drains until everything has gone or the generation is active again.
pub async fn drain(site: Arc<Site>) {
    let mut phase = site.phase.subscribe();
    let mut announced = tokio::spawn(announce(site.clone()));
    let mut told: Option<Instant> = None;
    loop {
        if *phase.borrow_and_update() != Phase::Draining {
            return;
        }
        let within = |patience| told.is_none_or(|told| told.elapsed() < patience);
        let_go_of_sessions(&site, within(SESSION_PATIENCE)).await;
        let_go_of_links(&site, within(PATIENCE));
        tokio::select! {
            _ = &mut announced, if told.is_none() => told = Some(Instant::now()),
            () = site.moved.notified() => {}
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
            _ = phase.changed() => {}
        }
    }
}

async fn announce(site: Arc<Site>) {
    let generation = site.settings.generation.0;
    let mut links = site.hub.links();
    // Agents first: then each session goes when its console has come, one after the other, and not all of an
    // agent's at once.
    links.sort_by_key(|entry| matches!(entry.peer, Peer::Console { .. }));
    let pause = pause_for(links.len());
    for entry in links {
        if *site.phase.borrow() != Phase::Draining {
            return;
        }
        entry.tell(session::Migrate { generation }).await;
        tokio::time::sleep(pause).await;
    }
}

fn pause_for(links: usize) -> Duration {
    let even = SPREAD / u32::try_from(links.max(1)).unwrap_or(u32::MAX);
    even.clamp(PAUSES.0, PAUSES.1)
}

async fn let_go_of_sessions(site: &Arc<Site>, patient: bool) {
    let ready = site.broker.live().into_iter().filter(|session| {
        let (agent, console) = session.legs();
        !patient || (is_ready(site, agent.as_ref()) && is_ready(site, console.as_ref()))
    });
    site.broker.release_all(ready.map(|session| session.ticket.session)).await;
}

/// A leg that is away is no reason to wait: it comes back where it is served.
fn is_ready(site: &Arc<Site>, leg: Option<&Leg>) -> bool {
    let Some(leg) = leg else { return true };
    let Some(entry) = site.hub.link(leg.link) else { return true };
    entry.ready_to_move.load(Ordering::Acquire)
}

fn let_go_of_links(site: &Arc<Site>, patient: bool) {
    let in_use: HashSet<u64> = site
        .broker
        .live()
        .iter()
        .flat_map(|session| <[_; 2]>::from(session.legs()))
        .flatten()
        .map(|leg| leg.link)
        .collect();
    for entry in site.hub.links() {
        let ready = entry.ready_to_move.load(Ordering::Acquire);
        if (ready || !patient) && !in_use.contains(&entry.number) {
            say_goodbye(entry);
        }
    }
}

fn say_goodbye(entry: Arc<Entry>) {
    tokio::spawn(async move {
        entry.tell(session::Bye {}).await;
        entry.handle.close();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_move_within_moments_and_many_not_all_at_once() {
        for (links, milliseconds) in [(0, 50), (4, 50), (40, 50), (200, 10), (500, 4), (20_000, 2)]
        {
            assert_eq!(pause_for(links), Duration::from_millis(milliseconds), "{links} links");
        }
    }
}
