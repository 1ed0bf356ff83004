//! Between the session's memory and the site.

use std::sync::Arc;
use std::time::Duration;

use ::session::{Channel, Frame, Message, RefusedCode, SignalTaken};
use link::{Current, LinkError, Reader, Writer, newer_link};
use terminal::Size;
use tokio::sync::watch;
use tokio::time::Instant;

use super::session::{INPUT_WAITING_MAX, Session, ToProcess};

/// Input after which the console hears that it was read, at the latest.
const ACK_EVERY: u64 = 128 * 1024;

/// And how long after it was read, at the latest. Later than the echo of a keystroke, which is not to wait
/// until an acknowledgement has been sent.
const ACK_AFTER: Duration = Duration::from_millis(500);

/// How a leg ended.
enum End {
    /// The session lives elsewhere now: resume on a newer link.
    Elsewhere,
    /// The leg broke, or was refused for a passing reason: resume on the newest link.
    Broken,
    /// The site does not know the session any more.
    Over,
}

/// Time for an unclear refusal to pass.
const RETRY: Duration = Duration::from_millis(200);

/// Keeps a session's leg until the session is over.
pub async fn keep(
    session: Arc<Session>,
    mut done: watch::Receiver<u64>,
    mut newest: watch::Receiver<Option<Current>>,
    first: Option<(Reader, Writer, u64)>,
) {
    let mut after = 0;
    let mut opened = first;
    loop {
        let (end, link) = match opened.take() {
            Some((reader, writer, link)) => {
                (run(&session, &mut done, reader, writer, Start::Now).await, link)
            }
            None => {
                let Some(current) = newer_link(&mut newest, after).await else { return };
                let end = match resume(&session, &current).await {
                    Ok((reader, writer)) => {
                        run(&session, &mut done, reader, writer, Start::WhenTold).await
                    }
                    Err(_) => End::Broken,
                };
                (end, current.number)
            }
        };
        session.state().broken.get_or_insert_with(Instant::now);
        match end {
            End::Over => break,
            End::Elsewhere => after = link,
            End::Broken => {
                after = link - 1;
                // Not at full speed on a link that is just breaking or refuses for a while.
                if newest.borrow().as_ref().is_some_and(|current| current.number == link) {
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }
    session.state().over = true;
    session.control.hang_up();
    session.room.notify_one();
}

async fn resume(session: &Session, current: &Current) -> Result<(Reader, Writer), LinkError> {
    let (reader, writer) = current.handle.open()?.split();
    writer.message(session.resume()).await?;
    Ok((reader, writer))
}

/// When a leg may send output.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    /// At once: the session is new.
    Now,
    /// When the site has said from where.
    WhenTold,
}

async fn run(
    session: &Arc<Session>,
    done: &mut watch::Receiver<u64>,
    mut reader: Reader,
    writer: Writer,
    start: Start,
) -> End {
    let (go, told) = watch::channel(start == Start::Now);
    let sending = send(session.clone(), writer.clone(), told);
    let receiving = async {
        loop {
            match reader.next().await {
                Ok(Some(received)) => match receive(session, &go, received.frame) {
                    Ok(None) => {}
                    Ok(Some(end)) => return end,
                    Err(()) => return End::Broken,
                },
                // The link may be fine and the stream closed by a dying process behind it.
                Ok(None) | Err(_) => return End::Broken,
            }
        }
    };
    let acking = async {
        let mut acked = *done.borrow();
        while done.changed().await.is_ok() {
            let much = done.wait_for(|reached| *reached >= acked + ACK_EVERY);
            let _ = tokio::time::timeout(ACK_AFTER, much).await;
            acked = *done.borrow_and_update();
            // A broken link is found by the reader.
            let _ = writer.ack(acked).await;
        }
        std::future::pending::<()>().await;
    };
    let end = tokio::select! {
        end = receiving => end,
        () = sending => End::Broken,
        () = acking => End::Broken,
    };
    writer.close();
    end
}

/// What a frame of the site means. An error ends the leg: the peer breaks the rules.
fn receive(session: &Session, go: &watch::Sender<bool>, frame: Frame) -> Result<Option<End>, ()> {
    match frame {
        Frame::Data { channel: Channel::Input, offset, bytes } => {
            let mut state = session.state();
            let before = state.arrived.received();
            // What waits already is not queued again; a gap closes when the console sends again.
            let Ok(Some(bytes)) = state.arrived.take(offset, bytes) else { return Ok(None) };
            let offset = before;
            state.waiting += bytes.len();
            if state.waiting > INPUT_WAITING_MAX {
                tracing::warn!(session = %session.id, "More input came than may wait; the leg is closed");
                state.waiting -= bytes.len();
                return Err(());
            }
            let _ = session.to_process.send(ToProcess::Bytes(offset, bytes));
        }
        Frame::Data { .. } => return Err(()),
        Frame::Ack(offset) => {
            session
                .state()
                .outbox
                .ack(offset)
                .map_err(|error| tracing::warn!(%error, "Bad ack"))?;
            session.room.notify_one();
        }
        Frame::Message(message) => return heard(session, go, message),
        Frame::Skipped(_) => {}
    }
    Ok(None)
}

fn heard(session: &Session, go: &watch::Sender<bool>, message: Message) -> Result<Option<End>, ()> {
    match message {
        Message::SendFrom(from) => {
            let mut state = session.state();
            state
                .outbox
                .rewind(from.offset)
                .map_err(|error| tracing::warn!(%error, "Bad offset"))?;
            let away = state.broken.take().map(|at| at.elapsed());
            drop(state);
            if let Some(away) = away {
                tracing::info!(session = %session.id, ?away, "Session resumed");
            }
            go.send_replace(true);
            session.wake.notify_one();
        }
        Message::Resize(size) => {
            let size = Size { columns: size.columns.max(1), rows: size.rows.max(1) };
            if let Err(error) = session.control.resize(size) {
                tracing::debug!(%error, "Terminal keeps its size");
            }
        }
        Message::EndOfInput(end) => {
            session.state().input_end = Some(end.offset);
            let _ = session.to_process.send(ToProcess::End(end.offset));
        }
        Message::Signal(signal) => session.signal(signal.number, signal.serial),
        Message::Close(_) => session.control.hang_up(),
        Message::Finished(_) => return Ok(Some(End::Over)),
        Message::Moved(_) => return Ok(Some(End::Elsewhere)),
        Message::Refused(refused) => {
            tracing::info!(session = %session.id, reason = refused.text, "Session cannot be resumed here");
            return Ok(Some(match refused.reason() {
                RefusedCode::UnknownSession | RefusedCode::Forbidden => End::Over,
                RefusedCode::Moved => End::Elsewhere,
                _ => End::Broken,
            }));
        }
        _ => {}
    }
    Ok(None)
}

/// Sends output, and the exit behind it; returns when the link breaks.
async fn send(session: Arc<Session>, writer: Writer, mut told: watch::Receiver<bool>) {
    if told.wait_for(|told| *told).await.is_err() {
        return;
    }
    let (mut exit_sent, mut signals_told) = (false, 0);
    loop {
        if told.has_changed().unwrap_or(false) {
            // Another console's leg is behind the site: it may not have heard.
            told.mark_unchanged();
            signals_told = 0;
        }
        let wake = session.wake.notified();
        let (next, taken) = {
            let mut state = session.state();
            (state.outbox.take(), state.signals_taken)
        };
        if taken > signals_told {
            signals_told = taken;
            if writer.message(SignalTaken { serial: taken }).await.is_err() {
                return;
            }
        }
        let sent = match next {
            Some((offset, chunk)) => {
                exit_sent = false;
                writer.data(chunk.channel, offset, &chunk.bytes).await
            }
            None => {
                let exit = session.state().exit.clone();
                match exit {
                    Some(exit) if !exit_sent => {
                        exit_sent = true;
                        writer.message(exit).await
                    }
                    _ => {
                        wake.await;
                        continue;
                    }
                }
            }
        };
        if sent.is_err() {
            return;
        }
    }
}
