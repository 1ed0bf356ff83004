//! A session's bytes under seeded trouble: legs cut, relays killed, replaced and handed over, frames
//! lost and doubled, the disk full or without power.
//!
//! The ends are the real [`session::Outbox`], [`session::Inbox`] and frames; the relay between them
//! follows the rules of `docs/concepts/link.md` as plain code without a clock. After every step a
//! checker looks at all of it; in the end the trouble stops and everything must have arrived.
//! [`Rules`] can be taken away one by one, which shows that each is needed and that the checker sees
//! what goes wrong without it.

extern crate sluis_core_session as session;

mod ends;
mod relay;
mod wire;
mod world;

use relay::Rules;
use world::{Trouble, World};

/// Runs of one kind of trouble.
const SEEDS: u64 = 1000;

fn all_seeds(trouble: Trouble) {
    for seed in 0..SEEDS {
        if let Err(reason) = World::new(seed, trouble, Rules::ALL).run() {
            panic!("seed {seed} with {trouble:?}: {reason}");
        }
    }
}

#[test]
fn no_byte_is_lost_or_doubled_when_legs_break() {
    all_seeds(Trouble::Network);
}

#[test]
fn no_byte_is_lost_or_doubled_when_relays_are_handed_over() {
    all_seeds(Trouble::HandOver);
}

#[test]
fn no_byte_is_lost_or_doubled_when_relays_die() {
    all_seeds(Trouble::Crash);
}

#[test]
fn no_byte_is_lost_or_doubled_when_everything_happens_and_the_disk_is_full() {
    all_seeds(Trouble::Everything);
}

#[test]
fn a_power_cut_costs_the_console_nothing_and_the_recording_says_what_it_lost() {
    all_seeds(Trouble::Power);
}

#[test]
fn the_same_seed_is_the_same_story() {
    let story = |seed| World::new(seed, Trouble::Everything, Rules::ALL).run().expect("it ends");
    assert_eq!(story(7), story(7));
    assert_ne!(story(7), story(8));
}

#[test]
fn without_any_one_rule_something_goes_wrong() {
    for (name, rules) in Rules::each_taken_away() {
        let hurts =
            |trouble| (0..SEEDS).any(|seed| World::new(seed, trouble, rules).run().is_err());
        let found = hurts(Trouble::Everything) || hurts(Trouble::Network) || hurts(Trouble::Crash);
        assert!(found, "nothing needs the rule “{name}”");
    }
}
