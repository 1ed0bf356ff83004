//! How soon output is read again: an answer at once, a trickle several pieces at a time.
//!
//! A program that prints a line every few milliseconds would cost agent, site and console a frame, two
//! encryptions and three processes woken for each of its lines, which nobody can read so fast. Mosh and
//! tmux pace a screen in the same way.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::session::Session;

/// Bytes in one read that are no trickle any more: the process may soon wait for us.
const TRICKLE_MAX: usize = 2 * 1024;

/// Between two reads of a trickle: thirty a second.
const PAUSE: Duration = Duration::from_millis(33);

/// How long after input output counts as its answer, and how long after much output more of it is expected:
/// whoever prints fast is often found with little, just after a read.
const LIVELY: Duration = Duration::from_millis(250);

/// When the operator was last at work.
#[derive(Default)]
pub struct Typed {
    at: Option<Instant>,
}

impl Typed {
    /// Input reached the remote process now.
    pub fn note(&mut self, told: &Notify) {
        self.at = Some(Instant::now());
        told.notify_one();
    }
}

/// Decides how soon one process is read again.
#[derive(Default)]
pub struct Pace {
    much_at: Option<Instant>,
}

impl Pace {
    /// Whether what follows a read of that many bytes may wait for the next turn.
    pub fn waits(&mut self, session: &Session, read: usize) -> bool {
        let typed_at = session.state().typed.at;
        self.may_wait(read, typed_at, Instant::now())
    }

    fn may_wait(&mut self, read: usize, typed_at: Option<Instant>, now: Instant) -> bool {
        if read >= TRICKLE_MAX {
            self.much_at = Some(now);
        }
        let lively_at = self.much_at.max(typed_at);
        read > 0 && lively_at.is_none_or(|at| now.duration_since(at) > LIVELY)
    }
}

/// When a trickle is read again. One moment for all sessions: an endpoint on which fifty programs print wakes
/// once for them, not once for each.
fn next_turn() -> Instant {
    static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);
    let turns = FIRST.elapsed().as_nanos() / PAUSE.as_nanos() + 1;
    *FIRST + PAUSE * u32::try_from(turns).unwrap_or(u32::MAX)
}

/// Waits for the next turn; no longer than until input comes.
pub async fn rest(session: &Session) {
    tokio::select! {
        () = tokio::time::sleep_until(next_turn()) => {}
        () = session.typed.notified() => {}
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Pace;

    #[test]
    fn only_a_trickle_that_answers_nobody_waits() {
        let (mut pace, begun) = (Pace::default(), Instant::now());
        let at = |ms| begun + Duration::from_millis(ms);
        for (ms, read, typed_at, waits) in [
            (0, 10, None, true),
            (33, 2047, None, true),
            // The end of the output.
            (40, 0, None, false),
            (66, 10, Some(66), false),
            (300, 10, Some(66), false),
            (350, 10, Some(66), true),
            (400, 2048, Some(66), false),
            // A fast one's first line after the read that emptied its pipe.
            (401, 10, Some(66), false),
            (600, 128 * 1024, Some(66), false),
            (840, 10, Some(66), false),
            (860, 10, Some(66), true),
            (870, 10, Some(865), false),
        ] {
            let may_wait = pace.may_wait(read, typed_at.map(at), at(ms));
            assert_eq!(may_wait, waits, "{read} bytes after {ms} ms");
        }
    }
}
