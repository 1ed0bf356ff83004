use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// Output after which the site hears that it was shown, at the latest.
const ACK_EVERY: u64 = 128 * 1024;

/// And how long after it was shown, at the latest.
const ACK_AFTER: Duration = Duration::from_secs(1);

/// When the site hears how much of its output was shown.
pub(super) struct Acks {
    acked: u64,
    is_due: bool,
    /// One for all of them: setting one up for each frame costs a keystroke more than its text does.
    timer: Pin<Box<Sleep>>,
}

impl Acks {
    /// Of a leg that begins when so much was shown and said.
    pub(super) fn behind(acked: u64) -> Self {
        Self { acked, is_due: false, timer: Box::pin(tokio::time::sleep(ACK_AFTER)) }
    }

    /// Waits until one has been due for long enough.
    pub(super) async fn due(&mut self) {
        if self.is_due {
            self.timer.as_mut().await;
        } else {
            std::future::pending::<()>().await;
        }
    }

    /// So much is shown: answers what to say at once, if that is much.
    pub(super) fn shown(&mut self, shown: u64) -> Option<u64> {
        if shown - self.acked >= ACK_EVERY {
            return Some(self.say(shown));
        }
        if shown > self.acked && !self.is_due {
            self.is_due = true;
            self.timer.as_mut().reset(Instant::now() + ACK_AFTER);
        }
        None
    }

    /// So much is said now.
    pub(super) const fn say(&mut self, shown: u64) -> u64 {
        self.acked = shown;
        self.is_due = false;
        shown
    }
}
