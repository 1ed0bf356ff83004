use std::sync::{Mutex, MutexGuard, PoisonError};

use ::session::{Inbox, Opened, Outbox, Resume};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Input that is kept until it reached the remote process; then typing waits.
const INPUT_WINDOW: usize = 256 * 1024;

/// The operator's end of a session. Its legs come and go; it stays.
pub struct State {
    /// The session and its ticket.
    pub opened: Opened,
    /// Told when there is something to send.
    pub wake: Notify,
    /// Told when there is room for input.
    pub room: Notify,
    inner: Mutex<Inner>,
}

/// What changes.
pub struct Inner {
    /// Input that is not acknowledged.
    pub outbox: Outbox,
    /// Output that was shown.
    pub inbox: Inbox,
    /// Where the input ends, when it has.
    pub input_end: Option<u64>,
    /// The terminal's size, when it changed since the session began.
    pub size: Option<(u16, u16)>,
    /// When the last leg broke.
    pub broken: Option<Instant>,
}

impl State {
    /// A session that was just opened.
    pub fn new(opened: Opened) -> Self {
        let inner = Inner {
            outbox: Outbox::new(INPUT_WINDOW),
            inbox: Inbox::at(0),
            input_end: None,
            size: None,
            broken: None,
        };
        Self { opened, wake: Notify::new(), room: Notify::new(), inner: Mutex::new(inner) }
    }

    /// The part that changes.
    pub fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a new leg says first.
    pub fn resume(&self) -> Resume {
        let inner = self.inner();
        Resume {
            session: self.opened.session,
            ticket: self.opened.ticket.clone(),
            received: inner.inbox.received(),
            base: inner.outbox.base(),
            head: inner.outbox.head(),
            away_ms: inner
                .broken
                .map(|at| u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX)),
        }
    }
}
