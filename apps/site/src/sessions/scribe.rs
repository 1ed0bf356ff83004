//! Writes recordings on threads that may wait for the disk.
//!
//! A write that a full cache or a disk in trouble holds up would otherwise hold up a thread that relays,
//! and with it every session whose turn is there.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use super::session::Session;

/// Threads that write at the same time, at most. They share one disk, so more would only wait together.
const THREADS_MAX: usize = 4;

/// Sessions that wait for each thread at work before another one begins: to wake one costs more than most
/// writes.
const QUEUE_MAX: usize = 8;

/// How long recorded bytes may wait in memory, and acknowledgements with them. Never on the way of
/// a keystroke: bytes go to the console before they are recorded.
const SOON: Duration = Duration::from_millis(100);

/// Sessions that are due within this time are written in one go: a timer and a thread woken for each of
/// two hundred sessions, ten times a second, cost more than what they write.
const TOGETHER: Duration = Duration::from_millis(25);

/// Knows which sessions have something to write. Clones share the threads.
#[derive(Clone, Default)]
pub struct Scribe(Arc<Mutex<Queue>>);

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Arc<Session>>,
    at_work: usize,
    /// Sessions whose time comes, in its order.
    soon: VecDeque<(Instant, Arc<Session>)>,
    /// A task looks after them.
    ticking: bool,
}

/// Whether another thread is to begin.
const fn needs_hand(at_work: usize, waiting: usize) -> bool {
    at_work < THREADS_MAX && waiting > at_work * QUEUE_MAX
}

impl Scribe {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has what a session holds in memory written now.
    fn now(&self, session: Arc<Session>) {
        let mut queue = self.queue();
        queue.waiting.push_back(session);
        self.take_hand(&mut queue);
    }

    /// Has it written within [`SOON`], with that of others.
    fn soon(&self, session: Arc<Session>) {
        let mut queue = self.queue();
        queue.soon.push_back((Instant::now() + SOON, session));
        if !std::mem::replace(&mut queue.ticking, true) {
            tokio::spawn(self.clone().tick());
        }
    }

    /// Looks after those whose time comes, until there are none.
    async fn tick(self) {
        let mut ticks = tokio::time::interval(TOGETHER);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = ticks.tick().await;
            let mut queue = self.queue();
            while let Some((_, session)) = queue.soon.pop_front_if(|(due, _)| *due <= now) {
                if session.is_due() {
                    queue.waiting.push_back(session);
                }
            }
            self.take_hand(&mut queue);
            if queue.soon.is_empty() {
                queue.ticking = false;
                return;
            }
        }
    }

    fn take_hand(&self, queue: &mut Queue) {
        if needs_hand(queue.at_work, queue.waiting.len()) {
            queue.at_work += 1;
            let hand = Hand { scribe: self.clone(), counted: true };
            tokio::task::spawn_blocking(move || hand.work());
        }
    }
}

/// A thread at work.
struct Hand {
    scribe: Scribe,
    counted: bool,
}

impl Hand {
    fn work(mut self) {
        while let Some(session) = self.next() {
            session.write();
        }
    }

    fn next(&mut self) -> Option<Arc<Session>> {
        let mut queue = self.scribe.queue();
        let next = queue.waiting.pop_front();
        if next.is_none() {
            // In one go with the look: who asks from now on takes another hand.
            queue.at_work -= 1;
            self.counted = false;
        }
        next
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        if self.counted {
            // It panicked over one session; the others are written all the same.
            let mut queue = self.scribe.queue();
            queue.at_work -= 1;
            self.scribe.take_hand(&mut queue);
        }
    }
}

/// Where a session stands with the scribe.
pub(super) struct Writing {
    scribe: Scribe,
    /// It stands among those that are written next.
    next: AtomicBool,
    /// It stands among those whose time comes.
    soon: AtomicBool,
}

impl Writing {
    /// Nothing to write yet.
    pub fn by(scribe: Scribe) -> Self {
        Self { scribe, next: AtomicBool::new(false), soon: AtomicBool::new(false) }
    }
}

impl Session {
    /// Has what waits written within a moment.
    pub(super) fn write_soon(self: &Arc<Self>) {
        if !self.writing.soon.load(Ordering::Acquire)
            && !self.writing.soon.swap(true, Ordering::AcqRel)
        {
            self.writing.scribe.soon(self.clone());
        }
    }

    /// Says whether it is to be written now that its time has come, and not already.
    fn is_due(&self) -> bool {
        self.writing.soon.store(false, Ordering::Release);
        !self.writing.next.swap(true, Ordering::AcqRel)
    }

    /// Has what waits written now.
    pub(super) fn write_next(self: &Arc<Self>) {
        if !self.writing.next.swap(true, Ordering::AcqRel) {
            self.writing.scribe.now(self.clone());
        }
    }

    /// Writes what waits, on a thread that may wait.
    fn write(&self) {
        // What comes from here on asks again.
        self.writing.next.store(false, Ordering::Release);
        let Some(recorder) = self.recorder() else { return };
        let written = recorder.flush();
        if let Some(behind) = recorder.behind() {
            tokio::task::spawn_blocking(|| behind.let_go());
        }
        self.note_written(written);
        self.written.notify_one();
    }

    /// Waits until what was recorded so far is written, or could not be.
    pub(super) async fn written_out(self: &Arc<Self>) {
        let session = self.clone();
        // One that panicked has written nothing, which is found by what is recorded.
        let _ = tokio::task::spawn_blocking(move || session.write()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::needs_hand;

    #[test]
    fn one_thread_writes_for_few_and_another_one_comes_when_many_wait() {
        for (at_work, waiting, another) in [
            (0, 0, false),
            (0, 1, true),
            (1, 1, false),
            (1, 8, false),
            (1, 9, true),
            (2, 16, false),
            (4, 400, false),
        ] {
            assert_eq!(needs_hand(at_work, waiting), another, "{at_work} at work, {waiting} wait");
        }
    }
}
