//! A link: its streams, and the task that reads for them.

use std::sync::Arc;

use session::mux::Side;
use tokio::sync::mpsc;
use tokio_rustls::TlsStream;

use crate::connection::Connection;
use crate::{LinkError, Socket, Stream};

/// Streams that the peer opened and nobody took yet; more are reset.
const INBOUND_MAX: usize = 64;

/// A link that is up. Dropping it closes it.
pub struct Link {
    handle: LinkHandle,
    // Boxed: a channel keeps room for 32 items from its beginning.
    inbound: mpsc::Receiver<Box<Stream>>,
}

/// A way to use a link from elsewhere; does not keep it open.
#[derive(Clone)]
pub struct LinkHandle {
    connection: Arc<Connection>,
}

impl Link {
    /// Takes the next stream that the peer opened; `None` when the link is closed.
    pub async fn accept(&mut self) -> Option<Stream> {
        self.inbound.recv().await.map(|stream| *stream)
    }

    /// A way to use the link from elsewhere.
    pub fn handle(&self) -> LinkHandle {
        self.handle.clone()
    }

    pub(crate) fn start(tls: TlsStream<Socket>, side: Side) -> Self {
        let connection = Connection::new(tls, side);
        let (streams, inbound) = mpsc::channel(INBOUND_MAX);
        tokio::spawn(read(Reading(connection.clone()), streams));
        Self { handle: LinkHandle { connection }, inbound }
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
    pub fn open(&self) -> Result<Stream, LinkError> {
        self.connection.open().map(Stream::new)
    }

    /// Closes the link; what was written goes out first.
    pub fn close(&self) {
        self.connection.close();
    }

    /// Waits until the link is closed, by whomever.
    pub async fn closed(&self) {
        // Without a sender it is closed as well.
        let _ = self.connection.closed().wait_for(|closed| *closed).await;
    }

    /// Whether the link is closed.
    pub fn is_closed(&self) -> bool {
        *self.connection.closed().borrow()
    }
}

/// Ends the connection with the task that reads from it, however that ends.
struct Reading(Arc<Connection>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.end();
    }
}

async fn read(reading: Reading, streams: mpsc::Sender<Box<Stream>>) {
    while let Some(opened) = std::future::poll_fn(|cx| reading.0.poll_accept(cx)).await {
        // A peer that opens faster than we take loses the stream, not the link.
        drop(streams.try_send(Box::new(Stream::new(opened))));
    }
}
