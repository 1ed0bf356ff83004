//! The legs of a session at the operator's end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use ::session::{Close, EndOfInput, Exit, Finished, Frame, Message, RefusedCode, Resize};
use anyhow::anyhow;
use link::{Current, LinkError, Reader, Received, Writer, newer_link};
use tokio::sync::watch;
use tokio::time::Instant;

use super::acks::Acks;
use super::state::State;
use super::{QUIET, say};
use crate::exit::Problem;
use crate::stdio::Screen;

/// How long the site may take to end the recording when everything is shown: longer than a new version
/// that hangs is let serve. Who does not want to wait interrupts; the site then waits for this console.
const GOODBYE_LIMIT: Duration = Duration::from_secs(20);

/// How soon a signal that nobody took is sent again on the same leg.
const SIGNAL_AGAIN: Duration = Duration::from_secs(2);

/// Between tries on a link that refuses for a passing reason.
const RETRY: Duration = Duration::from_millis(200);

enum End {
    /// Everything arrived; whether the site has heard so.
    Over { exit: Exit, heard: bool },
    /// The session lives elsewhere now: resume on a newer link.
    Elsewhere,
    /// The leg broke, or was refused for a passing reason: resume on the newest link.
    Broken,
    /// It cannot go on.
    Lost(Problem),
}

/// Keeps a session until its end.
pub async fn keep(
    state: Arc<State>,
    mut newest: watch::Receiver<Option<Current>>,
    first: (Reader, Writer, u64),
) -> Result<Exit, Problem> {
    let mut screen = Screen::open();
    let mut opened = Some(first);
    let mut after = 0;
    loop {
        let (end, link) = match opened.take() {
            Some((reader, writer, link)) => {
                (run(&state, &mut screen, reader, writer, true).await, link)
            }
            None => {
                let current = next_link(&state, &mut newest, after).await?;
                let end = match resume(&state, &current).await {
                    Ok((reader, writer)) => run(&state, &mut screen, reader, writer, false).await,
                    Err(_) => End::Broken,
                };
                (end, current.number)
            }
        };
        match end {
            End::Over { exit, heard } => {
                if !heard {
                    let said_again = say_goodbye_again(&state, &mut newest);
                    // The exit counts all the same.
                    let _ = tokio::time::timeout(GOODBYE_LIMIT, said_again).await;
                }
                return Ok(exit);
            }
            End::Lost(problem) => return Err(problem),
            End::Elsewhere => after = link,
            End::Broken => after = link - 1,
        }
        state.inner().broken.get_or_insert_with(Instant::now);
        // Not at full speed on a link that is just breaking or refuses for a while. A link that is newer is
        // taken at once: every moment of a hand-over is one that the operator waits.
        if after < link && newest.borrow().as_ref().is_some_and(|current| current.number == link) {
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// Waits for a link; says so when it takes long.
async fn next_link(
    state: &State,
    newest: &mut watch::Receiver<Option<Current>>,
    after: u64,
) -> Result<Current, Problem> {
    let gone = || Problem::from(anyhow!("the link is not kept any more"));
    match tokio::time::timeout(QUIET, newer_link(newest, after)).await {
        Ok(current) => current.ok_or_else(gone),
        Err(_) => {
            say("the connection is lost; the session goes on and this console dials again …");
            let current = newer_link(newest, after).await.ok_or_else(gone)?;
            let since = state.inner().broken.map(|at| at.elapsed()).unwrap_or_default();
            say(&format!("back after {:.1} s", since.as_secs_f64()));
            Ok(current)
        }
    }
}

async fn resume(state: &State, current: &Current) -> Result<(Reader, Writer), LinkError> {
    let (reader, writer) = current.handle.open()?.split();
    writer.message(state.resume()).await?;
    Ok((reader, writer))
}

async fn run(
    state: &Arc<State>,
    screen: &mut Screen,
    mut reader: Reader,
    writer: Writer,
    new: bool,
) -> End {
    let (go, told) = watch::channel(u64::from(new));
    let sending = tokio::spawn(send(state.clone(), writer.clone(), told));
    let mut end = receive(state, screen, &mut reader, &writer, &go).await;
    sending.abort();
    if let End::Over { heard, .. } = &mut end {
        *heard = goodbye(state, &mut reader, &writer).await;
    }
    writer.close();
    end
}

/// Says that everything has been shown; answers whether the site has understood.
async fn goodbye(state: &State, reader: &mut Reader, writer: &Writer) -> bool {
    let received = state.inner().inbox.received();
    let _ = writer.ack(received).await;
    if writer.message(Finished {}).await.is_err() {
        return false;
    }
    let answer = async {
        loop {
            match reader.next().await {
                Ok(Some(Received { frame: Frame::Message(message), .. })) => match message {
                    Message::Finished(_) => return true,
                    // The recording has ended already.
                    Message::Refused(refused) => {
                        return refused.reason() == RefusedCode::UnknownSession;
                    }
                    _ => {}
                },
                Ok(Some(_)) => {}
                // A stream ends with its link as well.
                Ok(None) | Err(_) => return false,
            }
        }
    };
    let understood = tokio::time::timeout(GOODBYE_LIMIT, async {
        tokio::select! {
            understood = answer => understood,
            never = say_that_it_waits() => match never {},
        }
    });
    understood.await.unwrap_or(true)
}

async fn say_that_it_waits() -> Infallible {
    tokio::time::sleep(QUIET).await;
    say("the session is over; waiting for the site to finish its recording …");
    std::future::pending().await
}

/// The site, or a generation of it, died before it could end the recording.
async fn say_goodbye_again(state: &State, newest: &mut watch::Receiver<Option<Current>>) {
    loop {
        let Some(current) = newer_link(newest, 0).await else { return };
        if let Ok((mut reader, writer)) = resume(state, &current).await
            && goodbye(state, &mut reader, &writer).await
        {
            return;
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn receive(
    state: &Arc<State>,
    screen: &mut Screen,
    reader: &mut Reader,
    writer: &Writer,
    go: &watch::Sender<u64>,
) -> End {
    let mut acks = Acks::behind(state.inner().inbox.received());
    let mut exit: Option<Exit> = None;
    loop {
        let received = tokio::select! {
            biased;
            received = reader.next() => received,
            () = acks.due() => {
                let acked = acks.say(state.inner().inbox.received());
                if writer.ack(acked).await.is_err() {
                    return End::Broken;
                }
                continue;
            }
        };
        let Ok(Some(Received { frame, .. })) = received else {
            return End::Broken;
        };
        match take(state, screen, go, frame).await {
            Ok(came) => exit = came.or(exit),
            Err(end) => return end,
        }
        let shown = state.inner().inbox.received();
        if let Some(exit) = exit.take_if(|exit| exit.offset <= shown) {
            return End::Over { exit, heard: false };
        }
        if let Some(acked) = acks.shown(shown)
            && writer.ack(acked).await.is_err()
        {
            return End::Broken;
        }
    }
}

/// Does what a frame says; answers the exit if it was that, and how the leg ends if it does.
async fn take(
    state: &State,
    screen: &mut Screen,
    go: &watch::Sender<u64>,
    frame: Frame,
) -> Result<Option<Exit>, End> {
    match frame {
        Frame::Data { channel, offset, bytes } => {
            let taken = state.inner().inbox.take(offset, bytes);
            // An error: the site lost count, and a new leg says what is here.
            if let Some(new) = taken.map_err(|_| End::Broken)? {
                show(screen, channel, &new).await.map_err(End::Lost)?;
            }
        }
        Frame::Ack(offset) => {
            let _ = state.inner().outbox.ack(offset);
            state.room.notify_one();
        }
        Frame::Message(Message::Exit(exit)) => return Ok(Some(exit)),
        Frame::Message(message) => return heard(state, go, message).map_or(Ok(None), Err),
        Frame::Skipped(_) => {}
    }
    Ok(None)
}

fn heard(state: &State, go: &watch::Sender<u64>, message: Message) -> Option<End> {
    match message {
        Message::SendFrom(from) => {
            let mut inner = state.inner();
            if inner.outbox.rewind(from.offset).is_err() {
                let text =
                    "the site asks for input that has been acknowledged; the session cannot go on";
                return Some(End::Lost(Problem { text: text.to_owned(), remedy: None }));
            }
            inner.broken = None;
            drop(inner);
            go.send_modify(|times| *times += 1);
            state.wake.notify_one();
            None
        }
        Message::SignalTaken(taken) => {
            state.inner().signals_taken(taken.serial);
            None
        }
        Message::Moved(_) => Some(End::Elsewhere),
        Message::Refused(refused) => Some(match refused.reason() {
            RefusedCode::Moved => End::Elsewhere,
            RefusedCode::Busy => End::Broken,
            _ => End::Lost(Problem { text: refused.text, remedy: None }),
        }),
        _ => None,
    }
}

async fn show(
    screen: &mut Screen,
    channel: ::session::Channel,
    bytes: &[u8],
) -> Result<(), Problem> {
    let shown = match channel {
        ::session::Channel::Error => screen.error(bytes).await,
        _ => screen.output(bytes).await,
    };
    shown.map_err(|error| anyhow!("output cannot be shown: {error}").into())
}

/// Sends input, signals, the terminal's size and the end of input.
async fn send(state: Arc<State>, writer: Writer, mut told: watch::Receiver<u64>) {
    if told.wait_for(|times| *times > 0).await.is_err() {
        return;
    }
    let (mut end_sent, mut size_sent, mut signal_sent) = (false, None, 0);
    loop {
        if told.has_changed().unwrap_or(false) {
            // Another agent's leg is behind the site: it has heard neither.
            told.mark_unchanged();
            (end_sent, size_sent, signal_sent) = (false, None, 0);
        }
        let wake = state.wake.notified();
        let (signal, close) = {
            let inner = state.inner();
            (inner.signal_after(signal_sent), inner.close)
        };
        if let Some(signal) = signal {
            signal_sent = signal.serial.unwrap_or(signal_sent);
            if writer.message(signal).await.is_err() {
                return;
            }
            continue;
        }
        if close {
            // The last word: what was typed is of no use any more.
            let _ = writer.message(Close {}).await;
            return;
        }
        let (resized, next, end) = {
            let mut inner = state.inner();
            let resized = inner.size.filter(|size| Some(*size) != size_sent);
            (resized, inner.outbox.take(), inner.input_end)
        };
        size_sent = resized.or(size_sent);
        let sent = match (resized, next, end) {
            (Some((columns, rows)), next, _) => {
                let told = writer.message(Resize { columns, rows }).await;
                match next {
                    Some((offset, chunk)) if told.is_ok() => {
                        writer.data(chunk.channel, offset, &chunk.bytes).await
                    }
                    _ => told,
                }
            }
            (None, Some((offset, chunk)), _) => {
                writer.data(chunk.channel, offset, &chunk.bytes).await
            }
            (None, None, Some(offset)) if !end_sent => {
                end_sent = true;
                writer.message(EndOfInput { offset }).await
            }
            (None, None, _) => {
                if state.inner().signals.is_empty() {
                    wake.await;
                } else if tokio::time::timeout(SIGNAL_AGAIN, wake).await.is_err() {
                    // A signal that was not taken came while the session was carried over.
                    signal_sent = 0;
                }
                continue;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}
