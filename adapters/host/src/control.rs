//! HTTP/1.1 to a process on its Unix socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

/// Longest answer that is read.
const ANSWER_MAX: usize = 8 << 20;

/// Why a process did not answer.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// It did not answer.
    #[error("{socket}: no answer to {path}: {reason}")]
    NoAnswer {
        /// The socket.
        socket: PathBuf,
        /// The request's path.
        path: String,
        /// Why.
        reason: String,
    },
    /// It did not answer in time.
    #[error("{socket}: no answer to {path} within {within:?}")]
    Late {
        /// The socket.
        socket: PathBuf,
        /// The request's path.
        path: String,
        /// The time it had.
        within: Duration,
    },
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON, or null when it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Sends one request and waits for its answer at most that long.
pub async fn call_within(
    socket: &Path,
    method: Method,
    path: &str,
    body: Option<&serde_json::Value>,
    within: Duration,
) -> Result<Answer, ControlError> {
    match tokio::time::timeout(within, call(socket, method, path, body)).await {
        Ok(result) => result,
        Err(_) => Err(ControlError::Late { socket: socket.into(), path: path.into(), within }),
    }
}

/// Sends one request and waits for its answer.
pub async fn call(
    socket: &Path,
    method: Method,
    path: &str,
    body: Option<&serde_json::Value>,
) -> Result<Answer, ControlError> {
    let failed = |reason: String| ControlError::NoAnswer {
        socket: socket.to_owned(),
        path: path.to_owned(),
        reason,
    };
    let stream = UnixStream::connect(socket).await.map_err(|e| failed(e.to_string()))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|e| failed(e.to_string()))?;
    let connection = tokio::spawn(connection);
    let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "control")
        .header("content-type", "application/json")
        .body(Full::new(bytes))
        .map_err(|e| failed(e.to_string()))?;
    let response = sender.send_request(request).await.map_err(|e| failed(e.to_string()))?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
    connection.abort();
    Ok(Answer { status, body: body.map_err(|e| failed(e.to_string()))?.to_bytes() })
}
