use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use link::{Reader, Writer};
use session::{AgentStatus, Frame, Message, Pong};

use crate::clock::now;
use crate::hub::{Entry, Peer};
use crate::serve::Site;

/// A link on which nothing was heard for so long is dead: clients ping every 15 s.
const SILENCE_MAX: Duration = Duration::from_mins(1);

/// Serves the stream that speaks of the link itself.
pub(super) async fn serve(site: Arc<Site>, entry: Arc<Entry>, mut reader: Reader, writer: Writer) {
    *entry.control.lock().unwrap_or_else(PoisonError::into_inner) = Some(writer.clone());
    site.greet(&entry).await;
    loop {
        match tokio::time::timeout(SILENCE_MAX, reader.next()).await {
            Ok(Ok(Some(received))) => {
                entry.heard.store(now().0, Ordering::Relaxed);
                if let Frame::Message(message) = received.frame {
                    heard(&site, &entry, &writer, message).await;
                }
            }
            Ok(Ok(None) | Err(_)) => break,
            Err(_) => {
                tracing::info!(
                    link = entry.number,
                    peer = entry.peer.name(),
                    "Link is silent; closing it"
                );
                break;
            }
        }
    }
    entry.handle.close();
}

async fn heard(site: &Arc<Site>, entry: &Arc<Entry>, writer: &Writer, message: Message) {
    match message {
        Message::Ping(ping) => {
            // A link that broke is found by the next read.
            let _ = writer.message(Pong { number: ping.number }).await;
        }
        Message::MigrateReady(_) => {
            entry.ready_to_move.store(true, Ordering::Release);
            site.moved.notify_waiters();
        }
        Message::Bye(_) => entry.handle.close(),
        Message::AgentStatus(status) => upgrade_status(site, entry, status).await,
        _ => {}
    }
}

async fn upgrade_status(site: &Arc<Site>, entry: &Arc<Entry>, status: AgentStatus) {
    let Peer::Agent { id, name, .. } = &entry.peer else { return };
    tracing::info!(
        agent = name,
        phase = status.phase,
        version = status.version,
        text = status.text,
        percent = status.percent,
        "Upgrade of a Jump Client"
    );
    let stage = match status.phase.as_str() {
        "failed" => Some(store::UpgradeStage::Failed),
        "current" => None,
        _ => Some(store::UpgradeStage::Running),
    };
    let upgrade = stage.map(|stage| (stage, status.text.as_str()));
    if let Err(error) = site.store.agents().set_upgrade(*id, upgrade, now()).await {
        tracing::warn!(agent = name, %error, "State of an upgrade is not in the database");
    }
}
