use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use session::mux::{Send, WINDOW};

use super::slot::{Slot, wait};
use super::{Closing, Connection};
use crate::LinkError;

// A longer frame would wait for room that a peer need not give.
const _: () = assert!(session::HEADER_LEN + session::MAX_PAYLOAD <= WINDOW as usize / 2);

/// One stream; dropping it gives it up.
pub(crate) struct Handle {
    pub(super) connection: Arc<Connection>,
    pub(super) number: u32,
    pub(super) slot: Arc<Slot>,
}

impl Handle {
    /// Sends two pieces as one, whole; waits for the peer's window and for the socket.
    ///
    /// Together they are at most half a window. Nothing is sent when the future is dropped while it waits.
    pub fn poll_send(
        &self,
        cx: &mut Context<'_>,
        a: &[u8],
        b: &[u8],
    ) -> Poll<Result<(), LinkError>> {
        let mut wire = self.connection.wire();
        if wire.tls.is_none() || wire.closing != Closing::No {
            return Poll::Ready(Err(LinkError::Closed));
        }
        if wire.unsent {
            wait(&mut wire.blocked, cx);
            return Poll::Pending;
        }
        match wire.mux.send(self.number, a.len() + b.len()) {
            Send::Now(header) => {
                wire.write([&header, a, b]);
                Poll::Ready(Ok(()))
            }
            Send::Full => {
                wait(&mut self.slot.state().senders, cx);
                Poll::Pending
            }
            Send::Never => Poll::Ready(Err(LinkError::Closed)),
        }
    }

    /// Sends as much as fits the peer's window, at least one byte.
    pub fn poll_send_some(
        &self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, LinkError>> {
        let room = self.connection.wire().mux.room(self.number);
        let n = bytes.len().min(room.max(1)).min(WINDOW as usize / 2);
        self.poll_send(cx, &bytes[..n], &[]).map_ok(|()| n)
    }

    /// The next bytes as they came; `None` when no more come.
    pub fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        // A task that is always given more still lets others run.
        let coop = ready!(tokio::task::coop::poll_proceed(cx));
        let mut state = self.slot.state();
        let Some(bytes) = state.arrived.pop_front() else {
            if state.ended {
                coop.made_progress();
                return Poll::Ready(None);
            }
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
        coop.made_progress();
        state.taken += bytes.len();
        if state.taken >= WINDOW as usize / 2 {
            let taken = std::mem::take(&mut state.taken);
            let keeps_up = state.arrived.is_empty();
            drop(state);
            let mut wire = self.connection.wire();
            if let Some(header) = wire.mux.give(self.number, taken, keeps_up) {
                wire.answer(&header);
            }
        }
        Poll::Ready(Some(bytes.into()))
    }

    /// Says that nothing follows. What was sent still arrives.
    pub fn finish(&self) {
        let mut wire = self.connection.wire();
        if let Some(header) = wire.mux.finish(self.number) {
            wire.answer(&header);
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut wire = self.connection.wire();
        if let Some(header) = wire.mux.forget(self.number) {
            wire.answer(&header);
        }
    }
}
