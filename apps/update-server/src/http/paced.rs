//! A connection that ends when nothing moves on it: bounded by progress and never by total time.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// A stream that fails once neither side has moved a byte for a while.
pub struct Paced<S> {
    stream: S,
    stall: Duration,
    clock: Pin<Box<Sleep>>,
}

impl<S> Paced<S> {
    pub fn new(stream: S, stall: Duration) -> Self {
        Self { stream, stall, clock: Box::pin(sleep(stall)) }
    }

    fn moved(&mut self) {
        self.clock.as_mut().reset(Instant::now() + self.stall);
    }

    /// Passes on what is ready; what waits, waits only until the clock runs out.
    fn watch<T>(
        &mut self,
        polled: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.moved();
            return polled;
        }
        ready!(self.clock.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.watch(polled, cx)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(polled, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch_end(polled, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watch_end(polled, cx)
    }
}

impl<S> Paced<S> {
    /// A flush that is ready moved nothing: a connection that only flushes stalls too.
    fn watch_end(
        &mut self,
        polled: Poll<io::Result<()>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if polled.is_ready() {
            return polled;
        }
        ready!(self.clock.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn slow_is_fine_and_silent_is_not() {
        let (mut near, far) = duplex(1);
        let mut paced = Paced::new(far, Duration::from_secs(1));
        // Altogether longer than the clock, each step shorter.
        let begun = Instant::now();
        for byte in 0..12u8 {
            sleep(Duration::from_millis(100)).await;
            near.write_all(&[byte]).await.expect("room");
            assert_eq!(paced.read_u8().await.expect("a byte"), byte);
        }
        assert!(begun.elapsed() > Duration::from_secs(1));
        let error = paced.read_u8().await.expect_err("nothing comes any more");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        // The other side reads nothing either.
        let error = paced.write_all(&[0; 8]).await.expect_err("nothing goes any more");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(near);
    }
}
