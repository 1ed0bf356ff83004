//! The upgrade queue as a pure machine: who is offered the site's version now, who waits, who failed.
//!
//! It is rebuilt from the clients that connect after a restart; nothing in it has to last.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use model::{AgentId, Timestamp};

/// Jump Clients that upgrade at the same time: a site's uplink and its disk stay free for sessions.
pub const AT_ONCE: usize = 20;

/// An upgrade of which nothing was heard for so long has failed. It is extended by each sign of
/// progress: a slow line is no failure.
pub const SILENCE: Duration = Duration::from_mins(5);

/// The wait after the first failure in a row, after the second, and so on; the last one stays.
const WAITS: [Duration; 4] = [
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(6),
];

/// Whether a client that failed is offered the version again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// By itself, after a wait.
    Later,
    /// Only when somebody at the endpoint says so: the version was put back there.
    WhenTold,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Offer the version to this client.
    Offer(AgentId),
    /// Note that this client was not heard of for too long.
    GaveUp(AgentId),
}

/// How a client stands in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// It waits, as the `position`th, from 1.
    Waiting(usize),
    /// It upgrades; how far, in words.
    Running(String),
    /// Its last try failed; `None` when it is not tried again by itself.
    Failed(Option<Timestamp>),
}

/// Who upgrades, who waits, who failed.
///
/// INVARIANT: a client is in at most one of `waiting`, `running` and `failed`.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: VecDeque<AgentId>,
    running: BTreeMap<AgentId, Running>,
    failed: BTreeMap<AgentId, Option<Timestamp>>,
    /// Failures in a row, of those that have any.
    failures: BTreeMap<AgentId, usize>,
}

#[derive(Debug)]
struct Running {
    heard: Timestamp,
    words: String,
}

impl Queue {
    /// A client that is older than the site is connected.
    ///
    /// One that was upgrading has a new link, on which it may not have heard the offer: it is next.
    pub fn arrived(&mut self, id: AgentId) {
        if self.running.remove(&id).is_some() {
            self.waiting.push_front(id);
        } else if !self.failed.contains_key(&id) && !self.waiting.contains(&id) {
            self.waiting.push_back(id);
        }
    }

    /// A client has no link any more; it comes back into the queue when it connects again.
    pub fn left(&mut self, id: AgentId) {
        self.waiting.retain(|waiting| *waiting != id);
    }

    /// The offer could not be made.
    pub fn not_reached(&mut self, id: AgentId) {
        self.running.remove(&id);
    }

    /// A client runs the site's version; whether it was on its way there.
    pub fn done(&mut self, id: AgentId) -> bool {
        let waited = self.waiting.len();
        self.left(id);
        let ran = self.running.remove(&id).is_some();
        let failed = self.failed.remove(&id).is_some();
        self.failures.remove(&id);
        ran || failed || self.waiting.len() < waited
    }

    /// A client says how far it is.
    pub fn progress(&mut self, id: AgentId, words: String, now: Timestamp) {
        if let Some(running) = self.running.get_mut(&id) {
            *running = Running { heard: now, words };
        }
    }

    /// A client says that it failed.
    pub fn failed(&mut self, id: AgentId, again: Again, now: Timestamp) {
        self.left(id);
        self.running.remove(&id);
        let count = self.failures.entry(id).or_default();
        let wait = WAITS[(*count).min(WAITS.len() - 1)];
        *count += 1;
        let next = (again == Again::Later).then(|| now.plus(wait));
        self.failed.insert(id, next);
    }

    /// Brings the queue to `now`; what it says is to be done once.
    pub fn steps(&mut self, now: Timestamp) -> Vec<Step> {
        let silent = |running: &Running| running.heard.plus(SILENCE) <= now;
        let silent: Vec<_> =
            self.running.iter().filter(|(_, r)| silent(r)).map(|(id, _)| *id).collect();
        for id in &silent {
            self.failed(*id, Again::Later, now);
        }
        let due = |next: &Option<Timestamp>| next.is_some_and(|next| next <= now);
        let due: Vec<_> = self.failed.extract_if(.., |_, next| due(next)).collect();
        self.waiting.extend(due.into_iter().map(|(id, _)| id));
        let mut steps: Vec<_> = silent.into_iter().map(Step::GaveUp).collect();
        while self.running.len() < AT_ONCE
            && let Some(id) = self.waiting.pop_front()
        {
            self.running.insert(id, Running { heard: now, words: String::new() });
            steps.push(Step::Offer(id));
        }
        steps
    }

    /// When [`Queue::steps`] has something to say next, if nothing happens before.
    pub fn next(&self) -> Option<Timestamp> {
        let silences = self.running.values().map(|running| running.heard.plus(SILENCE));
        silences.chain(self.failed.values().copied().flatten()).min()
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Everybody who is in it.
    pub fn places(&self) -> impl Iterator<Item = (AgentId, Place)> {
        let waiting = self.waiting.iter().enumerate();
        let waiting = waiting.map(|(index, id)| (*id, Place::Waiting(index + 1)));
        let running = self.running.iter();
        let running = running.map(|(id, running)| (*id, Place::Running(running.words.clone())));
        let failed = self.failed.iter().map(|(id, next)| (*id, Place::Failed(*next)));
        waiting.chain(running).chain(failed)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_290_000);

    fn id(n: u8) -> AgentId {
        AgentId::from_bytes([n; 16])
    }

    fn place(queue: &Queue, n: u8) -> Option<Place> {
        queue.places().find(|(each, _)| *each == id(n)).map(|(_, place)| place)
    }

    #[test]
    fn twenty_upgrade_at_once_and_the_others_know_their_place() {
        let mut queue = Queue::default();
        for n in 1..=25 {
            queue.arrived(id(n));
            queue.arrived(id(n));
        }
        let offered = queue.steps(NOW);
        assert_eq!(offered, (1..=20).map(|n| Step::Offer(id(n))).collect::<Vec<_>>());
        assert_eq!((place(&queue, 23), queue.waiting()), (Some(Place::Waiting(3)), 5));
        assert!(queue.done(id(7)) && !queue.done(id(7)));
        queue.left(id(22));
        assert_eq!(queue.steps(NOW), [Step::Offer(id(21))]);
        assert_eq!(place(&queue, 23), Some(Place::Waiting(1)));
        assert_eq!((place(&queue, 7), place(&queue, 22)), (None, None));
    }

    #[test]
    fn progress_extends_the_time_and_silence_is_a_failure_that_is_tried_again_later_and_later() {
        let mut queue = Queue::default();
        queue.arrived(id(1));
        let mut now = NOW;
        queue.steps(now);
        for percent in [10, 20, 30] {
            now = now.plus(SILENCE.saturating_sub(Duration::from_millis(1)));
            assert_eq!(queue.steps(now), [], "{percent} % in time");
            queue.progress(id(1), format!("{percent} %"), now);
        }
        assert_eq!(place(&queue, 1), Some(Place::Running("30 %".to_owned())));
        let mut waits = Vec::new();
        for _ in 0..6 {
            now = queue.next().expect("a deadline");
            assert_eq!(queue.steps(now), [Step::GaveUp(id(1))]);
            let next = queue.next().expect("another try");
            waits.push(next.since(now).as_secs() / 60);
            assert_eq!(place(&queue, 1), Some(Place::Failed(Some(next))));
            now = next;
            assert_eq!(queue.steps(now), [Step::Offer(id(1))]);
        }
        assert_eq!(waits, [5, 30, 120, 360, 360, 360]);
    }

    #[test]
    fn a_version_that_was_put_back_is_not_offered_again_however_often_the_client_connects() {
        let mut queue = Queue::default();
        queue.arrived(id(1));
        queue.steps(NOW);
        queue.failed(id(1), Again::WhenTold, NOW);
        queue.arrived(id(1));
        assert_eq!(queue.steps(NOW.plus(Duration::from_hours(1000))), []);
        assert_eq!((place(&queue, 1), queue.next()), (Some(Place::Failed(None)), None));
        // Somebody at the endpoint installed it by hand.
        assert!(queue.done(id(1)));
        assert_eq!(place(&queue, 1), None);
    }

    #[test]
    fn a_client_with_a_new_link_hears_the_offer_again_before_others() {
        let mut queue = Queue::default();
        for n in 1..=30 {
            queue.arrived(id(n));
        }
        queue.steps(NOW);
        queue.arrived(id(4));
        assert_eq!(queue.steps(NOW), [Step::Offer(id(4))]);
        queue.not_reached(id(4));
        assert_eq!(queue.steps(NOW), [Step::Offer(id(21))]);
    }

    /// Small numbers that look like chance.
    fn noise(state: &mut u64) -> u64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        *state >> 33
    }

    #[test]
    fn whatever_happens_nobody_is_lost_doubled_or_offered_beyond_the_limit() {
        let mut seed = 7;
        for _ in 0..200 {
            let (mut queue, mut now) = (Queue::default(), NOW);
            for _ in 0..400 {
                let who = id((noise(&mut seed) % 40) as u8);
                match noise(&mut seed) % 8 {
                    0..=2 => queue.arrived(who),
                    3 => queue.left(who),
                    4 => drop(queue.done(who)),
                    5 => queue.failed(who, Again::Later, now),
                    6 => queue.progress(who, String::new(), now),
                    _ => now = now.plus(Duration::from_secs(noise(&mut seed) % 400)),
                }
                queue.steps(now);
                let all: Vec<_> = queue.places().map(|(id, _)| id).collect();
                assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "{queue:?}");
                assert!(queue.running.len() <= AT_ONCE, "{queue:?}");
                assert!(queue.waiting.is_empty() || queue.running.len() == AT_ONCE, "{queue:?}");
                assert!(queue.next().is_none_or(|next| next > now), "{queue:?}");
            }
        }
    }
}
