//! How slow a repository may be.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};

use crate::repository::{Body, FetchError, Place, Repository};

/// The least progress: so many bytes in every such while, or the end.
///
/// A download is never bounded by its total time: a slow line that goes on is no reason to give
/// up, and a repository that drips bytes to hold the client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The while.
    pub window: Duration,
    /// How many bytes must come in it.
    pub bytes: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { window: Duration::from_secs(30), bytes: 4096 }
    }
}

impl Pace {
    fn stalled(&self) -> FetchError {
        FetchError::Stalled { bytes: self.bytes, seconds: self.window.as_secs_f64() }
    }

    /// Opens a file; the first answer must come within one window.
    pub(crate) async fn open<R: Repository>(
        self,
        repository: &R,
        place: &Place,
        from: u64,
    ) -> Result<Paced, FetchError> {
        let deadline = Instant::now() + self.window;
        let opened = timeout_at(deadline, repository.open(place, from)).await;
        let body = opened.map_err(|_| self.stalled())??;
        Ok(Paced { pace: self, body, deadline: Instant::now() + self.window, in_window: 0 })
    }
}

/// A body that must keep the pace.
pub(crate) struct Paced {
    pace: Pace,
    body: Body,
    deadline: Instant,
    in_window: u64,
}

impl Paced {
    /// The offset of the first byte.
    pub(crate) fn from(&self) -> u64 {
        self.body.from
    }

    /// The next bytes, or nothing at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, FetchError> {
        let next = timeout_at(self.deadline, self.body.bytes.next()).await;
        let Some(bytes) = next.map_err(|_| self.pace.stalled())? else { return Ok(None) };
        let bytes = bytes?;
        self.in_window += bytes.len() as u64;
        if self.in_window >= self.pace.bytes {
            self.in_window = 0;
            self.deadline = Instant::now() + self.pace.window;
        }
        Ok(Some(bytes))
    }
}
