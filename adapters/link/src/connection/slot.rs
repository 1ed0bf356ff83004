use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

/// Small pieces are put together up to this: a piece alone costs more than its bytes, and a peer may
/// send a window full of single ones.
const TOGETHER: usize = 4 * 1024;

/// What one stream's users wait for.
#[derive(Default)]
pub(super) struct Slot {
    state: Mutex<SlotState>,
}

#[derive(Default)]
pub(super) struct SlotState {
    pub arrived: VecDeque<Vec<u8>>,
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

    pub fn arrived(&self, bytes: Vec<u8>, last: bool) {
        let mut state = self.state();
        match state.arrived.back_mut() {
            Some(before) if before.len() + bytes.len() <= TOGETHER => before.extend(bytes),
            _ => state.arrived.push_back(bytes),
        }
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

#[cfg(test)]
mod tests {
    use super::{Slot, TOGETHER};

    #[test]
    fn a_window_of_single_bytes_waits_in_few_pieces() {
        let slot = Slot::default();
        let window = session::mux::WINDOW as usize;
        for i in 0..window {
            slot.arrived(vec![(i % 251) as u8], false);
        }
        let state = slot.state();
        assert_eq!(state.arrived.len(), window / TOGETHER);
        let together = state.arrived.iter().flatten().copied();
        assert!(together.eq((0..window).map(|i| (i % 251) as u8)), "in their order");
    }

    #[test]
    fn a_large_piece_is_not_copied() {
        let slot = Slot::default();
        slot.arrived(vec![1; 10], false);
        let large = vec![2; TOGETHER];
        let at = large.as_ptr();
        slot.arrived(large, false);
        assert_eq!(slot.state().arrived[1].as_ptr(), at);
    }
}
