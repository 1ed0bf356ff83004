use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use bytes::Bytes;

/// What one stream's users wait for.
#[derive(Default)]
pub(super) struct Slot {
    state: Mutex<SlotState>,
}

#[derive(Default)]
pub(super) struct SlotState {
    pub arrived: VecDeque<Bytes>,
    /// Nothing more arrives.
    pub ended: bool,
    /// Bytes taken for which the peer was not given room again.
    pub taken: usize,
    pub reader: Option<Waker>,
    pub senders: Vec<Waker>,
}

impl Slot {
    pub fn state(&self) -> MutexGuard<'_, SlotState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn arrived(&self, bytes: Bytes, last: bool) {
        let mut state = self.state();
        state.arrived.push_back(bytes);
        state.ended |= last;
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
    }

    /// The peer takes more, or the stream ends: all who wait look again.
    pub fn room(&self, ended: bool) {
        let mut state = self.state();
        state.ended |= ended;
        state.senders.drain(..).for_each(Waker::wake);
        if ended && let Some(reader) = state.reader.take() {
            reader.wake();
        }
    }
}

/// Notes who waits, once.
pub(super) fn wait(waiting: &mut Vec<Waker>, cx: &Context<'_>) {
    if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
        waiting.push(cx.waker().clone());
    }
}
