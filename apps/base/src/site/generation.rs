use std::path::{Path, PathBuf};
use std::time::Duration;

use host::{ControlError, Ended, Message, NotifySocket, Process};
use hyper::Method;
use release::Sha256;
use serde::Deserialize;
use tokio::sync::watch;

/// How long a generation may take to answer a plain question.
const ANSWER: Duration = Duration::from_secs(5);

/// What a generation said about itself so far.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// It is ready.
    pub ready: bool,
    /// Its last words on what it does.
    pub status: String,
    /// Why it gives up.
    pub failed: Option<String>,
    /// How it ended.
    pub ended: Option<Ended>,
}

impl Said {
    /// Why it is no more, for a person.
    pub fn death(&self) -> Option<String> {
        let ended = self.ended.as_ref()?;
        Some(match &self.failed {
            Some(reason) => format!("{ended}, saying: {reason}"),
            None => ended.to_string(),
        })
    }
}

/// What a generation answers to `GET /control/status`; what it leaves out is nothing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The identity that clients know the site by, as 64 hexadecimal digits.
    pub identity: Option<String>,
    /// `standby`, `active`, `draining` or `drained`.
    pub phase: String,
    /// Agents with a link to it.
    pub agents_connected: u64,
    /// Those of them whose link has been up for a moment; `None` from a version that does not say it.
    pub agents_settled: Option<u64>,
    /// Consoles with a link to it.
    pub consoles_connected: u64,
    /// Sessions it carries.
    pub sessions_live: u64,
    /// Those sessions.
    pub sessions: Vec<serde_json::Value>,
    /// Operators who are signed in.
    pub operators: Vec<String>,
    /// The longest that an end of a session was away before it came back to it, in milliseconds.
    pub stall_ms_max: u64,
}

/// One running process of the site.
#[derive(Debug)]
pub struct Generation {
    /// Its number.
    pub number: u64,
    /// The slot that it runs from.
    pub slot: Sha256,
    process: Process,
    socket: PathBuf,
    said: watch::Sender<Said>,
}

impl Generation {
    /// Takes hold of a running process; `ready` when it was adopted and answered before.
    pub fn hold(run: &Path, number: u64, slot: Sha256, pid: u32) -> std::io::Result<Self> {
        Ok(Self {
            number,
            slot,
            process: Process::open(pid)?,
            socket: run.join(format!("site-{number}.sock")),
            said: watch::Sender::new(Said::default()),
        })
    }

    /// Hears what it says and how it ends; returns when it has ended.
    pub async fn listen(&self, notify: NotifySocket) {
        loop {
            tokio::select! {
                ended = self.process.ended() => {
                    // Its last words may still lie in the socket.
                    while let Ok(Ok(last)) =
                        tokio::time::timeout(Duration::from_millis(20), notify.next()).await
                    {
                        self.hear(last);
                    }
                    self.said.send_modify(|said| said.ended = Some(ended));
                    return;
                }
                said = notify.next() => match said {
                    Ok(said) => self.hear(said),
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                },
            }
        }
    }

    fn hear(&self, messages: Vec<Message>) {
        self.said.send_modify(|said| {
            for message in messages {
                match message {
                    Message::Ready => said.ready = true,
                    Message::Status(text) => said.status = text,
                    Message::Failed(reason) => said.failed = Some(reason),
                    Message::Stopping | Message::Watchdog => {}
                }
            }
        });
    }

    /// Counts as ready from now on: it answered.
    pub fn is_ready(&self) {
        self.said.send_modify(|said| said.ready = true);
    }

    /// What it said so far.
    pub fn said(&self) -> Said {
        self.said.borrow().clone()
    }

    /// Waits until it is ready or dead.
    pub async fn ready(&self) -> Result<(), String> {
        let mut said = self.said.subscribe();
        loop {
            let now = said.borrow_and_update().clone();
            if let Some(death) = now.death() {
                return Err(death);
            }
            if now.ready {
                return Ok(());
            }
            if said.changed().await.is_err() {
                return Err("the base stopped watching it".into());
            }
        }
    }

    /// Waits until it is dead; answers how.
    pub async fn dead(&self) -> String {
        let mut said = self.said.subscribe();
        loop {
            if let Some(death) = said.borrow_and_update().death() {
                return death;
            }
            if said.changed().await.is_err() {
                return "the base stopped watching it".into();
            }
        }
    }

    /// Memory that it takes, in bytes; unknown when it has ended.
    pub fn memory(&self) -> Option<u64> {
        self.process.memory()
    }

    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        self.said.borrow().ended.is_none() && !self.process.has_ended()
    }

    pub async fn status(&self) -> Result<Status, ControlError> {
        let answer = self.call(Method::GET, "/control/status", ANSWER).await?;
        Ok(serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    /// Whether it is healthy; if not, what is wrong.
    pub async fn health(&self) -> Result<(), String> {
        let answer = self.call(Method::GET, "/control/health", ANSWER).await;
        let answer = answer.map_err(|error| error.to_string())?;
        if answer.status.is_success() {
            return Ok(());
        }
        let body = answer.json();
        let bad = body["checks"].as_array().into_iter().flatten().filter(|c| c["ok"] != true);
        let bad: Vec<String> = bad
            .map(|check| {
                let part = |name: &str| check[name].as_str().unwrap_or("?").to_owned();
                format!("{}: {}", part("name"), part("text"))
            })
            .collect();
        Err(if bad.is_empty() { format!("it answered {}", answer.status) } else { bad.join("; ") })
    }

    /// Runs a synthetic session through it; if that fails, why.
    pub async fn selftest(&self, within: Duration) -> Result<(), String> {
        let answer = self.call(Method::POST, "/control/selftest", within).await;
        let answer = answer.map_err(|error| error.to_string())?;
        if answer.status.is_success() {
            return Ok(());
        }
        let body = answer.json();
        Err(body["text"]
            .as_str()
            .map_or_else(|| format!("it answered {}", answer.status), Into::into))
    }

    /// Tells it to serve.
    pub async fn activate(&self) -> Result<(), String> {
        self.tell("/control/activate").await
    }

    /// Tells it to hand over what it has.
    pub async fn drain(&self) -> Result<(), String> {
        self.tell("/control/drain").await
    }

    /// Tells it that its version stays, so that clients may follow. A site that knows nothing of it refuses, which is fine.
    pub async fn committed(&self) {
        if let Err(reason) = self.tell("/control/committed").await {
            tracing::debug!(reason, generation = self.number, "Commit not heard");
        }
    }

    async fn tell(&self, path: &str) -> Result<(), String> {
        match self.call(Method::POST, path, ANSWER).await {
            Ok(answer) if answer.status.is_success() => Ok(()),
            Ok(answer) => Err(format!("it answered {} to {path}", answer.status)),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Ends it: asks, then insists.
    pub async fn stop(&self, patience: Duration) {
        let _ = self.call(Method::POST, "/control/stop", Duration::from_secs(2)).await;
        if tokio::time::timeout(patience, self.process.ended()).await.is_ok() {
            return;
        }
        self.process.terminate();
        if tokio::time::timeout(Duration::from_secs(2), self.process.ended()).await.is_err() {
            self.kill().await;
        }
    }

    /// Ends it without asking.
    pub async fn kill(&self) {
        self.process.kill();
        self.process.ended().await;
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        within: Duration,
    ) -> Result<host::Answer, ControlError> {
        host::call_within(&self.socket, method, path, None, within).await
    }
}
