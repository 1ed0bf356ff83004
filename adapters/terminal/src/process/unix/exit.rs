//! Sees how a process ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::SessionOutcome;
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions};

use super::State;

/// Tells how a process ended.
#[derive(Debug)]
pub struct ExitWatch {
    pub(super) state: Arc<State>,
    pub(super) how: How,
    pub(super) outcome: Option<SessionOutcome>,
}

#[derive(Debug)]
pub(super) enum How {
    Child(tokio::signal::unix::Signal),
    Adopted(tokio::sync::oneshot::Receiver<SessionOutcome>),
}

impl ExitWatch {
    /// Waits for the end and says how it was; may be called again and then answers at once.
    ///
    /// Cancelling it loses nothing. Works for children of before an `execve` too.
    pub async fn wait(&mut self) -> SessionOutcome {
        if let Some(outcome) = &self.outcome {
            return outcome.clone();
        }
        let outcome = match &mut self.how {
            How::Child(signals) => reap(self.state.pid, signals).await,
            How::Adopted(told) => told.await.unwrap_or_else(|_| unseen()),
        };
        self.state.ended.store(true, Ordering::Release);
        self.outcome = Some(outcome.clone());
        outcome
    }
}

async fn reap(pid: Pid, signals: &mut tokio::signal::unix::Signal) -> SessionOutcome {
    loop {
        match rustix::process::waitpid(Some(pid), WaitOptions::NOHANG) {
            Ok(Some((_, status))) => return outcome(status),
            Ok(None) => {}
            Err(Errno::INTR) => continue,
            Err(_) => return unseen(),
        }
        if signals.recv().await.is_none() {
            return unseen();
        }
    }
}

fn outcome(status: rustix::process::WaitStatus) -> SessionOutcome {
    if let Some(code) = status.exit_status() {
        return SessionOutcome::Exited(code as u8);
    }
    match status.terminating_signal() {
        Some(signal) => SessionOutcome::Signalled(signal as u8),
        None => unseen(),
    }
}

fn unseen() -> SessionOutcome {
    SessionOutcome::Failed("the command ended while nobody could see how".to_owned())
}
