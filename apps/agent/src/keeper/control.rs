//! `agent.sock` in the data folder: how the other commands speak to a running agent.
//!
//! One line of JSON asks, one line answers. Only the owner of the folder can connect.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use model::Release;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

use super::channel::ServeStatus;
use super::ledger::Failure;
use crate::update::slots::Slot;

/// How long either side waits for the other.
const LIMIT: Duration = Duration::from_secs(5);

/// Bytes of the longest question.
const ASK_MAX: u64 = 4096;

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// How the agent stands.
    Status,
    /// Check in with the site now.
    CheckIn,
    /// Let versions that failed be tried again.
    Retry,
    /// Something that a later version asks.
    #[serde(other)]
    Unknown,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// How the agent stands.
    Status(Box<Status>),
    /// It is done.
    Done,
    /// It cannot be done, with the reason.
    Failed(String),
}

/// How the agent stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The version that runs.
    pub release: Release,
    /// From this slot.
    pub slot: Slot,
    /// `running`, `on trial`, `waiting for its restart` or `being ended`.
    pub phase: String,
    /// Whether this process reached the site since its start.
    pub proven: bool,
    /// The serving process.
    pub pid: Option<u32>,
    /// What the serving process says.
    pub serve: ServeStatus,
    /// Versions that are not tried again until told.
    pub bad: Vec<Failure>,
}

fn path(data: &Path) -> PathBuf {
    data.join("agent.sock")
}

/// Asks the agent that runs in that folder.
pub fn ask(data: &Path, ask: &Ask) -> Result<Answer> {
    let path = path(data);
    let mut stream = match BlockingStream::connect(&path) {
        Ok(stream) => stream,
        Err(e)
            if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) =>
        {
            bail!("no agent runs in {}; start it with `sluis-agent run`", data.display())
        }
        Err(e) => return Err(e).context(format!("cannot reach {}", path.display())),
    };
    stream.set_read_timeout(Some(LIMIT))?;
    let mut line = serde_json::to_string(ask)?;
    line.push('\n');
    stream.write_all(line.as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).context("the agent does not answer")?;
    serde_json::from_str(&answer).context("the agent's answer cannot be read")
}

/// Opens the socket; the caller holds the folder's lock, so what lies there is left over.
pub(super) fn listen(data: &Path) -> Result<UnixListener> {
    let path = path(data);
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path)
        .with_context(|| format!("cannot listen on {}", path.display()))?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&path, mode)?;
    Ok(listener)
}

/// Takes the socket away.
pub(super) fn close(data: &Path) {
    let _ = std::fs::remove_file(path(data));
}

/// A question and the way back.
pub(super) struct Asked {
    /// The question.
    pub ask: Ask,
    stream: UnixStream,
}

/// Takes questions and passes them on, for ever; a slow asker holds nobody else up.
pub(super) async fn take_questions(listener: UnixListener, questions: mpsc::Sender<Asked>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, say: not worth a busy loop.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let questions = questions.clone();
        tokio::spawn(async move {
            if let Ok(Some(asked)) = tokio::time::timeout(LIMIT, read(stream)).await {
                // An error means that the keeper ends.
                let _ = questions.send(asked).await;
            }
        });
    }
}

async fn read(mut stream: UnixStream) -> Option<Asked> {
    let mut line = String::new();
    let mut reader = tokio::io::BufReader::new((&mut stream).take(ASK_MAX));
    reader.read_line(&mut line).await.ok()?;
    let ask = serde_json::from_str(&line).ok()?;
    Some(Asked { ask, stream })
}

impl Asked {
    /// Answers and hangs up.
    pub async fn answer(mut self, answer: Answer) {
        let Ok(mut line) = serde_json::to_string(&answer) else { return };
        line.push('\n');
        // Who asked may be gone.
        let _ = tokio::time::timeout(LIMIT, self.stream.write_all(line.as_bytes())).await;
    }
}
