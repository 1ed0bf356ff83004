//! What happens to sessions without anybody asking.

use std::sync::Arc;
use std::time::Duration;

use super::broker::Broker;
use super::session::Session;
use super::why;
use crate::clock::now;

/// How long a session waits for its agent.
const AGENT_AWAY_MAX: Duration = Duration::from_mins(15);

/// How long a session waits for its console: a laptop's night is longer, a lost network shorter.
const CONSOLE_AWAY_MAX: Duration = Duration::from_mins(30);

/// How often recordings are synced to the disk, all that changed at once.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// Syncs recordings and ends sessions whose ends stay away. Runs as long as the process.
pub async fn tend(broker: Arc<Broker>) {
    let mut ticks = tokio::time::interval(SYNC_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let live = broker.live();
        sync(&broker, &live).await;
        for session in live {
            let (agent, console) = session.gone_since();
            let away = |since: Option<_>| since.map(|since| now().since(since)).unwrap_or_default();
            if away(agent) > AGENT_AWAY_MAX {
                let text = "the Jump Client did not come back within 15 minutes";
                broker.give_up(&session, text.to_owned()).await;
            } else if away(console) > CONSOLE_AWAY_MAX {
                let text = "the console did not come back within 30 minutes";
                broker.give_up(&session, text.to_owned()).await;
            }
        }
    }
}

/// Waits for the disk to have what is recorded, once for all sessions and on a thread that may wait.
async fn sync(broker: &Broker, live: &[Arc<Session>]) {
    let unsynced: Vec<(&Arc<Session>, u64)> =
        live.iter().filter_map(|session| Some((session, session.unsynced()?))).collect();
    if unsynced.is_empty() {
        return;
    }
    let dir = broker.recordings.clone();
    match tokio::task::spawn_blocking(move || terminal::sync_all(&dir)).await {
        Ok(Ok(())) => {
            for (session, len) in unsynced {
                session.synced_up_to(len);
            }
        }
        Ok(Err(error)) => {
            tracing::error!(error = why(error), "Recordings cannot be synced to the disk");
        }
        Err(panicked) => tracing::error!(%panicked, "Recordings cannot be synced to the disk"),
    }
}
