//! What the next program image needs of the sessions: bytes and descriptors.
//!
//! The bytes are CBOR maps with numbered keys, so that a newer agent reads what an older one wrote
//! and the other way round.

use ::session::{Channel, Chunk, Exit, Inbox, Outbox, Snapshot};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use minicbor::{Decode, Encode};
use model::{SessionId, SessionOutcome};
use terminal::{Description, Handle, Waiting};

use super::pace::Typed;
use super::session::{OUTPUT_WINDOW, Origin, Session, State as SessionState};

/// Sessions as bytes and descriptors.
pub struct State {
    /// What is said of them.
    pub bytes: Vec<u8>,
    /// Their descriptors, in order.
    pub descriptors: Vec<Handle>,
}

/// Sessions of another program image.
pub struct Inherited {
    /// What was said of them.
    pub bytes: Vec<u8>,
    /// Their descriptors, in order.
    pub descriptors: Vec<Handle>,
    /// Says who learns how the process with that number ends.
    pub waiting: Box<dyn Fn(u32) -> Waiting + Send>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Saved {
    #[n(1)]
    sessions: Vec<SavedSession>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct SavedSession {
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    id: [u8; 16],
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    ticket: Vec<u8>,
    #[n(3)]
    operator: String,
    #[n(4)]
    base: u64,
    #[n(5)]
    chunks: Vec<SavedChunk>,
    #[n(6)]
    received: u64,
    #[n(7)]
    input_end: Option<u64>,
    /// How the process ended, as JSON.
    #[n(8)]
    ended: Option<String>,
    #[n(9)]
    exited: Option<bool>,
    /// The process, as JSON; its descriptors follow those of the session before.
    #[n(10)]
    process: String,
    #[n(11)]
    descriptors: u32,
    #[n(12)]
    signals_taken: Option<u32>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct SavedChunk {
    #[n(1)]
    errors: bool,
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    bytes: Vec<u8>,
}

/// One session, read back.
pub(super) struct Read {
    pub origin: Origin,
    pub description: Description,
    pub descriptors: Vec<Handle>,
}

/// Saves sessions whose pumps stand still.
pub(super) fn save(sessions: &[std::sync::Arc<Session>]) -> Result<State> {
    let (mut saved, mut descriptors) = (Vec::new(), Vec::new());
    for session in sessions {
        let own =
            session.control.duplicate().context("a session's descriptors cannot be copied")?;
        saved.push(save_one(session, own.len())?);
        descriptors.extend(own);
    }
    let bytes =
        minicbor::to_vec(Saved { sessions: saved }).context("sessions cannot be written")?;
    Ok(State { bytes, descriptors })
}

fn save_one(session: &Session, descriptors: usize) -> Result<SavedSession> {
    let state = session.state();
    let Snapshot { base, chunks } = state.outbox.snapshot();
    let chunks = chunks
        .into_iter()
        .map(|chunk| SavedChunk {
            errors: chunk.channel == Channel::Error,
            bytes: chunk.bytes.to_vec(),
        })
        .collect();
    Ok(SavedSession {
        id: *session.id.as_bytes(),
        ticket: session.ticket.clone(),
        operator: session.operator.clone(),
        base,
        chunks,
        received: state.inbox.received(),
        input_end: state.input_end,
        ended: state.ended.as_ref().map(serde_json::to_string).transpose()?,
        exited: state.exit.is_some().then_some(true),
        process: serde_json::to_string(&session.control.describe())?,
        descriptors: u32::try_from(descriptors).unwrap_or(u32::MAX),
        signals_taken: Some(state.signals_taken),
    })
}

/// Reads what was saved.
pub(super) fn read(bytes: &[u8], descriptors: Vec<Handle>) -> Result<Vec<Read>> {
    let saved: Saved = minicbor::decode(bytes).context("the inherited sessions cannot be read")?;
    let needed: usize = saved.sessions.iter().map(|s| s.descriptors as usize).sum();
    ensure!(
        needed == descriptors.len(),
        "{needed} descriptors belong to the inherited sessions, but {} came",
        descriptors.len()
    );
    let mut rest = descriptors.into_iter();
    saved.sessions.into_iter().map(|one| read_one(one, &mut rest)).collect()
}

fn read_one(saved: SavedSession, rest: &mut impl Iterator<Item = Handle>) -> Result<Read> {
    let descriptors = rest.take(saved.descriptors as usize).collect();
    let chunks = saved
        .chunks
        .into_iter()
        .map(|chunk| Chunk {
            channel: if chunk.errors { Channel::Error } else { Channel::Output },
            bytes: Bytes::from(chunk.bytes),
        })
        .collect();
    let outbox = Outbox::restore(Snapshot { base: saved.base, chunks }, OUTPUT_WINDOW);
    let ended: Option<SessionOutcome> =
        saved.ended.as_deref().map(serde_json::from_str).transpose()?;
    let exit = match (&ended, saved.exited) {
        (Some(ended), Some(true)) => Some(exit_of(ended, outbox.head())),
        _ => None,
    };
    let state = SessionState {
        outbox,
        inbox: Inbox::at(saved.received),
        typed: Typed::default(),
        arrived: Inbox::at(saved.received),
        waiting: 0,
        input_end: saved.input_end,
        ended,
        exit,
        signals_taken: saved.signals_taken.unwrap_or(0),
        broken: Some(tokio::time::Instant::now()),
        over: false,
    };
    let id = SessionId::from_bytes(saved.id);
    let origin = Origin { id, ticket: saved.ticket, operator: saved.operator, state };
    let description = serde_json::from_str(&saved.process).context("a process cannot be read")?;
    Ok(Read { origin, description, descriptors })
}

/// The exit message of an outcome.
pub(super) fn exit_of(outcome: &SessionOutcome, offset: u64) -> Exit {
    let (status, signal, reason) = match outcome {
        SessionOutcome::Exited(status) => (Some(*status), None, None),
        SessionOutcome::Signalled(signal) => (None, Some(*signal), None),
        SessionOutcome::Closed => (None, None, None),
        SessionOutcome::Failed(reason) => (None, None, Some(reason.clone())),
    };
    Exit { status, signal, offset, reason }
}
