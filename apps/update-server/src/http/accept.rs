//! Connections: a bounded number, each of which must move.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::paced::Paced;

/// Connections served at once; more wait in the kernel.
const CONNECTIONS_MAX: usize = 1024;
/// For the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// For the head of a request.
const HEAD: Duration = Duration::from_secs(15);
/// Without a byte either way a connection ends.
const STALL: Duration = Duration::from_mins(1);
/// For requests that are being answered when the server is told to end.
const GOODBYE: Duration = Duration::from_secs(10);

/// A listening server.
pub struct Server {
    pub listener: TcpListener,
    /// None serves plain HTTP.
    pub tls: Option<Arc<ServerConfig>>,
}

/// Serves until `end`, then lets what is being answered finish.
pub async fn serve(server: Server, router: Router, end: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (ending, ended) = watch::channel(false);
    let acceptor = server.tls.map(TlsAcceptor::from);
    tokio::pin!(end);
    loop {
        let place = tokio::select! {
            () = &mut end => break,
            place = Arc::clone(&places).acquire_owned() => place,
        };
        // The semaphore is never closed.
        let Ok(place) = place else { break };
        let (stream, peer) = tokio::select! {
            () = &mut end => break,
            accepted = accept(&server.listener) => accepted,
        };
        let (router, acceptor, ended) = (router.clone(), acceptor.clone(), ended.clone());
        tokio::spawn(async move {
            connection(stream, peer, acceptor, router, ended).await;
            drop(place);
        });
    }
    ending.send_replace(true);
    // All places free again: everybody is done.
    let all = places.acquire_many(u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX));
    if timeout(GOODBYE, all).await.is_err() {
        tracing::warn!("Some requests were not finished");
    }
}

/// The next connection; a lack of descriptors passes when connections end.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(%error, "Cannot accept a connection");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    router: Router,
    ended: watch::Receiver<bool>,
) {
    let stream = Paced::new(stream, STALL);
    let done = match acceptor {
        None => talk(stream, router, ended).await,
        Some(acceptor) => match timeout(HANDSHAKE, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => talk(stream, router, ended).await,
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
        },
    };
    if let Err(error) = done {
        tracing::debug!(%peer, error, "Connection ended early");
    }
}

async fn talk(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    mut ended: watch::Receiver<bool>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    tokio::select! {
        done = connection.as_mut() => return Ok(done?),
        _ = ended.wait_for(|over| *over) => {}
    }
    connection.as_mut().graceful_shutdown();
    Ok(connection.await?)
}
