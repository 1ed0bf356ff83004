//! The TCP connection under TLS, read in large pieces.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Read at most at once: four full TLS records.
const READ_MAX: usize = 72 * 1024;

/// What a read fills; boxed so that it moves without being copied.
type Room = Box<[u8]>;

thread_local! {
    /// What the next read of this thread fills, whichever connection it is of: an idle connection has none.
    static SPARE: Cell<Option<Room>> = const { Cell::new(None) };
}

/// A TCP connection that asks the operating system for as much as there is.
///
/// TLS asks for 4 KiB at a time, which in bulk is five system calls for each record.
/// What it did not ask for waits here; nothing is held while nothing waits.
pub struct Socket {
    tcp: TcpStream,
    ahead: Option<Ahead>,
}

/// Read from the connection and not yet asked for.
struct Ahead {
    room: Room,
    from: usize,
    to: usize,
}

impl Socket {
    /// Takes the connection over.
    pub const fn new(tcp: TcpStream) -> Self {
        Self { tcp, ahead: None }
    }
}

impl Ahead {
    /// Gives what fits, and itself back if something is left.
    fn give(mut self, buffer: &mut ReadBuf<'_>) -> Option<Self> {
        let n = buffer.remaining().min(self.to - self.from);
        buffer.put_slice(&self.room[self.from..self.from + n]);
        self.from += n;
        if self.from < self.to {
            return Some(self);
        }
        SPARE.set(Some(self.room));
        None
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(ahead) = self.ahead.take() {
            self.ahead = ahead.give(buffer);
            return Poll::Ready(Ok(()));
        }
        if buffer.remaining() >= READ_MAX {
            return Pin::new(&mut self.tcp).poll_read(cx, buffer);
        }
        let mut room = SPARE.take().unwrap_or_else(|| vec![0; READ_MAX].into_boxed_slice());
        let mut read = ReadBuf::new(&mut room);
        let result = Pin::new(&mut self.tcp).poll_read(cx, &mut read);
        let to = read.filled().len();
        // With nothing read, this only puts the room back.
        self.ahead = Ahead { room, from: 0, to }.give(buffer);
        result
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
