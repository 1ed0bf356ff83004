//! The other generations of this appliance, reached over their control sockets.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use model::{Generation, SessionId};
use tokio::net::UnixStream;

/// How long a neighbour may take to answer; a dead one refuses at once.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Finds the other generations by their sockets in the run directory.
#[derive(Debug, Clone)]
pub struct Neighbours {
    run: PathBuf,
    own: Generation,
}

impl Neighbours {
    /// The neighbours of that generation.
    pub const fn new(run: PathBuf, own: Generation) -> Self {
        Self { run, own }
    }

    /// The control socket of a generation.
    pub fn socket(run: &std::path::Path, generation: Generation) -> PathBuf {
        run.join(format!("site-{generation}.sock"))
    }

    /// The other generations that answer.
    pub async fn alive(&self) -> Vec<Generation> {
        let mut alive = Vec::new();
        for socket in self.sockets() {
            let name = socket.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let number = name.strip_prefix("site-").and_then(|number| number.parse().ok());
            if let (Some(number), Ok(_)) = (number, UnixStream::connect(&socket).await) {
                alive.push(Generation(number));
            }
        }
        alive
    }

    /// Asks every other generation to give a session up, and waits until they answered.
    pub async fn release(&self, session: SessionId) {
        let body = serde_json::json!({ "sessions": [session] }).to_string();
        let mut asked = false;
        for socket in self.sockets() {
            let request = tokio::time::timeout(
                ANSWER_LIMIT,
                post(socket.clone(), "/control/release", body.clone()),
            );
            match request.await {
                Ok(Ok(())) => asked = true,
                Ok(Err(error)) => tracing::debug!(?socket, error, "Generation does not answer"),
                Err(_) => tracing::warn!(?socket, "Generation does not answer in time"),
            }
        }
        if !asked {
            // Nobody to ask: the holder is just dying, and its lock goes with it.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn sockets(&self) -> Vec<PathBuf> {
        let own = Self::socket(&self.run, self.own);
        let Ok(entries) = std::fs::read_dir(&self.run) else { return Vec::new() };
        let is_site = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let generation = name.strip_prefix("site-").and_then(|rest| rest.strip_suffix(".sock"));
            generation.is_some() && *path != own
        };
        entries.flatten().map(|entry| entry.path()).filter(is_site).collect()
    }
}

async fn post(socket: PathBuf, path: &str, body: String) -> Result<(), String> {
    let text = |e: &dyn std::fmt::Display| e.to_string();
    let stream = UnixStream::connect(&socket).await.map_err(|e| text(&e))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| text(&e))?;
    let driver = tokio::spawn(connection);
    let request = hyper::Request::post(path)
        .header("host", "site")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|e| text(&e))?;
    let answer = sender.send_request(request).await.map_err(|e| text(&e))?;
    let status = answer.status();
    let _ = answer.into_body().collect().await;
    driver.abort();
    if status.is_success() { Ok(()) } else { Err(format!("it answered {status}")) }
}
