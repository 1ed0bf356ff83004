use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use link::Writer;
use model::Timestamp;
use session::{Close, Exit, Inbox, Message, Resume, SendFrom, Ticket};
use terminal::{Event, Recorder, RecorderError, Size};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::scribe::{Scribe, Writing};
use super::why;

/// Bytes of output after which the agent hears how far it may forget, at the latest.
const ACK_EVERY: u64 = 256 * 1024;

/// Recorded bytes that wait in memory before they are written, at the earliest; sooner only by time.
const RECORD_EVERY: usize = 128 * 1024;

/// Text of a recording that waits in memory at most while the disk does not take it. An agent that keeps to
/// the rules stops before: it holds what is not acknowledged, and acknowledged is what is written.
const WAITING_MAX: usize = 16 * 1024 * 1024;

/// One session as this generation sees it.
///
/// Output goes agent → recording and console; input goes console → agent. Nothing is kept here
/// that could be lost: what is not acknowledged stays with the agent or the console, and frames
/// that cannot be passed on are dropped and sent again from the right byte after [`SendFrom`].
pub struct Session {
    /// What was allowed.
    pub ticket: Ticket,
    /// Told each time after the recording was written, or could not be.
    pub(super) written: Notify,
    pub(super) writing: Writing,
    state: Mutex<State>,
}

/// What follows from output that was recorded.
#[derive(Default)]
pub(super) struct Recorded {
    /// What the agent may forget, when that is much.
    pub ack: Option<u64>,
    /// So much waits for the disk that no more may come.
    pub must_wait: bool,
}

/// One end's way into this session.
#[derive(Clone)]
pub struct Leg {
    /// Where its frames go.
    pub writer: Writer,
    /// Stops its task when another leg takes its place, or the session goes elsewhere.
    pub stop: CancellationToken,
    /// The link it came on, as numbered by this generation.
    pub link: u64,
    serial: u64,
}

impl Leg {
    /// A leg that came on that link.
    pub fn new(writer: Writer, link: u64) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let serial = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { writer, stop: CancellationToken::new(), link, serial }
    }
}

struct State {
    recorder: Option<Arc<Recorder>>,
    /// The recording could not be written the last time.
    failing: bool,
    agent: Option<Leg>,
    console: Option<Leg>,
    /// The next output byte that the console's leg expects.
    forwarded: Inbox,
    /// Every output byte before it has been shown to the operator.
    seen: u64,
    /// What the agent was last told to forget.
    acked: u64,
    /// Every input byte before it has reached the remote process.
    input_done: u64,
    /// Output since the scribe was asked.
    unwritten: usize,
    exit: Option<Exit>,
    /// The operator has everything and has said so.
    console_done: bool,
    /// The operator asked to end the session; said to the agent whenever it comes.
    close_asked: bool,
    /// Counts attachments: what was decided before a later one is decided again.
    epoch: u64,
    agent_gone_at: Option<Timestamp>,
    console_gone_at: Option<Timestamp>,
    bytes_out: u64,
}

impl Session {
    /// A session with its recording open.
    pub fn new(ticket: Ticket, recorder: Recorder, scribe: Scribe, now: Timestamp) -> Arc<Self> {
        let recorded = recorder.recorded();
        Arc::new(Self {
            ticket,
            written: Notify::new(),
            writing: Writing::by(scribe),
            state: Mutex::new(State {
                recorder: Some(Arc::new(recorder)),
                failing: false,
                agent: None,
                console: None,
                forwarded: Inbox::at(0),
                seen: 0,
                acked: 0,
                input_done: 0,
                unwritten: 0,
                exit: None,
                console_done: false,
                close_asked: false,
                epoch: 0,
                agent_gone_at: Some(now),
                console_gone_at: Some(now),
                bytes_out: recorded,
            }),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the session its agent; follow with [`Session::settle_ends`].
    ///
    /// A former leg of the agent is stopped. `resume` is what the agent still holds; a new session
    /// has none.
    pub(super) fn attach_agent(&self, leg: Leg, resume: Option<&Resume>, at: Timestamp) {
        let mut state = self.state();
        if let Some(old) = state.agent.replace(leg) {
            old.stop.cancel();
        }
        state.epoch += 1;
        state.agent_gone_at = None;
        let Some(resume) = resume else { return };
        state.input_done = state.input_done.max(resume.received);
        // What was acknowledged on the broken leg may never have arrived.
        state.acked = resume.base;
        state.close_gap(at, resume.base);
    }

    /// Gives the session its console; follow with [`Session::settle_ends`].
    pub(super) fn attach_console(&self, leg: Leg, resume: Option<&Resume>) {
        let mut state = self.state();
        if let Some(old) = state.console.replace(leg) {
            old.stop.cancel();
        }
        state.epoch += 1;
        state.console_gone_at = None;
        let Some(resume) = resume else { return };
        state.forwarded = Inbox::at(resume.received);
        state.seen = state.seen.max(resume.received);
        state.input_done = state.input_done.max(resume.base);
    }

    /// Tells both ends, after one of them came back, what arrived and where to send from.
    ///
    /// When another end comes back meanwhile, what was said may have been overtaken, so it is
    /// decided and said again.
    pub(super) async fn settle_ends(&self) {
        loop {
            let (epoch, frames) = {
                let mut state = self.state();
                (state.epoch, state.frames_for_both())
            };
            for (leg, frame) in frames {
                // A leg that broke meanwhile is found by its own task.
                let _ = leg.writer.frame(&frame).await;
            }
            if self.state().epoch == epoch {
                return;
            }
        }
    }

    /// Takes a leg away that broke; another one may have replaced it already.
    pub(super) fn detach_agent(self: &Arc<Self>, leg: &Leg, now: Timestamp) {
        let mut state = self.state();
        if state.agent.as_ref().is_some_and(|own| own.serial == leg.serial) {
            state.agent = None;
            state.agent_gone_at = Some(now);
        }
        drop(state);
        self.write_next();
    }

    /// Takes a leg away that broke; another one may have replaced it already.
    pub(super) fn detach_console(&self, leg: &Leg, now: Timestamp) {
        let mut state = self.state();
        if state.console.as_ref().is_some_and(|own| own.serial == leg.serial) {
            state.console = None;
            state.console_gone_at = Some(now);
        }
    }

    /// The console's leg, if output at that offset is to go there.
    pub(super) fn forward(&self, offset: u64, bytes: &Bytes) -> Option<Leg> {
        let mut state = self.state();
        // What no console is there for has not been forwarded.
        let console = state.console.clone()?;
        matches!(state.forwarded.take(offset, bytes.clone()), Ok(Some(_))).then_some(console)
    }

    /// Records output in memory, and has it written when that is much.
    pub(super) fn record(
        self: &Arc<Self>,
        at: Timestamp,
        offset: u64,
        bytes: &Bytes,
    ) -> Result<Recorded, RecorderError> {
        let mut state = self.state();
        let mut recorded = Recorded::default();
        let Some(recorder) = state.recorder.clone().filter(|_| offset <= state.bytes_out) else {
            recorded.ack = state.due_ack(ACK_EVERY);
            return Ok(recorded);
        };
        recorder.append(at, Event::Output { offset, bytes })?;
        state.bytes_out = state.bytes_out.max(offset + bytes.len() as u64);
        state.unwritten += bytes.len();
        recorded.ack = state.due_ack(ACK_EVERY);
        if state.unwritten >= RECORD_EVERY {
            state.unwritten = 0;
            drop(state);
            self.write_next();
            recorded.must_wait = recorder.buffered() > WAITING_MAX;
        } else {
            drop(state);
            self.write_soon();
        }
        Ok(recorded)
    }

    /// Whether so much waits for the disk that no more may come.
    pub(super) fn must_wait(&self) -> bool {
        self.state().recorder.as_ref().is_some_and(|recorder| recorder.buffered() > WAITING_MAX)
    }

    /// The recording, until it is finished or given up.
    pub(super) fn recorder(&self) -> Option<Arc<Recorder>> {
        self.state().recorder.clone()
    }

    /// Says in the log when the disk begins not to take the recording, and when it does again.
    pub(super) fn note_written(&self, written: Result<(), RecorderError>) {
        let is_failing = written.is_err();
        let was_failing = std::mem::replace(&mut self.state().failing, is_failing);
        let session = self.ticket.session;
        match written {
            Ok(()) if was_failing => {
                tracing::info!(%session, "Recording is written again; the session goes on");
            }
            Err(error) if !was_failing => {
                // Nothing is acknowledged that is not written, so nothing is lost; the disk must be freed.
                let error = why(error);
                tracing::error!(%session, error, "Recording cannot be written; the session waits");
            }
            _ => {}
        }
    }

    /// What the agent may forget, if that is more than it knows.
    pub(super) fn ack(&self) -> Option<u64> {
        self.state().due_ack(1)
    }

    /// Whether recorded bytes wait in memory, or an acknowledgement is due.
    pub(super) fn is_unsettled(&self) -> bool {
        let state = self.state();
        state.can_forget() > state.acked
            || state.recorder.as_ref().is_some_and(|recorder| !recorder.is_flushed())
    }

    /// Notes what the operator has seen; answers what the agent may forget when that is much.
    pub(super) fn console_saw(self: &Arc<Self>, offset: u64) -> Option<(Leg, u64)> {
        let mut state = self.state();
        state.seen = state.seen.max(offset.min(state.forwarded.received()));
        if let Some(ack) = state.due_ack(ACK_EVERY) {
            return Some((state.agent.clone()?, ack));
        }
        let is_behind = state.can_forget() > state.acked;
        drop(state);
        if is_behind {
            // It is said after the next writing; a session that falls silent now has nothing to write.
            self.write_soon();
        }
        None
    }

    /// Notes what reached the remote process; answers the leg that wants to know.
    pub(super) fn input_arrived(&self, offset: u64) -> Option<Leg> {
        let mut state = self.state();
        state.input_done = state.input_done.max(offset);
        state.console.clone()
    }

    /// Notes the end of the remote process; answers the leg that wants to know.
    pub(super) fn exited(&self, exit: Exit) -> Option<Leg> {
        let mut state = self.state();
        state.exit = Some(exit);
        state.console.clone()
    }

    /// Records a change of the terminal's size.
    pub(super) fn resized(self: &Arc<Self>, at: Timestamp, columns: u16, rows: u16) {
        if let Some(recorder) = &self.state().recorder {
            // A size that is not recorded harms nobody.
            let _ = recorder.append(at, Event::Resize(Size { columns, rows }));
        }
        self.write_soon();
    }

    /// The legs as they are: agent, console.
    pub fn legs(&self) -> (Option<Leg>, Option<Leg>) {
        let state = self.state();
        (state.agent.clone(), state.console.clone())
    }

    /// Notes that the operator has everything.
    pub(super) fn console_has_all(&self) {
        self.state().console_done = true;
    }

    /// Notes that the operator wants the session to end; answers the agent's leg, to be told.
    pub fn ask_to_close(&self) -> Option<Leg> {
        let mut state = self.state();
        state.close_asked = true;
        state.agent.clone()
    }

    /// The exit, once the operator has everything.
    pub(super) fn exit_that_is_seen(&self) -> Option<Exit> {
        let state = self.state();
        // Who asked for the end and left does not come back for it.
        let left = state.close_asked && state.console.is_none();
        state.exit.clone().filter(|_| state.console_done || left)
    }

    /// Whether all output before this offset is in the recording.
    pub(super) fn has_recorded(&self, offset: u64) -> bool {
        self.state().recorder.as_ref().is_none_or(|recorder| recorder.recorded() >= offset)
    }

    /// How the remote process ended, if it did.
    pub(super) fn known_exit(&self) -> Option<Exit> {
        self.state().exit.clone()
    }

    /// Takes the recorder once, to finish the recording; `None` when it was done before.
    pub(super) fn take_recorder(&self) -> Option<Arc<Recorder>> {
        self.state().recorder.take()
    }

    /// Gives the session up: both legs' tasks stop, and the recording is written and unlocked when this is
    /// over. Answers the legs, to be told.
    pub async fn release(&self) -> (Option<Leg>, Option<Leg>) {
        let (recorder, legs) = {
            let mut state = self.state();
            (state.recorder.take(), (state.agent.take(), state.console.take()))
        };
        for leg in [&legs.0, &legs.1].into_iter().flatten() {
            leg.stop.cancel();
        }
        if let Some(recorder) = recorder {
            let let_go = tokio::task::spawn_blocking(move || {
                let written = recorder.flush();
                recorder.let_go();
                written
            });
            if let Ok(Err(error)) = let_go.await {
                // The agent was not told to forget what is not written.
                let (session, error) = (self.ticket.session, why(error));
                tracing::error!(%session, error, "Recording cannot be written before it is given up");
            }
        }
        legs
    }

    /// How long the recording is, when not all of it is known to be on the disk.
    pub(super) fn unsynced(&self) -> Option<u64> {
        let recorder = self.state().recorder.clone()?;
        recorder.is_unsynced().then(|| recorder.len())
    }

    /// Notes that the recording is on the disk up to that length.
    pub(super) fn synced_up_to(&self, len: u64) {
        if let Some(recorder) = &self.state().recorder {
            recorder.synced_up_to(len);
        }
    }

    /// Since when no agent or no console is there.
    pub(super) fn gone_since(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        let state = self.state();
        (state.agent_gone_at, state.console_gone_at)
    }

    /// Bytes of output so far.
    pub fn bytes_out(&self) -> u64 {
        self.state().bytes_out
    }

    /// Bytes of input so far.
    pub fn bytes_in(&self) -> u64 {
        self.state().input_done
    }
}

impl State {
    /// What each end must hear: what arrived, and where to send from. The agent hears it without
    /// a console too, so that recording goes on.
    fn frames_for_both(&mut self) -> Vec<(Leg, Bytes)> {
        let message = |message: Message| session::encode_message(&message);
        let ack = |offset| Bytes::copy_from_slice(&session::encode_ack(offset));
        // What waits in memory is not sent again: it is acknowledged only when it is written.
        let appended = self.recorder.as_ref().map_or(u64::MAX, |recorder| recorder.appended());
        let wanted = self.console.as_ref().map_or(u64::MAX, |_| self.forwarded.received());
        let mut frames = Vec::new();
        if let Some(agent) = self.agent.clone() {
            self.acked = self.acked.max(self.can_forget());
            let from = SendFrom { offset: appended.min(wanted).max(self.acked) };
            frames.push((agent.clone(), ack(self.acked)));
            frames.push((agent.clone(), message(from.into())));
            if self.close_asked {
                frames.push((agent, message(Close {}.into())));
            }
        }
        if let (Some(console), Some(_)) = (&self.console, &self.agent) {
            frames.push((console.clone(), ack(self.input_done)));
            frames.push((console.clone(), message(SendFrom { offset: self.input_done }.into())));
            if let Some(exit) = &self.exit {
                frames.push((console.clone(), message(exit.clone().into())));
            }
        }
        frames
    }

    /// What the agent may forget: recorded and seen.
    fn can_forget(&self) -> u64 {
        let recorded = self.recorder.as_ref().map_or(self.acked, |recorder| recorder.recorded());
        recorded.min(self.seen)
    }

    fn due_ack(&mut self, at_least: u64) -> Option<u64> {
        let can = self.can_forget();
        if self.agent.is_none() || can < self.acked.saturating_add(at_least) {
            return None;
        }
        self.acked = can;
        Some(can)
    }

    /// The agent has forgotten bytes that the recording lacks: the disk of a former process lost
    /// them. The recording says so, and goes on.
    fn close_gap(&mut self, at: Timestamp, base: u64) {
        if let Some(recorder) = &self.recorder
            && recorder.appended() < base
        {
            let (from, to) = (recorder.appended(), base);
            tracing::error!(from, to, "Bytes are missing in the recording; the disk lost them");
            if let Err(error) = recorder.note_loss(at, base) {
                tracing::error!(%error, "The gap cannot be noted in the recording");
            }
            self.bytes_out = self.bytes_out.max(base);
        }
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
