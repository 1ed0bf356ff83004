use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use link::{Reader, Writer};
use session::{Bye, Frame, Message, Pong};

use crate::clock::now;
use crate::hub::{Entry, Peer};
use crate::serve::Site;

/// A link on which nothing was heard for so long is dead: clients ping every 15 s.
const SILENCE_MAX: Duration = Duration::from_mins(1);

/// Serves the stream that speaks of the link itself.
pub(super) async fn serve(site: Arc<Site>, entry: Arc<Entry>, mut reader: Reader, writer: Writer) {
    *entry.control.lock().unwrap_or_else(PoisonError::into_inner) = Some(writer.clone());
    // Boxed, here and below: this waits for days, and nothing of what it does takes long.
    Box::pin(site.greet(&entry)).await;
    loop {
        match tokio::time::timeout(SILENCE_MAX, reader.next()).await {
            Ok(Ok(Some(received))) => {
                entry.heard.store(now().0, Ordering::Relaxed);
                if let Frame::Message(message) = received.frame {
                    Box::pin(heard(&site, &entry, &writer, message)).await;
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
        Message::AgentStatus(status) => site.upgrades.heard(entry, &status),
        Message::Uninstalled(_) => uninstalled(site, entry, writer).await,
        _ => {}
    }
}

/// Notes that an agent is taken off its endpoint, and says so when it is written down.
async fn uninstalled(site: &Arc<Site>, entry: &Arc<Entry>, writer: &Writer) {
    let Peer::Agent { id, name, .. } = &entry.peer else { return };
    match site.store.agents().uninstalled(*id, now()).await {
        Ok(()) => {
            tracing::info!(agent = name, "Jump Client was taken off its endpoint");
            site.upgrades.left(*id);
            // An agent that does not wait for it is gone all the same.
            let _ = writer.message(Bye {}).await;
        }
        Err(error) => tracing::warn!(agent = name, %error, "Uninstalling is not in the database"),
    }
}
