//! The multiplexer: one task drives one connection.

use std::sync::Arc;
use std::task::Poll;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_rustls::TlsStream;
use yamux::{Config, Connection, Mode};

use crate::coalesce::Coalesce;
use crate::{LinkError, Socket, Stream};

/// At most this many streams on one link: sessions of one agent, plus control and API calls.
const STREAMS_MAX: usize = 512;

/// All receive windows of a link together; a slow reader makes the peer wait well before.
const WINDOW_MAX: usize = STREAMS_MAX * 256 * 1024;

/// Streams that the peer opened and nobody took yet; more are reset.
const INBOUND_MAX: usize = 64;

type Wire = Coalesce<TlsStream<Socket>>;
type Opened = oneshot::Sender<Result<Stream, LinkError>>;

/// A link that is up. Dropping it closes it.
pub struct Link {
    handle: LinkHandle,
    // Boxed: a channel keeps room for 32 items from its beginning.
    inbound: mpsc::Receiver<Box<Stream>>,
}

/// A way to use a link from elsewhere; does not keep it open.
#[derive(Clone)]
pub struct LinkHandle {
    opener: mpsc::WeakSender<Opened>,
    closer: Arc<watch::Sender<bool>>,
    closed: watch::Receiver<bool>,
}

/// Held by the [`Link`]: when the last one goes, the driver closes the connection.
impl Link {
    /// Takes the next stream that the peer opened; `None` when the link is closed.
    pub async fn accept(&mut self) -> Option<Stream> {
        self.inbound.recv().await.map(|stream| *stream)
    }

    /// A way to use the link from elsewhere.
    pub fn handle(&self) -> LinkHandle {
        self.handle.clone()
    }

    pub(crate) fn start(socket: TlsStream<Socket>, mode: Mode) -> Self {
        let mut config = Config::default();
        config.set_max_num_streams(STREAMS_MAX);
        config.set_max_connection_receive_window(Some(WINDOW_MAX));
        config.set_split_send_size(session::HEADER_LEN + session::MAX_PAYLOAD);
        // Boxed: a task keeps what it is given twice.
        let connection = Box::new(Connection::new(Coalesce::new(socket), config, mode));
        let (opener, requests) = mpsc::channel(8);
        let (streams, inbound) = mpsc::channel(INBOUND_MAX);
        let (closer, close) = watch::channel(false);
        let (done, closed) = watch::channel(false);
        let handle = LinkHandle { opener: opener.downgrade(), closer: Arc::new(closer), closed };
        tokio::spawn(drive(connection, requests, opener, streams, close, done));
        Self { handle, inbound }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.handle.close();
    }
}

impl LinkHandle {
    /// Opens a stream. The peer sees it with its first frame, so write one at once.
    ///
    /// # Errors
    /// When the link is closed.
    pub async fn open(&self) -> Result<Stream, LinkError> {
        let opener = self.opener.upgrade().ok_or(LinkError::Closed)?;
        let (answer, opened) = oneshot::channel();
        opener.send(answer).await.map_err(|_| LinkError::Closed)?;
        drop(opener);
        opened.await.map_err(|_| LinkError::Closed)?
    }

    /// Closes the link; what was written goes out first.
    pub fn close(&self) {
        self.closer.send_replace(true);
    }

    /// Waits until the link is closed, by whomever.
    pub async fn closed(&self) {
        let mut closed = self.closed.clone();
        // The driver is gone: closed as well.
        let _ = closed.wait_for(|closed| *closed).await;
    }

    /// Whether the link is closed.
    pub fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }
}

async fn drive(
    mut connection: Box<Connection<Wire>>,
    mut requests: mpsc::Receiver<Opened>,
    opener: mpsc::Sender<Opened>,
    streams: mpsc::Sender<Box<Stream>>,
    mut close: watch::Receiver<bool>,
    done: watch::Sender<bool>,
) {
    let mut waiting: Option<Opened> = None;
    let asked_to_close = async move {
        let _ = close.wait_for(|close| *close).await;
    };
    tokio::pin!(asked_to_close);
    let mut closing = false;
    std::future::poll_fn(|cx| {
        loop {
            if !closing && asked_to_close.as_mut().poll(cx).is_ready() {
                closing = true;
            }
            if closing {
                return connection.poll_close(cx).map(|_| ());
            }
            if waiting.is_none() {
                waiting = match requests.poll_recv(cx) {
                    Poll::Ready(request) => request,
                    Poll::Pending => None,
                };
            }
            if let Some(answer) = waiting.take() {
                match connection.poll_new_outbound(cx) {
                    Poll::Ready(opened) => {
                        let opened = opened.map(Stream::new).map_err(|_| LinkError::Closed);
                        let _ = answer.send(opened);
                        continue;
                    }
                    Poll::Pending => waiting = Some(answer),
                }
            }
            match connection.poll_next_inbound(cx) {
                // A peer that opens faster than we take loses the stream, not the link.
                Poll::Ready(Some(Ok(stream))) => {
                    drop(streams.try_send(Box::new(Stream::new(stream))));
                }
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
    drop(opener);
    done.send_replace(true);
}
