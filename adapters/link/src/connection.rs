//! One connection: whoever has something to send writes it there at once, and one task reads for all.
//!
//! Nothing is handed from task to task on its way out, and nothing is copied but into the cipher.
//! Only the reading task waits for the socket, so its waker is given to every write; who must wait
//! for the socket waits for that task.
//!
//! The end that dials, a program of one thread, gathers: what all tasks that are ready now write goes out with
//! one call when the reading task's turn comes. An endpoint with fifty sessions that print would otherwise
//! send each line for itself, and each send wakes the other end.

mod handle;
mod incoming;
mod slot;

use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use session::mux::{Came, MUX_HEADER_LEN, Mux, MuxError, Side};
use tokio::io::{AsyncBufRead, AsyncWrite};
use tokio::sync::watch;
use tokio_rustls::TlsStream;

pub(crate) use handle::Handle;
use incoming::Incoming;
use slot::Slot;

use crate::{LinkError, Socket};

/// Bytes that wait for the reading task at most, where frames are gathered. More go out at once.
const GATHERED_MAX: usize = 8 * 1024;

/// Bytes that the socket did not take and that are owed to the peer in answer to its own; with more,
/// nothing is read from it until it reads.
const OWED_MAX: usize = 16 * 1024;

/// What the streams of a link share.
pub(crate) struct Connection {
    wire: Mutex<Wire>,
    closed: watch::Sender<bool>,
}

struct Wire {
    /// `None` when the connection has ended.
    tls: Option<TlsStream<Socket>>,
    mux: Mux<Arc<Slot>>,
    incoming: Incoming,
    /// The task that reads; a waker that does nothing before it runs.
    driver: Waker,
    /// Who waits for the socket to take more.
    blocked: Vec<Waker>,
    /// Encrypted bytes wait for the socket.
    unsent: bool,
    /// Whether small frames wait for those that other tasks are about to write.
    gathers: bool,
    /// Bytes that wait for the reading task to send them.
    gathered: usize,
    owed: usize,
    closing: Closing,
}

#[derive(PartialEq, Eq)]
enum Closing {
    No,
    Asked,
    Said,
}

/// Why nothing more can be read.
enum Broken {
    Network(io::Error),
    Rules(MuxError),
}

/// What the reading task is to do next.
enum Step {
    /// Read on.
    On,
    /// The peer opened a stream.
    Opened(u32, Arc<Slot>),
    /// Ends, in this way or that.
    Over,
}

impl Connection {
    /// A connection on which hellos have been exchanged.
    pub fn new(mut tls: TlsStream<Socket>, side: Side) -> Arc<Self> {
        // A frame is encrypted whole or not at all; who writes waits before, not in the middle.
        match &mut tls {
            TlsStream::Client(tls) => tls.get_mut().1.set_buffer_limit(None),
            TlsStream::Server(tls) => tls.get_mut().1.set_buffer_limit(None),
        }
        let wire = Wire {
            tls: Some(tls),
            mux: Mux::new(side),
            incoming: Incoming::START,
            driver: Waker::noop().clone(),
            blocked: Vec::new(),
            unsent: false,
            gathers: side == Side::Client,
            gathered: 0,
            owed: 0,
            closing: Closing::No,
        };
        Arc::new(Self { wire: Mutex::new(wire), closed: watch::Sender::new(false) })
    }

    fn wire(&self) -> MutexGuard<'_, Wire> {
        // What panicked has left a connection that fails by itself, not memory that lies.
        self.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a stream. The peer sees it with its first bytes.
    pub fn open(self: &Arc<Self>) -> Result<Handle, LinkError> {
        let mut wire = self.wire();
        if wire.tls.is_none() || wire.closing != Closing::No {
            return Err(LinkError::Closed);
        }
        let slot = Arc::new(Slot::default());
        let number = wire.mux.open(slot.clone()).map_err(|error| {
            tracing::warn!(%error, "No stream can be opened");
            LinkError::Full
        })?;
        Ok(Handle { connection: self.clone(), number, slot })
    }

    /// Asks for the end; what was written goes out first.
    pub fn close(&self) {
        let mut wire = self.wire();
        if wire.closing == Closing::No {
            wire.closing = Closing::Asked;
            wire.driver.wake_by_ref();
        }
    }

    /// Turns to true when the connection has ended.
    pub fn closed(&self) -> watch::Receiver<bool> {
        self.closed.subscribe()
    }

    /// Ends the connection, whatever waits on it.
    pub fn end(&self) {
        self.wire().end();
        self.closed.send_replace(true);
    }

    /// Reads for all streams; answers the next one that the peer opens, and `None` at the end.
    pub fn poll_accept(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<Option<Handle>> {
        loop {
            // The lock is given back after each frame: who writes waits no longer than for one.
            let step = ready!(self.wire().poll_step(cx));
            match step {
                Step::On => {}
                Step::Over => return Poll::Ready(None),
                Step::Opened(number, slot) => {
                    return Poll::Ready(Some(Handle { connection: self.clone(), number, slot }));
                }
            }
        }
    }
}

impl Wire {
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        if !self.driver.will_wake(cx.waker()) {
            self.driver = cx.waker().clone();
        }
        if self.closing != Closing::No {
            return self.poll_close(cx).map(|()| Step::Over);
        }
        if (self.unsent || self.gathered > 0) && self.poll_flush(cx).is_err() {
            return Poll::Ready(Step::Over);
        }
        if self.owed > OWED_MAX {
            return Poll::Pending;
        }
        let step = match self.poll_read(cx) {
            Poll::Ready(Ok(step)) => Poll::Ready(step),
            Poll::Ready(Err(Broken::Network(error))) => {
                tracing::debug!(%error, "A link broke");
                Poll::Ready(Step::Over)
            }
            Poll::Ready(Err(Broken::Rules(error))) => {
                tracing::warn!(%error, "A link is ended");
                self.write([&Mux::<()>::protocol_error(), &[], &[]]);
                Poll::Ready(Step::Over)
            }
            Poll::Pending => Poll::Pending,
        };
        // TLS itself may have something to say to what it read.
        if !self.unsent && self.tls.as_ref().is_some_and(|tls| tls.get_ref().1.wants_write()) {
            self.unsent = true;
            if self.poll_flush(cx).is_err() {
                return Poll::Ready(Step::Over);
            }
        }
        step
    }

    /// Offers the socket what waits for it; an error is the connection's end.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Err(io::ErrorKind::NotConnected.into()) };
        self.gathered = 0;
        self.unsent = Pin::new(tls).poll_flush(cx)?.is_pending();
        if !self.unsent {
            self.owed = 0;
            self.blocked.drain(..).for_each(Waker::wake);
        }
        Ok(())
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.closing == Closing::Asked {
            self.closing = Closing::Said;
            self.write([&Mux::<()>::go_away(), &[], &[]]);
        }
        match &mut self.tls {
            // How it ends makes no difference any more.
            Some(tls) => Pin::new(tls).poll_shutdown(cx).map(|_| ()),
            None => Poll::Ready(()),
        }
    }

    /// Reads until something is whole.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Step, Broken>> {
        loop {
            let Some(tls) = &mut self.tls else { return Poll::Ready(Ok(Step::Over)) };
            let mut tls = Pin::new(tls);
            let chunk = ready!(tls.as_mut().poll_fill_buf(cx)).map_err(Broken::Network)?;
            if chunk.is_empty() {
                return Poll::Ready(Ok(Step::Over));
            }
            let (read, whole) = self.incoming.take(chunk);
            tls.consume(read);
            if whole {
                return Poll::Ready(self.whole().map_err(Broken::Rules));
            }
        }
    }

    /// Does what a header says, or delivers a frame's bytes.
    fn whole(&mut self) -> Result<Step, MuxError> {
        match std::mem::replace(&mut self.incoming, Incoming::START) {
            Incoming::Header { bytes, .. } => self.header(bytes),
            Incoming::Bytes { to, bytes, last, .. } => {
                if let Some(slot) = to {
                    slot.arrived(bytes, last);
                }
                Ok(Step::On)
            }
        }
    }

    fn header(&mut self, header: [u8; MUX_HEADER_LEN]) -> Result<Step, MuxError> {
        match self.mux.receive(header, Arc::default)? {
            Came::Opened { stream, length, last } => {
                let slot = self.expect(stream, length, last);
                return Ok(slot.map_or(Step::On, |slot| Step::Opened(stream, slot)));
            }
            Came::Data { stream, length, last } => {
                self.expect(stream, length, last);
            }
            Came::Stale { length } => self.skip(length),
            Came::Room { stream, last } => {
                if let Some(slot) = self.mux.user(stream) {
                    slot.room(last);
                }
            }
            Came::Reset { stream, length } => {
                if let Some(slot) = self.mux.user(stream) {
                    slot.room(true);
                }
                self.skip(length);
            }
            Came::Answer(answer) => self.answer(&answer),
            Came::GoAway { code } => {
                tracing::debug!(code, "The peer ends the link");
                return Ok(Step::Over);
            }
            Came::Nothing => {}
        }
        Ok(Step::On)
    }

    /// Prepares for the bytes of a stream.
    fn expect(&mut self, stream: u32, length: usize, last: bool) -> Option<Arc<Slot>> {
        let slot = self.mux.user(stream)?.clone();
        if length > 0 {
            let (to, bytes) = (Some(slot.clone()), Vec::with_capacity(length));
            self.incoming = Incoming::Bytes { to, left: length, bytes, last };
        } else if last {
            slot.room(true);
        }
        Some(slot)
    }

    fn skip(&mut self, length: usize) {
        if length > 0 {
            self.incoming =
                Incoming::Bytes { to: None, left: length, bytes: Vec::new(), last: false };
        }
    }

    /// Writes a header that stands alone; never waits. Behind our own GoAway nothing is said any more.
    fn answer(&mut self, header: &[u8]) {
        if self.closing != Closing::No {
            return;
        }
        self.write([header, &[], &[]]);
        if self.unsent {
            self.owed += header.len();
        }
    }

    /// Encrypts one whole frame, and offers it to the socket at once or with those that follow it.
    fn write(&mut self, parts: [&[u8]; 3]) {
        let Some(tls) = &mut self.tls else { return };
        let slices = parts.map(IoSlice::new);
        let wanted: usize = parts.iter().map(|part| part.len()).sum();
        let taken = match tls {
            TlsStream::Client(tls) => tls.get_mut().1.writer().write_vectored(&slices),
            TlsStream::Server(tls) => tls.get_mut().1.writer().write_vectored(&slices),
        };
        // A frame that is cut short ends the connection: nothing could follow it.
        if taken.ok() != Some(wanted) {
            return self.end();
        }
        let waited = self.gathered;
        self.gathered += wanted;
        if self.gathers && self.gathered <= GATHERED_MAX {
            if waited == 0 {
                self.driver.wake_by_ref();
            }
            return;
        }
        let driver = self.driver.clone();
        if self.poll_flush(&mut Context::from_waker(&driver)).is_err() {
            self.end();
        }
    }

    fn end(&mut self) {
        if self.gathered > 0
            && let Some(tls) = &mut self.tls
        {
            // The last word of a program that ends: offered once, as what does not wait is.
            let _ = Pin::new(tls).poll_flush(&mut Context::from_waker(Waker::noop()));
        }
        self.tls = None;
        for slot in self.mux.end() {
            slot.room(true);
        }
        self.blocked.drain(..).for_each(Waker::wake);
        self.driver.wake_by_ref();
    }
}
