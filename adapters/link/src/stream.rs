//! One stream of a link, cut into frames.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::Stream as _;
use futures_util::io::{AsyncRead, AsyncWrite};
use session::{Channel, Frame, FrameError, Message};
use tokio::sync::Mutex as AsyncMutex;

use crate::LinkError;

/// A stream before it is split: either frames, or raw bytes for HTTP.
pub struct Stream(yamux::Stream);

type Shared = Arc<Mutex<yamux::Stream>>;

/// A frame as it came, for passing on, and what it says.
#[derive(Debug, Clone)]
pub struct Received {
    /// The whole frame, header included.
    pub raw: Bytes,
    /// What it says; shares the bytes.
    pub frame: Frame,
}

impl Stream {
    pub(crate) const fn new(stream: yamux::Stream) -> Self {
        Self(stream)
    }

    /// The two halves, for frames.
    pub fn split(self) -> (Reader, Writer) {
        let shared = Arc::new(Mutex::new(self.0));
        let reader =
            Reader { stream: shared.clone(), pending: Bytes::new(), partial: BytesMut::new() };
        let sink = Sink { stream: shared, broken: false };
        (reader, Writer { sink: Arc::new(AsyncMutex::new(sink)) })
    }
}

/// Reads frames.
pub struct Reader {
    stream: Shared,
    /// What the multiplexer delivered and was not read yet.
    pending: Bytes,
    /// The beginning of a frame that came in several pieces.
    partial: BytesMut,
}

impl Reader {
    /// The next frame; `None` when the peer closed the stream. Nothing is lost when the future is
    /// dropped.
    ///
    /// # Errors
    /// When the link broke or the peer sent something that is no frame.
    pub async fn next(&mut self) -> Result<Option<Received>, LinkError> {
        loop {
            if let Some(raw) = self.take_whole()? {
                let frame = session::parse(raw.clone())?;
                if !matches!(frame, Frame::Skipped(_) | Frame::Message(Message::Unknown(_))) {
                    return Ok(Some(Received { raw, frame }));
                }
                continue;
            }
            match std::future::poll_fn(|cx| self.poll_packet(cx)).await {
                None => return Ok(None),
                Some(Ok(packet)) => self.pending = packet,
                Some(Err(_)) => return Err(LinkError::Closed),
            }
        }
    }

    /// Puts the halves together again, for raw bytes after a first frame: bytes that came with that
    /// frame are read first.
    pub fn into_stream(self, writer: Writer) -> RawStream {
        let read = [&self.partial[..], &self.pending[..]].concat();
        drop(writer);
        RawStream { read: read.into(), stream: self.stream }
    }

    /// Reads the next frame and says that it must be a message.
    ///
    /// # Errors
    /// Like [`Reader::next`], and when the stream ends or bytes come instead.
    pub async fn message(&mut self) -> Result<Message, LinkError> {
        match self.next().await? {
            Some(Received { frame: Frame::Message(message), .. }) => Ok(message),
            Some(_) => Err(LinkError::protocol("the peer", "bytes came where a message was due")),
            None => Err(LinkError::Closed),
        }
    }

    fn poll_packet(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let mut stream = lock(&self.stream);
        let packet = std::task::ready!(Pin::new(&mut *stream).poll_next(cx));
        Poll::Ready(packet.map(|packet| packet.map(Bytes::from_owner)))
    }

    /// Takes a whole frame off what was delivered; without copying when it came in one piece.
    fn take_whole(&mut self) -> Result<Option<Bytes>, FrameError> {
        if self.partial.is_empty() {
            match session::frame_len(&self.pending)? {
                Some(len) if len <= self.pending.len() => {
                    return Ok(Some(self.pending.split_to(len)));
                }
                _ if self.pending.is_empty() => return Ok(None),
                _ => {}
            }
        }
        while !self.pending.is_empty() {
            let want = session::frame_len(&self.partial)?.unwrap_or(session::HEADER_LEN);
            if want == self.partial.len() && want > session::HEADER_LEN {
                break;
            }
            self.partial.reserve(want.saturating_sub(self.partial.len()));
            let step = (want - self.partial.len()).min(self.pending.len());
            self.partial.extend_from_slice(&self.pending[..step]);
            self.pending.advance(step);
            if session::frame_len(&self.partial)? == Some(self.partial.len()) {
                break;
            }
        }
        match session::frame_len(&self.partial)? {
            Some(len) if len == self.partial.len() => {
                Ok(Some(std::mem::take(&mut self.partial).freeze()))
            }
            _ => Ok(None),
        }
    }
}

/// Writes frames, from as many tasks as need to; each frame goes out whole.
#[derive(Clone)]
pub struct Writer {
    sink: Arc<AsyncMutex<Sink>>,
}

struct Sink {
    stream: Shared,
    /// A frame was begun and not finished: nothing can follow it.
    broken: bool,
}

impl Writer {
    /// Writes one whole frame that is already encoded. Waits while the peer's window is full.
    ///
    /// # Errors
    /// When the link broke.
    pub async fn frame(&self, frame: &[u8]) -> Result<(), LinkError> {
        let mut sink = self.sink.lock().await;
        if sink.broken {
            return Err(LinkError::Closed);
        }
        sink.broken = true;
        let mut rest = frame;
        while !rest.is_empty() {
            let n =
                std::future::poll_fn(|cx| Pin::new(&mut *lock(&sink.stream)).poll_write(cx, rest))
                    .await
                    .map_err(|_| LinkError::Closed)?;
            rest = &rest[n..];
        }
        std::future::poll_fn(|cx| Pin::new(&mut *lock(&sink.stream)).poll_flush(cx))
            .await
            .map_err(|_| LinkError::Closed)?;
        sink.broken = false;
        Ok(())
    }

    /// Writes a message.
    ///
    /// # Errors
    /// When the link broke.
    pub async fn message(&self, message: impl Into<Message>) -> Result<(), LinkError> {
        self.frame(&session::encode_message(&message.into())).await
    }

    /// Writes stream bytes, at most [`session::MAX_DATA`].
    ///
    /// # Errors
    /// When the link broke.
    pub async fn data(&self, channel: Channel, offset: u64, bytes: &[u8]) -> Result<(), LinkError> {
        self.frame(&session::encode_data(channel, offset, bytes)).await
    }

    /// Acknowledges everything before `offset`.
    ///
    /// # Errors
    /// When the link broke.
    pub async fn ack(&self, offset: u64) -> Result<(), LinkError> {
        self.frame(&session::encode_ack(offset)).await
    }

    /// Says that nothing follows. What was written still arrives.
    pub async fn close(&self) {
        let mut sink = self.sink.lock().await;
        sink.broken = true;
        let _ = std::future::poll_fn(|cx| Pin::new(&mut *lock(&sink.stream)).poll_close(cx)).await;
    }
}

fn lock(stream: &Shared) -> MutexGuard<'_, yamux::Stream> {
    // A poll that panicked has left nothing half done that reading on could make worse.
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A stream that carries raw bytes, for HTTP.
pub struct RawStream {
    /// What came before anybody asked for raw bytes.
    read: Bytes,
    stream: Shared,
}

impl AsyncRead for RawStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if !self.read.is_empty() {
            let n = self.read.len().min(buffer.len());
            self.read.split_to(n).copy_to_slice(&mut buffer[..n]);
            return Poll::Ready(Ok(n));
        }
        Pin::new(&mut *lock(&self.stream)).poll_read(cx, buffer)
    }
}

impl AsyncWrite for RawStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *lock(&self.stream)).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *lock(&self.stream)).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *lock(&self.stream)).poll_close(cx)
    }
}
