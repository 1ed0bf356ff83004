//! When a passive agent is at its site, as a pure machine.
//!
//! It checks in at start, when it is told to on its endpoint, and at the latest when a day has passed
//! without contact; it stays until its sessions are over and the site had time to give it work.
//! [`crate::agent`] walks it with the real clocks.

use std::time::Duration;

use model::Timestamp;

/// The longest nap between two looks at the clocks: a machine that was asleep, whose timers stood
/// still meanwhile, is not later than this.
pub const NAP_MAX: Duration = Duration::from_mins(10);

/// A moment by both clocks of the machine.
///
/// The steady one stands still while the machine sleeps; that on the wall may be set. What has
/// passed is what either of them says, so neither can put a check-in off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Since the program began.
    pub steady: Duration,
    /// By the clock on the wall.
    pub wall: Timestamp,
}

impl Moment {
    fn since(self, before: Self) -> Duration {
        self.steady.saturating_sub(before.steady).max(self.wall.since(before.wall))
    }
}

/// How things stand at the site, as far as leaving is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// A session runs, an update is being fetched, or this version is not proven yet.
    Some,
    /// The site was not reached, or the link is down.
    Unreached,
    /// Nothing is left to do.
    None,
}

/// Where a passive agent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the site, or on its way; when there was last something to do.
    Site { busy: Moment },
    /// Resting; for how long, up to the last look at the clocks.
    Away { waited: Duration, looked: Moment },
}

/// What follows from time and news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// Dial the site.
    Visit,
    /// Hang up.
    Leave,
}

/// When a passive agent comes and goes.
#[derive(Debug, Clone)]
pub struct CheckIn {
    /// From one contact to the next at most.
    every: Duration,
    /// How long it stays when there is nothing to do.
    stay: Duration,
    place: Place,
}

impl CheckIn {
    /// An agent that just started, so it is on its way to the site.
    pub fn new(every: Duration, stay: Duration, now: Moment) -> Self {
        Self { every, stay, place: Place::Site { busy: now } }
    }

    /// Something happened at the site, so it stays for a while again.
    pub fn busy(&mut self, now: Moment) {
        if let Place::Site { busy } = &mut self.place {
            *busy = now;
        }
    }

    /// Somebody at the endpoint wants it to check in.
    pub fn told(&mut self, now: Moment) -> Option<Move> {
        let away = matches!(self.place, Place::Away { .. });
        self.place = Place::Site { busy: now };
        away.then_some(Move::Visit)
    }

    /// Time has passed.
    pub fn tick(&mut self, work: Work, now: Moment) -> Option<Move> {
        match self.place {
            Place::Away { waited, looked } => {
                // Added up look by look: a clock that was set back once is believed again after it.
                let waited = waited + now.since(looked);
                let due = waited >= self.every;
                let away = Place::Away { waited, looked: now };
                self.place = if due { Place::Site { busy: now } } else { away };
                due.then_some(Move::Visit)
            }
            // Who was not reached is tried on and on.
            Place::Site { .. } if work != Work::None => {
                self.place = Place::Site { busy: now };
                None
            }
            Place::Site { busy } if now.since(busy) >= self.stay => {
                self.place = Place::Away { waited: Duration::ZERO, looked: now };
                Some(Move::Leave)
            }
            Place::Site { .. } => None,
        }
    }

    /// How long to wait for the next [`CheckIn::tick`], if nothing happens before.
    pub fn nap(&self, now: Moment) -> Duration {
        let left = match self.place {
            Place::Away { waited, looked } => self.every.saturating_sub(waited + now.since(looked)),
            Place::Site { busy } => self.stay.saturating_sub(now.since(busy)),
        };
        // Never none at all: a stay of zero would spin while there is work.
        left.clamp(Duration::from_millis(10), NAP_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);
    const STAY: Duration = Duration::from_secs(30);

    /// A machine with an agent on it, and clocks that somebody plays with.
    struct Endpoint {
        check_in: CheckIn,
        now: Moment,
        /// What has really passed.
        real: Duration,
        /// When there was last contact, really.
        contact: Duration,
        at_site: bool,
        visits: u32,
        noise: u64,
    }

    impl Endpoint {
        fn new(seed: u64) -> Self {
            let now = Moment { steady: Duration::ZERO, wall: Timestamp::from_secs(1_795_290_000) };
            Self {
                check_in: CheckIn::new(DAY, STAY, now),
                now,
                real: Duration::ZERO,
                contact: Duration::ZERO,
                at_site: true,
                visits: 1,
                noise: seed,
            }
        }

        fn chance(&mut self, of: u64) -> bool {
            self.number(of) == 0
        }

        fn number(&mut self, below: u64) -> u64 {
            self.noise = self.noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (self.noise >> 33) % below
        }

        fn awake(&mut self, time: Duration) {
            self.now.steady += time;
            self.now.wall = self.now.wall.plus(time);
            self.real += time;
        }

        fn asleep(&mut self, time: Duration) {
            self.now.wall = self.now.wall.plus(time);
            self.real += time;
        }

        fn follow(&mut self, next: Option<Move>) {
            match next {
                Some(Move::Visit) => {
                    assert!(!self.at_site, "it dials only from away");
                    self.at_site = true;
                    self.visits += 1;
                }
                Some(Move::Leave) => {
                    assert!(self.at_site, "it leaves only from the site");
                    self.at_site = false;
                }
                None => {}
            }
        }

        /// Waits as long as it wants to, and looks again.
        fn step(&mut self, work: Work) {
            let nap = self.check_in.nap(self.now);
            assert!(nap <= NAP_MAX);
            self.awake(nap);
            if self.at_site && work != Work::Unreached {
                self.contact = self.real;
            }
            let next = self.check_in.tick(work, self.now);
            self.follow(next);
        }
    }

    #[test]
    fn it_checks_in_at_start_and_leaves_when_there_is_nothing_to_do() {
        let mut endpoint = Endpoint::new(1);
        assert!(endpoint.at_site);
        endpoint.step(Work::None);
        assert!(!endpoint.at_site, "after {:?}", endpoint.real);
        assert_eq!(endpoint.real, STAY);
    }

    #[test]
    fn it_stays_while_a_session_runs_and_a_while_after_it() {
        let mut endpoint = Endpoint::new(1);
        for _ in 0..1000 {
            endpoint.step(Work::Some);
        }
        assert!(endpoint.at_site);
        let ended = endpoint.real;
        while endpoint.at_site {
            endpoint.step(Work::None);
        }
        assert_eq!(endpoint.real.saturating_sub(ended), STAY);
    }

    #[test]
    fn it_comes_at_once_when_it_is_told_to_and_telling_twice_is_no_second_visit() {
        let mut endpoint = Endpoint::new(1);
        endpoint.step(Work::None);
        endpoint.awake(Duration::from_secs(5));
        let next = endpoint.check_in.told(endpoint.now);
        endpoint.follow(next);
        assert_eq!((next, endpoint.visits), (Some(Move::Visit), 2));
        assert_eq!(endpoint.check_in.told(endpoint.now), None);
    }

    #[test]
    fn a_site_that_cannot_be_reached_is_tried_until_it_can() {
        let mut endpoint = Endpoint::new(1);
        while endpoint.real < 3 * DAY {
            endpoint.step(Work::Unreached);
            assert!(endpoint.at_site);
        }
        endpoint.step(Work::None);
        assert!(!endpoint.at_site);
    }

    // req: CLI-05
    #[test]
    fn whatever_the_clocks_do_a_day_without_contact_does_not_pass() {
        for seed in 0..40 {
            let mut endpoint = Endpoint::new(seed);
            while endpoint.real < 30 * DAY {
                if endpoint.chance(50) {
                    let hours = endpoint.number(20);
                    endpoint.asleep(Duration::from_hours(hours));
                } else if endpoint.chance(80) {
                    let days = endpoint.number(400) * 86_400;
                    let wall = endpoint.now.wall.as_secs();
                    // Set right, set wrong, set back by more than a year.
                    let set = if endpoint.chance(2) { wall - days } else { wall + days };
                    endpoint.now.wall = Timestamp::from_secs(set);
                }
                if endpoint.chance(60) {
                    let next = endpoint.check_in.told(endpoint.now);
                    endpoint.follow(next);
                    assert!(endpoint.at_site);
                }
                let work = if endpoint.chance(3) { Work::Some } else { Work::None };
                let before = endpoint.real;
                endpoint.step(work);
                let alone = endpoint.real.saturating_sub(endpoint.contact);
                // What it slept through, and one nap, come on top; a clock that is set while the
                // machine sleeps cannot be told from one that ran.
                let slack = Duration::from_hours(20) + NAP_MAX;
                assert!(endpoint.at_site || alone < DAY + slack, "{seed}: {alone:?} at {before:?}");
            }
            assert!(endpoint.visits >= 25, "{seed}: {} visits in 30 days", endpoint.visits);
        }
    }

    #[test]
    fn a_machine_that_slept_checks_in_within_a_nap_of_waking_up() {
        let mut endpoint = Endpoint::new(1);
        endpoint.step(Work::None);
        endpoint.awake(Duration::from_hours(2));
        endpoint.asleep(Duration::from_hours(23));
        let woke = endpoint.real;
        while !endpoint.at_site {
            endpoint.step(Work::None);
        }
        assert!(endpoint.real.saturating_sub(woke) <= NAP_MAX);
    }

    #[test]
    fn a_clock_that_is_set_back_puts_nothing_off() {
        let mut endpoint = Endpoint::new(1);
        endpoint.step(Work::None);
        endpoint.now.wall = Timestamp::from_secs(1_000_000_000);
        let left = endpoint.real;
        while !endpoint.at_site {
            endpoint.step(Work::None);
        }
        assert!(endpoint.real.saturating_sub(left) <= DAY);
    }
}
