//! What the database hears of sessions: written beside the relay, never in its way.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use model::{SessionKind, SessionOutcome};
use session::{Resume, Ticket};
use store::{NewLeg, NewSession, Note, SessionEnd};
use terminal::Recorder;
use tokio::task::JoinHandle;

use super::broker::{Broker, Caller};
use super::session::{Leg, Session};
use super::why;
use crate::clock::now;

/// The insert of a session's row, under way.
pub(super) type Row = JoinHandle<Result<(), store::Error>>;

/// Begins the row of a session that is being opened.
pub(super) fn opened(broker: &Arc<Broker>, ticket: &Ticket, caller: &Caller) -> Row {
    let new = NewSession {
        id: ticket.session,
        operator: ticket.operator,
        operator_name: ticket.operator_name.clone(),
        agent: ticket.agent,
        console: caller.console.as_ref().map(|console| console.id),
        kind: if ticket.command.is_some() { SessionKind::Command } else { SessionKind::Shell },
        command: ticket.command.clone(),
        recording: Some(PathBuf::from(format!("{}.cast", ticket.session))),
        peer: Some(caller.address.clone()),
        started: ticket.opened,
    };
    let broker = broker.clone();
    tokio::spawn(async move { broker.store.sessions().open(new).await })
}

/// Notes that bytes flow.
pub(super) fn live(broker: &Arc<Broker>, session: &Arc<Session>, row: Row, caller: &Caller) {
    let (broker, id) = (broker.clone(), session.ticket.session);
    let peer = Some(caller.address.clone());
    tokio::spawn(async move {
        if let Err(error) = flatten(row.await) {
            tracing::error!(session = %id, error, "Session is not in the database");
            return;
        }
        broker.notes.add(Note::SessionHere(id)).await;
        for leg in [store::Leg::Agent, store::Leg::Console] {
            let peer = if leg == store::Leg::Console { peer.clone() } else { None };
            let new = NewLeg { session: id, leg, resumed_from: None, stall: Duration::ZERO, peer };
            broker.notes.add(Note::LegHere(new)).await;
        }
    });
}

fn flatten<E: std::fmt::Display>(
    joined: Result<Result<(), E>, tokio::task::JoinError>,
) -> Result<(), String> {
    match joined {
        Ok(done) => done.map_err(|e| e.to_string()),
        Err(panicked) => Err(panicked.to_string()),
    }
}

/// Notes that a session could not start, and why.
pub(super) async fn never_started(
    broker: &Arc<Broker>,
    ticket: &Ticket,
    row: Row,
    recorder: Arc<Recorder>,
    outcome: &SessionOutcome,
) {
    if let Err(error) = flatten(row.await) {
        tracing::error!(session = %ticket.session, error, "Session is not in the database");
    }
    refused(broker, ticket.session, recorder, outcome.clone()).await;
}

/// Notes that a session ended before it began.
pub(super) async fn refused(
    broker: &Arc<Broker>,
    id: model::SessionId,
    recorder: Arc<Recorder>,
    outcome: SessionOutcome,
) {
    close(broker, id, recorder, SessionEnd { outcome, bytes_out: 0, bytes_in: 0 }).await;
}

/// Finishes the recording and notes the end.
pub(super) async fn ended(
    broker: &Arc<Broker>,
    session: &Arc<Session>,
    recorder: Arc<Recorder>,
    outcome: SessionOutcome,
) {
    let end = SessionEnd { outcome, bytes_out: session.bytes_out(), bytes_in: session.bytes_in() };
    close(broker, session.ticket.session, recorder, end).await;
    tracing::info!(session = %session.ticket.session, "Session ended");
}

async fn close(
    broker: &Arc<Broker>,
    id: model::SessionId,
    recorder: Arc<Recorder>,
    end: SessionEnd,
) {
    let outcome = end.outcome.clone();
    let finished = tokio::task::spawn_blocking(move || {
        let ended = recorder.end(now(), &outcome).map(|()| (recorder.len(), recorder.link()));
        recorder.let_go();
        ended
    });
    match finished.await {
        Ok(Ok((len, link))) => {
            let done = broker.store.recordings().finished(id, len, link.0, now()).await;
            if let Err(error) = done {
                tracing::error!(session = %id, %error, "End of the recording is not in the database");
            }
        }
        Ok(Err(error)) => {
            tracing::error!(session = %id, error = why(error), "Recording cannot be finished");
        }
        Err(panicked) => tracing::error!(session = %id, %panicked, "Recording cannot be finished"),
    }
    if let Err(error) = broker.store.sessions().ended(id, end, now()).await {
        tracing::error!(session = %id, %error, "End of the session is not in the database");
    }
}

/// Notes that a leg came back.
pub(super) fn leg_resumed(
    broker: &Arc<Broker>,
    session: &Arc<Session>,
    leg: store::Leg,
    resume: &Resume,
    address: String,
) {
    let away = resume.away_ms.unwrap_or(0);
    broker.stall_ms_max.fetch_max(away, Ordering::AcqRel);
    let from = if leg == store::Leg::Agent { resume.base } else { resume.received };
    let new = NewLeg {
        session: session.ticket.session,
        leg,
        resumed_from: Some(from),
        stall: Duration::from_millis(away),
        peer: Some(address),
    };
    let notes = broker.notes.clone();
    tokio::spawn(async move {
        let id = new.session;
        notes.add(Note::LegHere(new)).await;
        notes.add(Note::SessionHere(id)).await;
    });
}

/// Notes that a leg broke.
pub(super) fn leg_detached(broker: &Arc<Broker>, session: &Arc<Session>, leg: store::Leg) {
    let (notes, id) = (broker.notes.clone(), session.ticket.session);
    tokio::spawn(async move { notes.add(Note::LegGone(id, leg)).await });
}

/// Where a leg came from, for the log.
pub(super) fn address_of(broker: &Broker, leg: &Leg) -> String {
    broker.hub.link(leg.link).map_or_else(String::new, |entry| entry.address.clone())
}
