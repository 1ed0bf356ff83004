use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::io::{AsyncRead, AsyncWrite};

/// Gathers small writes until a flush, so that a multiplexer's 12-byte header and its body become
/// one TLS record and one system call.
///
/// A large buffer exists only while something waits in it: an idle link costs next to nothing.
pub(crate) struct Coalesce<T> {
    inner: T,
    waiting: Vec<u8>,
    written: usize,
}

/// A write that would make the buffer longer goes out first.
const FULL: usize = 16 * 1024;

/// A buffer of at most this size is kept between writes: enough for keystrokes.
const KEPT: usize = 256;

impl<T: AsyncWrite + Unpin> Coalesce<T> {
    pub(crate) const fn new(inner: T) -> Self {
        Self { inner, waiting: Vec::new(), written: 0 }
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.waiting.len() {
            let rest = &self.waiting[self.written..];
            let n = ready!(Pin::new(&mut self.inner).poll_write(cx, rest))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += n;
        }
        if self.waiting.capacity() > KEPT {
            self.waiting = Vec::new();
        }
        self.waiting.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Coalesce<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Coalesce<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.waiting.len() + bytes.len() > FULL {
            if !self.waiting.is_empty() && self.written == 0 {
                // Fill the record first, so that bulk travels in full ones.
                let room = FULL.saturating_sub(self.waiting.len());
                if room > 0 {
                    let part = bytes.len().min(room);
                    self.waiting.extend_from_slice(&bytes[..part]);
                    return Poll::Ready(Ok(part));
                }
            }
            ready!(self.poll_drain(cx))?;
            if bytes.len() >= FULL {
                return Pin::new(&mut self.inner).poll_write(cx, bytes);
            }
        }
        self.waiting.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.inner).poll_close(cx)
    }
}
