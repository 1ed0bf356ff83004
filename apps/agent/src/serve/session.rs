use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::session::{Exit, Inbox, Outbox, Resume, StartSession};
use bytes::Bytes;
use model::{SessionId, SessionOutcome};
use terminal::Control;
use tokio::sync::{Mutex as AsyncMutex, Notify, mpsc, watch};
use tokio::time::Instant;

use super::pace::Typed;

/// Output that is kept until it is recorded and seen; then the remote process waits.
pub const OUTPUT_WINDOW: usize = 4 * 1024 * 1024;

/// Input that may wait for the remote process; a console sends less than a quarter of it ahead.
pub const INPUT_WAITING_MAX: usize = 1024 * 1024;

/// Something for the remote process.
pub enum ToProcess {
    /// Input at an offset.
    Bytes(u64, Bytes),
    /// Nothing follows after that offset.
    End(u64),
}

/// One session as the agent holds it. Its legs come and go; it stays.
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// What the site gave to resume it with.
    pub ticket: Vec<u8>,
    /// Who is at work.
    pub operator: String,
    /// Resizes and kills.
    pub control: Control,
    /// For the remote process.
    pub to_process: mpsc::UnboundedSender<ToProcess>,
    /// Told when there is something to send.
    pub wake: Notify,
    /// Told when there is room for output.
    pub room: Notify,
    /// Told when input reached the remote process.
    pub typed: Notify,
    /// True while nothing may move.
    pub frozen: watch::Sender<bool>,
    /// Held by the pumps while they move bytes.
    pub gate_out: AsyncMutex<()>,
    /// Held by the pumps while they move bytes.
    pub gate_in: AsyncMutex<()>,
    /// Held while the end of the process is waited for.
    pub gate_exit: AsyncMutex<()>,
    state: Mutex<State>,
}

/// What changes.
pub struct State {
    /// Output that is not acknowledged.
    pub outbox: Outbox,
    /// Input that reached the remote process.
    pub inbox: Inbox,
    /// When that was.
    pub typed: Typed,
    /// Input that arrived here, some of which still waits.
    pub arrived: Inbox,
    /// Input that waits for the remote process, in bytes.
    pub waiting: usize,
    /// Where the input ends, when it was said.
    pub input_end: Option<u64>,
    /// How the remote process ended; output may still follow.
    pub ended: Option<SessionOutcome>,
    /// How the remote process ended, when all its output is in the outbox.
    pub exit: Option<Exit>,
    /// The last signal that the process got, by its serial; 0 before the first.
    pub signals_taken: u32,
    /// When the last leg broke.
    pub broken: Option<Instant>,
    /// Everything has arrived, or nobody wants it any more.
    pub over: bool,
}

/// What a session begins with.
pub struct Origin {
    /// Its id.
    pub id: SessionId,
    /// What the site gave to resume it with.
    pub ticket: Vec<u8>,
    /// Who is at work.
    pub operator: String,
    /// What it holds already.
    pub state: State,
}

impl Origin {
    /// A new session.
    pub fn new(start: &StartSession) -> Self {
        let state = State {
            outbox: Outbox::new(OUTPUT_WINDOW),
            inbox: Inbox::at(0),
            typed: Typed::default(),
            arrived: Inbox::at(0),
            waiting: 0,
            input_end: None,
            ended: None,
            exit: None,
            signals_taken: 0,
            broken: None,
            over: false,
        };
        let (id, ticket, operator) = (start.session, start.ticket.clone(), start.operator.clone());
        Self { id, ticket, operator, state }
    }
}

impl Session {
    /// A session around a process.
    pub fn new(
        origin: Origin,
        control: Control,
        to_process: mpsc::UnboundedSender<ToProcess>,
    ) -> Arc<Self> {
        Arc::new(Self {
            id: origin.id,
            ticket: origin.ticket,
            operator: origin.operator,
            control,
            to_process,
            wake: Notify::new(),
            room: Notify::new(),
            typed: Notify::new(),
            frozen: watch::channel(false).0,
            gate_out: AsyncMutex::new(()),
            gate_in: AsyncMutex::new(()),
            gate_exit: AsyncMutex::new(()),
            state: Mutex::new(origin.state),
        })
    }

    /// The part that changes.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a new leg says first.
    pub fn resume(&self) -> Resume {
        let state = self.state();
        Resume {
            session: self.id,
            ticket: self.ticket.clone(),
            received: state.inbox.received(),
            base: state.outbox.base(),
            head: state.outbox.head(),
            away_ms: state
                .broken
                .map(|at| u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX)),
        }
    }

    /// Sends the process a signal that it has not had yet.
    ///
    /// While the session is being carried over it is passed over: it is not taken, so the console
    /// sends it again.
    pub fn signal(&self, number: u8, serial: Option<u32>) {
        let mut state = self.state();
        if *self.frozen.borrow() {
            return;
        }
        if serial.is_none_or(|serial| serial > state.signals_taken) {
            self.control.send_signal(number);
        }
        state.signals_taken = state.signals_taken.max(serial.unwrap_or(0));
        drop(state);
        self.wake.notify_one();
    }

    /// Notes how the remote process ended; all its output is in the outbox.
    pub fn exited(&self, outcome: &SessionOutcome) {
        let mut state = self.state();
        let (status, signal, reason) = match outcome {
            SessionOutcome::Exited(status) => (Some(*status), None, None),
            SessionOutcome::Signalled(signal) => (None, Some(*signal), None),
            SessionOutcome::Closed => (None, None, None),
            SessionOutcome::Failed(reason) => (None, None, Some(reason.clone())),
        };
        let offset = state.outbox.head();
        if state.exit.is_none() {
            state.exit = Some(Exit { status, signal, offset, reason });
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Whether it is served at the site, or over.
    pub fn is_resumed(&self) -> bool {
        let state = self.state();
        state.broken.is_none() || state.over
    }

    /// Whether it can be forgotten.
    pub fn is_over(&self) -> bool {
        self.state().over
    }
}
