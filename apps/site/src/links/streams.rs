use std::sync::Arc;
use std::time::Duration;

use link::{Reader, Stream, Writer};
use model::PublicKey;
use session::{Message, Refused, RefusedCode};

use super::control;
use crate::clock::now;
use crate::hub::{Entry, Peer};
use crate::serve::Site;
use crate::sessions::Caller;

/// A stream must say what it is for at once.
const FIRST_WORD_LIMIT: Duration = Duration::from_secs(10);

/// Serves one stream that a client opened.
pub(super) async fn serve(site: Arc<Site>, entry: Arc<Entry>, key: PublicKey, stream: Stream) {
    // Boxed, as is everything but the control stream: each agent has one of those for days.
    let Some((first, reader, writer)) = Box::pin(first_word(stream)).await else { return };
    if matches!(*first, Message::ControlStream(_)) {
        control::serve(site, entry, reader, writer).await;
    } else {
        Box::pin(serve_work(site, entry, key, *first, reader, writer)).await;
    }
}

/// What the stream is for, if it says so in time.
async fn first_word(stream: Stream) -> Option<(Box<Message>, Reader, Writer)> {
    let (mut reader, writer) = stream.split();
    let first = tokio::time::timeout(FIRST_WORD_LIMIT, reader.message()).await.ok()?.ok()?;
    Some((Box::new(first), reader, writer))
}

async fn serve_work(
    site: Arc<Site>,
    entry: Arc<Entry>,
    key: PublicKey,
    first: Message,
    reader: Reader,
    writer: Writer,
) {
    let link = entry.number;
    match (first, &entry.peer) {
        (Message::Resume(resume), Peer::Agent { id, .. }) => {
            Box::pin(site.broker.resume_agent(*id, link, resume, reader, writer)).await;
        }
        (Message::Resume(resume), Peer::Console { .. }) => {
            Box::pin(site.broker.resume_console(key, link, resume, reader, writer)).await;
        }
        (Message::OpenSession(ask), Peer::Console { .. }) => {
            Box::pin(open(&site, &entry, key, ask, reader, writer)).await;
        }
        (Message::OpenApi(_), _) => {
            Box::pin(site.serve_api(key, reader.into_stream(writer))).await;
        }
        _ => {
            let text = "this site does not know what that stream is for";
            let _ = writer.message(Refused::new(RefusedCode::Other, text)).await;
            writer.close();
        }
    }
}

async fn open(
    site: &Arc<Site>,
    entry: &Arc<Entry>,
    key: PublicKey,
    ask: session::OpenSession,
    reader: Reader,
    writer: Writer,
) {
    let refused = match caller(site, entry, key).await {
        Ok(_) if site.is_draining() => {
            Refused::new(RefusedCode::Moved, "this generation of the site takes no new sessions")
        }
        Ok(caller) => return site.broker.open(caller, ask, reader, writer).await,
        Err(refused) => refused,
    };
    let _ = writer.message(refused).await;
    writer.close();
}

/// Who asks; looked up each time, so that a withdrawn console opens nothing more.
async fn caller(site: &Arc<Site>, entry: &Entry, key: PublicKey) -> Result<Caller, Refused> {
    let (link, address) = (entry.number, entry.address.clone());
    if let Some((operator, operator_name)) = site.self_test_operator(&key) {
        return Ok(Caller { console: None, operator, operator_name, key, link, address });
    }
    let sign_in = |text: String| Refused::new(RefusedCode::SignIn, text);
    let console = site
        .store
        .consoles()
        .by_key(&key)
        .await
        .map_err(|e| Refused::new(RefusedCode::Busy, e.to_string()))?
        .ok_or_else(|| sign_in("sign in first: `sluis login`".to_owned()))?;
    console.usable(now()).map_err(|refused| sign_in(refused.to_string()))?;
    let (operator, operator_name) = (console.operator.id, console.operator.name.clone());
    Ok(Caller { console: Some(console), operator, operator_name, key, link, address })
}
