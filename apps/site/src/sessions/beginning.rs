//! Begins recordings: on a thread that may wait for the disk, and not for ever.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::SessionId;
use session::{Refused, RefusedCode};
use terminal::{Header, Recorder, RecorderError};
use tokio::sync::{Semaphore, oneshot};

use super::why;

/// How long the disk may take; then the operator hears why no session comes.
const LIMIT: Duration = Duration::from_secs(10);

/// Recordings that are begun at the same time, at most. On a disk that stands still each holds a thread, and
/// other work needs threads too.
const AT_ONCE: usize = 16;

/// Where recordings are begun.
pub(super) struct Beginnings {
    dir: PathBuf,
    turns: Arc<Semaphore>,
}

impl Beginnings {
    /// Of recordings in that folder.
    pub fn of(dir: PathBuf) -> Self {
        Self { dir, turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Begins the recording of a new session; `None` when there is one already.
    pub async fn begin(&self, id: SessionId, header: Header) -> Result<Option<Recorder>, Refused> {
        let (answer, begun) = oneshot::channel();
        let (dir, turns) = (self.dir.clone(), self.turns.clone());
        tokio::spawn(async move {
            let turn = turns.acquire_owned().await;
            tokio::task::spawn_blocking(move || {
                begin_now(&dir, id, &header, answer);
                drop(turn);
            });
        });
        match tokio::time::timeout(LIMIT, begun).await {
            Ok(Ok(Ok(recorder))) => Ok(Some(recorder)),
            Ok(Ok(Err(RecorderError::Exists(_) | RecorderError::HeldElsewhere(_)))) => Ok(None),
            Ok(Ok(Err(error))) => Err(not_recorded(&why(error))),
            Ok(Err(_)) => Err(not_recorded("the thread that begins it ended")),
            Err(_) => Err(not_recorded(&format!("the disk has not answered for {LIMIT:?}"))),
        }
    }
}

fn begin_now(
    dir: &Path,
    id: SessionId,
    header: &Header,
    answer: oneshot::Sender<Result<Recorder, RecorderError>>,
) {
    if answer.is_closed() {
        return;
    }
    if let Err(Ok(too_late)) = answer.send(Recorder::create(dir, id, header)) {
        // Nothing happened in it, and nobody knows of it.
        let (cast, chain) = terminal::recorder::paths(dir, id);
        let _ = std::fs::remove_file(cast);
        let _ = std::fs::remove_file(chain);
        drop(too_late);
    }
}

fn not_recorded(reason: &str) -> Refused {
    tracing::error!(reason, "Recording cannot be begun");
    let text =
        "the session cannot be recorded, so it is not opened; the appliance's disk needs attention";
    Refused::new(RefusedCode::Failed, text)
}
