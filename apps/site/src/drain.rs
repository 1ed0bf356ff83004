//! Handing over what a generation has to whoever accepts now.
//!
//! Make before break: each client is told to dial again, and says when its new link is up. Only when
//! both ends of a session are ready is the session let go, so that it stands still for one exchange
//! of messages and not for a handshake.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use crate::hub::Entry;
use crate::serve::{Phase, Site};
use crate::sessions::Leg;

/// Clients told to move in one step, and the pause after it: 500 handshakes a second.
const STEP: usize = 10;
const PAUSE: Duration = Duration::from_millis(20);

/// A client that is not ready by then is moved the hard way: its sessions are let go, and it dials
/// when it notices.
const PATIENCE: Duration = Duration::from_secs(15);

/// Drains until everything has gone or the generation is active again.
pub async fn drain(site: Arc<Site>) {
    let began = Instant::now();
    let mut phase = site.phase.subscribe();
    tokio::spawn(announce(site.clone()));
    loop {
        if *phase.borrow_and_update() != Phase::Draining {
            return;
        }
        let patient = began.elapsed() < PATIENCE;
        let_go_of_sessions(&site, patient);
        let_go_of_links(&site, patient);
        tokio::select! {
            () = site.moved.notified() => {}
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
            _ = phase.changed() => {}
        }
    }
}

async fn announce(site: Arc<Site>) {
    let generation = site.settings.generation.0;
    for step in site.hub.links().chunks(STEP) {
        for entry in step {
            if *site.phase.borrow() != Phase::Draining {
                return;
            }
            entry.tell(session::Migrate { generation }).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn let_go_of_sessions(site: &Arc<Site>, patient: bool) {
    for session in site.broker.live() {
        let (agent, console) = session.legs();
        let ready = is_ready(site, agent.as_ref()) && is_ready(site, console.as_ref());
        if ready || !patient {
            site.broker.release(session.ticket.session);
        }
    }
}

/// A leg that is away is no reason to wait: it comes back where it is served.
fn is_ready(site: &Arc<Site>, leg: Option<&Leg>) -> bool {
    let Some(leg) = leg else { return true };
    let Some(entry) = site.hub.link(leg.link) else { return true };
    entry.ready_to_move.load(Ordering::Acquire)
}

fn let_go_of_links(site: &Arc<Site>, patient: bool) {
    let in_use: Vec<u64> = site
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
