use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ::session::{Inbox, Opened, Outbox, Resume, Signal};
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
    /// Signals that the remote process is not known to have got, oldest first.
    pub signals: VecDeque<Signal>,
    /// How many there were.
    signal_count: u32,
    /// The operator wants to leave: the remote process is to be ended.
    pub close: bool,
    /// When the last leg broke.
    pub broken: Option<Instant>,
}

/// Signals that are kept at most; who sends more gets the first ones delivered.
const SIGNALS_MAX: usize = 64;

impl Inner {
    /// Keeps a signal until the agent says that the process got it.
    pub fn signal(&mut self, number: u8) {
        if self.signals.len() < SIGNALS_MAX {
            self.signal_count += 1;
            self.signals.push_back(Signal { number, serial: Some(self.signal_count) });
        }
    }

    /// The process got the signals up to that one.
    pub fn signals_taken(&mut self, serial: u32) {
        self.signals.retain(|signal| signal.serial > Some(serial));
    }

    /// The oldest signal behind the one of that serial.
    pub fn signal_after(&self, serial: u32) -> Option<Signal> {
        self.signals.iter().find(|signal| signal.serial > Some(serial)).cloned()
    }
}

impl State {
    /// A session that was just opened.
    pub fn new(opened: Opened) -> Self {
        let inner = Inner {
            outbox: Outbox::new(INPUT_WINDOW),
            inbox: Inbox::at(0),
            input_end: None,
            size: None,
            signals: VecDeque::new(),
            signal_count: 0,
            close: false,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_kept_until_it_was_taken() {
        let opened = Opened {
            session: model::SessionId::from_bytes([1; 16]),
            ticket: Vec::new(),
            endpoint: String::new(),
        };
        let state = State::new(opened);
        let mut inner = state.inner();
        for number in [2, 15, 2] {
            inner.signal(number);
        }
        let at = |inner: &Inner, serial| inner.signal_after(serial).map(|s| (s.number, s.serial));
        assert_eq!(at(&inner, 0), Some((2, Some(1))));
        assert_eq!(at(&inner, 1), Some((15, Some(2))));
        inner.signals_taken(2);
        assert_eq!(at(&inner, 0), Some((2, Some(3))), "a new leg begins behind what was taken");
        inner.signals_taken(1);
        inner.signals_taken(3);
        assert_eq!(at(&inner, 0), None);
    }
}
