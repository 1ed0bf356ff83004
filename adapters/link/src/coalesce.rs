use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::io::{AsyncRead, AsyncWrite};
use tokio::io::ReadBuf;

/// Gathers small writes until a flush, so that a multiplexer's 12-byte header and its body become
/// one TLS record and one system call. A long body is not copied: it goes out together with what waits.
///
/// A large buffer exists only while something waits in it: an idle link costs next to nothing.
pub(crate) struct Coalesce<T> {
    inner: T,
    waiting: Vec<u8>,
    written: usize,
}

/// A write that would make the buffer longer goes out at once.
const FULL: usize = 8 * 1024;

/// A buffer of at most this size is kept between writes: enough for keystrokes.
const KEPT: usize = 256;

impl<T: tokio::io::AsyncWrite + Unpin> Coalesce<T> {
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
        self.forget();
        Poll::Ready(Ok(()))
    }

    fn forget(&mut self) {
        if self.waiting.capacity() > KEPT {
            self.waiting = Vec::new();
        }
        self.waiting.clear();
        self.written = 0;
    }

    /// Writes what waits and, behind it, as much of `bytes` as is taken.
    fn poll_through(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let rest = &self.waiting[self.written..];
            let waited = rest.len();
            let both = [IoSlice::new(rest), IoSlice::new(bytes)];
            let n = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, &both))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            if n > waited {
                self.forget();
                return Poll::Ready(Ok(n - waited));
            }
            self.written += n;
        }
    }
}

impl<T: tokio::io::AsyncRead + Unpin> AsyncRead for Coalesce<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }
}

impl<T: tokio::io::AsyncWrite + Unpin> AsyncWrite for Coalesce<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.waiting.len() + bytes.len() > FULL {
            return self.poll_through(cx, bytes);
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
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
