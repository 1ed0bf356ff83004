//! The two tasks that move a session's frames.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use link::{LinkError, Reader, Received};
use session::{Channel, Exit, Finished, Frame, Message};

use super::broker::Broker;
use super::session::{Leg, Session};
use crate::clock::now;

/// How soon the disk is tried again, when a session must wait for it.
const TRY_AGAIN: Duration = Duration::from_millis(100);

/// Moves what comes from the agent until its leg ends.
pub async fn run_agent_leg(
    broker: Arc<Broker>,
    session: Arc<Session>,
    leg: Leg,
    mut reader: Reader,
) {
    // One of each for all frames: setting them up for every frame costs a keystroke more than its text does.
    let (stopped, written) = (leg.stop.cancelled(), session.written.notified());
    tokio::pin!(stopped, written);
    loop {
        let received = tokio::select! {
            biased;
            () = &mut stopped => return,
            received = reader.next() => received,
            () = &mut written => {
                written.set(session.written.notified());
                if ack(&leg, session.ack()).await.is_err() {
                    break;
                }
                // A disk that is full now may not be later; no frame comes to say so.
                if session.is_unsettled() {
                    session.write_soon();
                }
                try_finish(&broker, &session).await;
                continue;
            }
        };
        let Ok(Some(received)) = received else { break };
        if from_agent(&broker, &session, &leg, received).await.is_err() {
            break;
        }
    }
    session.detach_agent(&leg, now());
    broker.leg_lost(&session, store::Leg::Agent);
}

async fn ack(leg: &Leg, ack: Option<u64>) -> Result<(), LinkError> {
    match ack {
        Some(ack) => leg.writer.ack(ack).await,
        None => Ok(()),
    }
}

async fn from_agent(
    broker: &Arc<Broker>,
    session: &Arc<Session>,
    leg: &Leg,
    received: Received,
) -> Result<(), LinkError> {
    match received.frame {
        Frame::Data { channel: Channel::Input, .. } => {
            return Err(LinkError::Closed);
        }
        Frame::Data { offset, bytes, .. } => {
            let at = now();
            let mut showing = pin!(show(session, offset, &bytes, &received.raw));
            // Recording is not on the way of a keystroke. A console that does not take its bytes
            // does not keep them out of the recording either.
            let shown = showing.as_mut().now_or_never();
            let recorded = session.record(at, offset, &bytes).map_err(|error| {
                tracing::error!(session = %session.ticket.session, %error, "Recording failed");
                LinkError::Closed
            })?;
            if shown.is_none() {
                showing.await;
            }
            ack(leg, recorded.ack).await?;
            if recorded.must_wait {
                wait_for_disk(session, leg).await;
            }
        }
        Frame::Ack(offset) => {
            if let Some(console) = session.input_arrived(offset) {
                pass_on(session, &console, &received.raw).await;
            }
        }
        Frame::Message(Message::SignalTaken(_)) => {
            if let (_, Some(console)) = session.legs() {
                pass_on(session, &console, &received.raw).await;
            }
        }
        Frame::Message(Message::Exit(exit)) => {
            if let Some(console) = session.exited(exit) {
                pass_on(session, &console, &received.raw).await;
            }
            try_finish(broker, session).await;
        }
        Frame::Message(_) | Frame::Skipped(_) => {}
    }
    Ok(())
}

/// Waits until the disk has taken so much that more may come, or the leg is stopped.
async fn wait_for_disk(session: &Arc<Session>, leg: &Leg) {
    let written = async {
        loop {
            session.written_out().await;
            if !session.must_wait() {
                return;
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
    };
    tokio::select! {
        () = leg.stop.cancelled() => {}
        () = written => {}
    }
}

/// Output goes to the console that is there, if it has not had it.
async fn show(session: &Arc<Session>, offset: u64, bytes: &Bytes, raw: &[u8]) {
    if let Some(console) = session.forward(offset, bytes) {
        pass_on(session, &console, raw).await;
    }
}

async fn pass_on(session: &Arc<Session>, console: &Leg, raw: &[u8]) {
    if console.writer.frame(raw).await.is_err() {
        session.detach_console(console, now());
    }
}

/// Moves what comes from the console until its leg ends.
pub async fn run_console_leg(
    broker: Arc<Broker>,
    session: Arc<Session>,
    leg: Leg,
    mut reader: Reader,
) {
    let stopped = leg.stop.cancelled();
    tokio::pin!(stopped);
    loop {
        let received = tokio::select! {
            biased;
            () = &mut stopped => return,
            received = reader.next() => received,
        };
        let Ok(Some(received)) = received else { break };
        if from_console(&broker, &session, received).await.is_err() {
            break;
        }
    }
    session.detach_console(&leg, now());
    broker.leg_lost(&session, store::Leg::Console);
    // It may have asked for the end as its last word.
    try_finish(&broker, &session).await;
}

async fn from_console(
    broker: &Arc<Broker>,
    session: &Arc<Session>,
    received: Received,
) -> Result<(), LinkError> {
    match received.frame {
        Frame::Ack(offset) => {
            if let Some((agent, ack)) = session.console_saw(offset) {
                // A broken leg is found by its own task.
                let _ = agent.writer.ack(ack).await;
            }
        }
        Frame::Data { channel: Channel::Input, .. } => to_agent(session, &received.raw).await,
        Frame::Message(Message::Resize(size)) => {
            session.resized(now(), size.columns, size.rows);
            to_agent(session, &received.raw).await;
        }
        Frame::Message(Message::Close(_)) => {
            if let Some(agent) = session.ask_to_close() {
                let _ = agent.writer.frame(&received.raw).await;
            }
        }
        Frame::Message(Message::EndOfInput(_) | Message::Signal(_)) => {
            to_agent(session, &received.raw).await;
        }
        Frame::Message(Message::Finished(_)) => {
            session.console_has_all();
            try_finish(broker, session).await;
        }
        Frame::Data { .. } => return Err(LinkError::Closed),
        Frame::Message(_) | Frame::Skipped(_) => {}
    }
    Ok(())
}

/// Input or a signal that finds no agent is dropped: the console keeps it and sends it again.
async fn to_agent(session: &Arc<Session>, raw: &[u8]) {
    if let (Some(agent), _) = session.legs() {
        let _ = agent.writer.frame(raw).await;
    }
}

/// Ends the session when the operator has everything and the recording too.
async fn try_finish(broker: &Arc<Broker>, session: &Arc<Session>) {
    let Some(exit) = session.exit_that_is_seen() else { return };
    if !session.has_recorded(exit.offset) {
        session.written_out().await;
    }
    // Whoever takes the session over before must find the recording open.
    if !session.has_recorded(exit.offset) || !broker.finish(session, &exit).await {
        return;
    }
    broker.forget(session);
    let (agent, console) = session.legs();
    if let Some(agent) = agent {
        let _ = agent.writer.message(Finished {}).await;
    }
    if let Some(console) = console {
        let _ = console.writer.message(Finished {}).await;
        console.writer.close();
        console.stop.cancel();
    }
}

impl Broker {
    /// Has a session ended: its agent is told, or hears it when it is back.
    ///
    /// Goes on to its end though its caller does not wait, as a request whose page was left: nobody else would
    /// finish what it began.
    pub async fn ask_to_close(self: &Arc<Self>, session: &Arc<Session>) {
        let (broker, session) = (self.clone(), session.clone());
        let closing = tokio::spawn(async move {
            if let Some(agent) = session.ask_to_close() {
                // A broken leg is found by its own task.
                let _ = agent.writer.message(session::Close {}).await;
            }
            // It may be over already, and have waited for its console only.
            try_finish(&broker, &session).await;
        });
        // What panicked is in the log, and the session is looked after by its legs.
        let _ = closing.await;
    }

    /// Ends a session that cannot go on, with its reason.
    pub async fn give_up(self: &Arc<Self>, session: &Arc<Session>, reason: String) {
        let failed = || Exit {
            status: None,
            signal: None,
            offset: session.bytes_out(),
            reason: Some(reason),
        };
        let exit = session.known_exit().unwrap_or_else(failed);
        let (agent, console) = session.legs();
        self.finish(session, &exit).await;
        if let Some(console) = console {
            let _ = console.writer.message(exit.clone()).await;
            let _ = console.writer.message(Finished {}).await;
        }
        if let Some(agent) = agent {
            let _ = agent.writer.message(session::Close {}).await;
        }
        self.forget(session);
    }
}
