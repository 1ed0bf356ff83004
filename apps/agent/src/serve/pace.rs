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

/// Bytes in one read that are no trickle any more.
const TRICKLE_MAX: usize = 1024;

/// Between two reads of a trickle: thirty a second.
const PAUSE: Duration = Duration::from_millis(33);

/// How long after input output counts as its answer.
const ANSWER: Duration = Duration::from_millis(250);

/// Whether what follows `read` bytes may wait.
fn may_wait(read: usize, since_input: Option<Duration>) -> bool {
    (1..TRICKLE_MAX).contains(&read) && since_input.is_none_or(|since| since > ANSWER)
}

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

/// When a trickle is read again. One moment for all sessions: an endpoint on which fifty programs print wakes
/// once for them, not once for each.
fn next_turn() -> Instant {
    static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);
    let turns = FIRST.elapsed().as_nanos() / PAUSE.as_nanos() + 1;
    *FIRST + PAUSE * u32::try_from(turns).unwrap_or(u32::MAX)
}

/// Whether what follows a read of that many bytes may wait for the next turn.
pub fn waits(session: &Session, read: usize) -> bool {
    may_wait(read, session.state().typed.at.map(|at| at.elapsed()))
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

    use super::may_wait;

    #[test]
    fn only_a_trickle_that_answers_nobody_waits() {
        let (just_now, before) = (Some(Duration::from_millis(1)), Some(Duration::from_secs(1)));
        for (read, since_input, waits) in [
            (10, None, true),
            (10, before, true),
            (10, just_now, false),
            (0, None, false),
            (1023, None, true),
            (1024, None, false),
            (128 * 1024, None, false),
        ] {
            assert_eq!(may_wait(read, since_input), waits, "{read} bytes, {since_input:?}");
        }
    }
}
