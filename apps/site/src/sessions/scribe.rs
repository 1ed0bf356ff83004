//! Writes recordings on threads that may wait for the disk.
//!
//! A write that a full cache or a disk in trouble holds up would otherwise hold up a thread that relays,
//! and with it every session whose turn is there.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::session::Session;

/// Threads that write at the same time, at most. They share one disk, so more would only wait together.
const THREADS_MAX: usize = 4;

/// Sessions that wait for each thread at work before another one begins: to wake one costs more than most
/// writes.
const QUEUE_MAX: usize = 8;

/// Knows which sessions have something to write. Clones share the threads.
#[derive(Clone, Default)]
pub struct Scribe(Arc<Mutex<Queue>>);

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Arc<Session>>,
    at_work: usize,
}

/// Whether another thread is to begin.
const fn needs_hand(at_work: usize, waiting: usize) -> bool {
    at_work < THREADS_MAX && waiting > at_work * QUEUE_MAX
}

impl Scribe {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has what a session holds in memory written soon.
    pub(super) fn ask(&self, session: Arc<Session>) {
        let mut queue = self.queue();
        queue.waiting.push_back(session);
        self.take_hand(&mut queue);
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
