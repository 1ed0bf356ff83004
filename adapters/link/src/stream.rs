//! One stream of a link, cut into frames.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use session::{Channel, Frame, FrameError, Message};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::LinkError;
use crate::connection::Handle;

/// A stream before it is split: either frames, or raw bytes for HTTP.
pub struct Stream(Handle);

/// A frame as it came, for passing on, and what it says.
#[derive(Debug, Clone)]
pub struct Received {
    /// The whole frame, header included.
    pub raw: Bytes,
    /// What it says; shares the bytes.
    pub frame: Frame,
}

impl Stream {
    pub(crate) const fn new(handle: Handle) -> Self {
        Self(handle)
    }

    /// The two halves, for frames.
    pub fn split(self) -> (Reader, Writer) {
        let handle = Arc::new(self.0);
        let reader =
            Reader { stream: handle.clone(), pending: Bytes::new(), partial: BytesMut::new() };
        (reader, Writer { stream: handle })
    }
}

/// Reads frames.
pub struct Reader {
    stream: Arc<Handle>,
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
            match std::future::poll_fn(|cx| self.stream.poll_receive(cx)).await {
                None => return Ok(None),
                Some(bytes) => self.pending = bytes,
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
    stream: Arc<Handle>,
}

impl Writer {
    /// Writes one whole frame that is already encoded. Waits while the peer's window is full; nothing
    /// is written when the future is dropped meanwhile.
    ///
    /// # Errors
    /// When the link broke.
    pub async fn frame(&self, frame: &[u8]) -> Result<(), LinkError> {
        self.send(frame, &[]).await
    }

    async fn send(&self, header: &[u8], bytes: &[u8]) -> Result<(), LinkError> {
        std::future::poll_fn(|cx| self.stream.poll_send(cx, header, bytes)).await
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
        self.send(&session::encode_data_header(channel, offset, bytes.len()), bytes).await
    }

    /// Acknowledges everything before `offset`.
    ///
    /// # Errors
    /// When the link broke.
    pub async fn ack(&self, offset: u64) -> Result<(), LinkError> {
        self.frame(&session::encode_ack(offset)).await
    }

    /// Says that nothing follows. What was written still arrives.
    pub fn close(&self) {
        self.stream.finish();
    }
}

/// A stream that carries raw bytes, for HTTP.
pub struct RawStream {
    /// What came and was not asked for yet.
    read: Bytes,
    stream: Arc<Handle>,
}

impl AsyncRead for RawStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.read.is_empty() {
            match ready!(self.stream.poll_receive(cx)) {
                Some(bytes) => self.read = bytes,
                None => return Poll::Ready(Ok(())),
            }
        }
        let n = self.read.len().min(buffer.remaining());
        buffer.put_slice(&self.read.split_to(n));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for RawStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.stream.poll_send_some(cx, bytes).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    // What is written is on its way at once.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.finish();
        Poll::Ready(Ok(()))
    }
}
