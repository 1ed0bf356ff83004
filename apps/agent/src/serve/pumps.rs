//! Between the remote process and the session's memory.

use std::sync::Arc;

use ::session::Channel;
use bytes::BytesMut;
use model::SessionOutcome;
use terminal::{ExitWatch, Input, Output};
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, oneshot, watch};

use super::pace::{Pace, rest};
use super::session::{Session, ToProcess};

/// Read at most at once: what one frame carries.
const READ_MAX: usize = ::session::CHUNK;

/// Moves output into the outbox until the process has ended and nothing is left.
pub async fn output(
    session: Arc<Session>,
    mut output: Output,
    mut errors: Option<Output>,
    mut ended: oneshot::Receiver<SessionOutcome>,
) {
    let mut frozen = session.frozen.subscribe();
    let mut buffers = (BytesMut::new(), BytesMut::new());
    let (mut output_open, mut errors_open) = (true, errors.is_some());
    let (mut pace, mut rests) = (Pace::default(), false);
    let outcome = loop {
        if std::mem::take(&mut rests) {
            tokio::select! {
                () = rest(&session) => {}
                outcome = &mut ended => break known(outcome),
            }
        }
        wait_for_room(&session, &mut frozen).await;
        let gate = session.gate_out.lock().await;
        if *frozen.borrow_and_update() {
            continue;
        }
        tokio::select! {
            _ = frozen.changed() => {}
            read = output.read_into(&mut buffers.0, READ_MAX), if output_open => {
                rests = pace.waits(&session, buffers.0.len());
                if rests {
                    output.look_away();
                }
                output_open = push(&session, Channel::Output, &mut buffers.0, read);
            }
            read = read_errors(&mut errors, &mut buffers.1), if errors_open => {
                rests = pace.waits(&session, buffers.1.len());
                if rests && let Some(errors) = &mut errors {
                    errors.look_away();
                }
                errors_open = push(&session, Channel::Error, &mut buffers.1, read);
            }
            outcome = &mut ended => break known(outcome),
        }
        drop(gate);
    };
    // What it wrote before it ended still waits in the kernel; jobs that it left behind do not count.
    loop {
        wait_for_room(&session, &mut frozen).await;
        let _gate = session.gate_out.lock().await;
        if *frozen.borrow_and_update() {
            continue;
        }
        let read = output.read_now(&mut buffers.0, READ_MAX);
        let more = push(&session, Channel::Output, &mut buffers.0, read);
        let errors_read =
            errors.as_mut().map_or(Ok(0), |errors| errors.read_now(&mut buffers.1, READ_MAX));
        let more_errors = push(&session, Channel::Error, &mut buffers.1, errors_read);
        if !more && !more_errors {
            break;
        }
    }
    session.exited(&outcome);
}

fn known(outcome: Result<SessionOutcome, oneshot::error::RecvError>) -> SessionOutcome {
    outcome.unwrap_or_else(|_| SessionOutcome::Failed("nobody watched the process".into()))
}

async fn read_errors(errors: &mut Option<Output>, buffer: &mut BytesMut) -> std::io::Result<usize> {
    match errors {
        Some(errors) => errors.read_into(buffer, READ_MAX).await,
        None => std::future::pending().await,
    }
}

async fn wait_for_room(session: &Session, frozen: &mut tokio::sync::watch::Receiver<bool>) {
    loop {
        if *frozen.borrow_and_update() {
            let _ = frozen.wait_for(|frozen| !frozen).await;
        }
        let room = session.room.notified();
        let has_room = {
            let state = session.state();
            state.outbox.room() > 0 || state.over
        };
        if has_room {
            return;
        }
        tokio::select! {
            () = room => {}
            _ = frozen.changed() => {}
        }
    }
}

/// Whether more may come. An error is an end: a terminal's last reader is gone.
fn push(
    session: &Session,
    channel: Channel,
    buffer: &mut BytesMut,
    read: std::io::Result<usize>,
) -> bool {
    let more = matches!(read, Ok(n) if n > 0);
    if !buffer.is_empty() {
        let bytes = buffer.split().freeze();
        let mut state = session.state();
        // Nobody wants the output of a session that is over; its process is being ended.
        if !state.over {
            state.outbox.push(channel, bytes);
        }
        drop(state);
        session.wake.notify_one();
    }
    more
}

/// Moves input to the process.
pub async fn input(
    session: Arc<Session>,
    mut input: Input,
    mut queue: mpsc::UnboundedReceiver<ToProcess>,
    done: watch::Sender<u64>,
) {
    while let Some(item) = queue.recv().await {
        match item {
            ToProcess::Bytes(offset, bytes) => {
                let len = bytes.len();
                write(&session, &mut input, offset, bytes).await;
                let mut state = session.state();
                state.waiting = state.waiting.saturating_sub(len);
                done.send_replace(state.inbox.received());
            }
            ToProcess::End(offset) => {
                if session.state().inbox.received() >= offset {
                    input.close();
                }
            }
        }
    }
}

async fn write(session: &Session, input: &mut Input, offset: u64, bytes: bytes::Bytes) {
    let mut frozen = session.frozen.subscribe();
    let mut inbox = session.state().inbox;
    // A gap means that the leg before this one lost it: the console sends it again.
    let Ok(Some(mut rest)) = inbox.take(offset, bytes) else { return };
    while !rest.is_empty() {
        if *frozen.borrow_and_update() {
            let _ = frozen.wait_for(|frozen| !frozen).await;
        }
        let gate = session.gate_in.lock().await;
        if *frozen.borrow_and_update() {
            continue;
        }
        let written = tokio::select! {
            _ = frozen.changed() => continue,
            written = input.write(&rest) => written,
        };
        // A process that reads no more takes what is left as read: nobody could do better.
        let n = match written {
            Ok(n) if n > 0 => n,
            Ok(_) | Err(_) => rest.len(),
        };
        let mut state = session.state();
        let reached = state.inbox.received() + n as u64;
        state.inbox = ::session::Inbox::at(reached);
        state.typed.note(&session.typed);
        drop(state);
        drop(gate);
        let _ = rest.split_to(n);
    }
}

/// Waits for the end of the process and notes it before anybody hears of it: who reaped it is the
/// only one who knows.
pub async fn exit(
    session: Arc<Session>,
    mut exit: ExitWatch,
    ended: oneshot::Sender<SessionOutcome>,
) {
    let mut frozen = session.frozen.subscribe();
    let outcome = loop {
        if *frozen.borrow_and_update() {
            let _ = frozen.wait_for(|frozen| !frozen).await;
        }
        let _gate = session.gate_exit.lock().await;
        if *frozen.borrow_and_update() {
            continue;
        }
        tokio::select! {
            _ = frozen.changed() => {}
            outcome = exit.wait() => {
                session.state().ended = Some(outcome.clone());
                break outcome;
            }
        }
    };
    let _ = ended.send(outcome);
}
