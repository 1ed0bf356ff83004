//! What one generation does for all: removing what expired, and correcting what dead ones left.
//!
//! The generation that serves takes a fence for it, so that an older one that still runs is refused.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use model::{SessionId, SessionOutcome};
use store::Fence;
use terminal::Recorder;
use tokio::time::Instant;

use crate::clock::now;
use crate::serve::{Phase, Site};

/// The fence's name.
const FENCE: &str = "housekeeping";

/// How often it is done.
const EVERY: Duration = Duration::from_mins(10);

/// A session that nobody resumed for so long after this generation began to serve is lost: longer
/// than both its ends are waited for.
const LOST_AFTER: Duration = Duration::from_mins(40);

/// Does it as long as this generation serves, whenever it does.
pub async fn keep(site: Arc<Site>) {
    let mut phase = site.phase.subscribe();
    let mut serving_since = None;
    loop {
        if phase.wait_for(|phase| *phase == Phase::Active).await.is_err() {
            return;
        }
        let since = *serving_since.get_or_insert_with(Instant::now);
        if let Err(error) = tidy(&site, since).await {
            tracing::warn!(
                error = format!("{error:#}"),
                "Housekeeping was not done; it is tried again"
            );
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            _ = phase.changed() => serving_since = None,
        }
    }
}

async fn tidy(site: &Arc<Site>, since: Instant) -> anyhow::Result<()> {
    // The base alone decides which generation serves, also when it puts an older one back.
    let fence = site.store.fence_reclaim(FENCE, now()).await?;
    let others = site.broker.neighbours.alive().await;
    let alive: Vec<_> = others.iter().copied().chain([site.settings.generation]).collect();
    let gone = fence.generations_gone(&alive).await?;
    if gone.agents > 0 {
        tracing::info!(
            agents = gone.agents,
            "Links of generations that died are closed in the list"
        );
    }
    let swept = fence.sweep(now()).await?;
    for recording in &swept.self_test_recordings {
        let path = site.settings.recordings().join(recording);
        // A file that is gone is what is wanted.
        let _ = tokio::fs::remove_file(path.with_extension("chain")).await;
        let _ = tokio::fs::remove_file(path).await;
    }
    if others.is_empty() && since.elapsed() > LOST_AFTER {
        end_lost_sessions(site, &fence).await?;
    }
    Ok(())
}

/// Ends sessions that no generation relays and nobody has resumed.
async fn end_lost_sessions(site: &Arc<Site>, fence: &Fence) -> anyhow::Result<()> {
    let relayed: HashSet<SessionId> =
        site.broker.live().iter().map(|session| session.ticket.session).collect();
    let rows = site.store.sessions().list_live().await?;
    let lost: Vec<SessionId> =
        rows.into_iter().map(|row| row.id).filter(|id| !relayed.contains(id)).collect();
    if lost.is_empty() {
        return Ok(());
    }
    let reason = "neither the Jump Client nor the console came back";
    for id in &lost {
        let (dir, id) = (site.settings.recordings(), *id);
        let ended = tokio::task::spawn_blocking(move || {
            let (recorder, _) = Recorder::resume(&dir, id)?;
            recorder.end(now(), &SessionOutcome::Failed(reason.to_owned()))
        });
        if let Ok(Err(error)) = ended.await {
            tracing::warn!(session = %id, %error, "Recording of a lost session cannot be finished");
        }
    }
    let count = fence.sessions_lost(&lost, reason, now()).await?;
    tracing::warn!(sessions = count, "Sessions that nobody resumed are ended");
    Ok(())
}
