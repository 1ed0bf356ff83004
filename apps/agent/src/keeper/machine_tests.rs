use model::Release;

use super::*;

const LIMITS: KeeperConfig = KeeperConfig {
    prove_ms: 120_000,
    silent_ms: 15_000,
    watchdog_ms: 300_000,
    restart_min_ms: 250,
    restart_max_ms: 30_000,
};

fn at(seconds: u64) -> Now {
    Now { up: Duration::from_secs(seconds), at: Timestamp::from_secs(1_000_000 + seconds) }
}

fn version(n: u32) -> Installed {
    Installed { release: Release::new(1, n.into(), 0, n), sha256: format!("{n:064}") }
}

/// A keeper whose version 0 runs and reached the site at second 1.
fn running() -> Keeper {
    let mut keeper = Keeper::recover(Ledger::new(Slot::A, version(0)), at(0));
    assert_eq!(step(&mut keeper, Event::Tick, 0), [Effect::Start(Slot::A)]);
    assert_eq!(step(&mut keeper, Event::Proven, 1), [Effect::DropSessions, Effect::Committed]);
    keeper
}

fn step(keeper: &mut Keeper, event: Event, seconds: u64) -> Vec<Effect> {
    let Transition { next, effects } = keeper.on(event, at(seconds), &LIMITS);
    *keeper = next;
    effects
}

fn on_trial() -> Keeper {
    let mut keeper = running();
    assert_eq!(step(&mut keeper, Event::Begin(version(1)), 10), [Effect::Answer(Ok(()))]);
    keeper
}

#[test]
fn a_proven_version_is_the_current_one() {
    let mut keeper = on_trial();
    assert_eq!(step(&mut keeper, Event::Proven, 12), [Effect::DropSessions, Effect::Committed]);
    assert_eq!((keeper.ledger.current, &keeper.ledger.installed), (Slot::B, &version(1)));
    assert_eq!((&keeper.ledger.other, &keeper.ledger.trial), (&Some(version(0)), &None));
}

// req: CLI-09
#[test]
fn a_crash_puts_the_version_before_back_and_pins_the_new_one() {
    let mut keeper = on_trial();
    let crash = Event::Ended("it ended by SIGSEGV".into());
    assert_eq!(step(&mut keeper, crash, 11), [Effect::Start(Slot::A)]);
    assert_eq!(keeper.ledger.untold.as_ref().expect("told").reason, "it ended by SIGSEGV");
    step(&mut keeper, Event::Proven, 12);
    let refused = step(&mut keeper, Event::Begin(version(1)), 13);
    let [Effect::Answer(Err(reason))] = &refused[..] else { panic!("{refused:?}") };
    assert_eq!(
        reason,
        "1.1.0 (rev 1) was put back before (it ended by SIGSEGV) and is not tried again until told"
    );
    step(&mut keeper, Event::Forget(version(1).sha256), 14);
    assert_eq!(step(&mut keeper, Event::Begin(version(1)), 15), [Effect::Answer(Ok(()))]);
}

// req: CLI-09
#[test]
fn silence_on_trial_is_a_hang() {
    let mut keeper = on_trial();
    step(&mut keeper, Event::Heard, 12);
    assert_eq!(keeper.deadline(&LIMITS), Some(Duration::from_secs(27)));
    assert_eq!(step(&mut keeper, Event::Tick, 26), []);
    assert_eq!(step(&mut keeper, Event::Tick, 27), [Effect::Kill]);
    let gone = Event::Ended("it ended by SIGKILL".into());
    assert_eq!(step(&mut keeper, gone, 27), [Effect::Start(Slot::A)]);
    let failure = keeper.ledger.is_bad(&version(1).sha256).expect("bad");
    assert_eq!(failure.reason, "it hung: it said nothing for 15 s");
}

fn unreached() -> Keeper {
    let mut keeper = on_trial();
    for second in (20..130).step_by(10) {
        assert_eq!(step(&mut keeper, Event::Heard, second), []);
        assert_eq!(step(&mut keeper, Event::Tick, second), []);
    }
    assert_eq!(step(&mut keeper, Event::Tick, 130), [Effect::Kill]);
    assert_eq!(step(&mut keeper, Event::Ended("killed".into()), 130), [Effect::Start(Slot::A)]);
    assert_eq!(keeper.ledger.untold, None, "not judged yet");
    keeper
}

// req: CLI-09
#[test]
fn a_version_that_does_not_reach_the_site_is_bad_when_the_one_before_does() {
    let mut keeper = unreached();
    step(&mut keeper, Event::Proven, 131);
    let failure = keeper.ledger.is_bad(&version(1).sha256).expect("bad");
    assert_eq!(failure.reason, "it did not reach the site within 120 s");
    assert_eq!(keeper.ledger.untold.as_ref(), Some(failure));
}

// req: CLI-09
#[test]
fn a_version_that_fails_its_self_test_is_put_back_with_that_reason() {
    let mut keeper = on_trial();
    assert_eq!(step(&mut keeper, Event::Unfit("no terminal".into()), 11), [Effect::Kill]);
    assert_eq!(step(&mut keeper, Event::Ended("killed".into()), 11), [Effect::Start(Slot::A)]);
    assert_eq!(keeper.ledger.is_bad(&version(1).sha256).expect("bad").reason, "no terminal");
    assert_eq!(
        step(&mut keeper, Event::Unfit("no terminal".into()), 12),
        [],
        "the current one stays"
    );
}

// req: CLI-09
#[test]
fn when_the_version_before_cannot_reach_it_either_nothing_is_pinned() {
    let mut keeper = unreached();
    step(&mut keeper, Event::Heard, 240);
    assert_eq!(keeper.deadline(&LIMITS), Some(Duration::from_secs(250)));
    assert_eq!(step(&mut keeper, Event::Tick, 250), []);
    assert!(keeper.ledger.is_bad(&version(1).sha256).is_none());
    let untold = keeper.ledger.untold.clone().expect("told later");
    assert!(untold.reason.contains("the network is to blame") && !untold.pinned);
    step(&mut keeper, Event::Proven, 900);
    assert_eq!(step(&mut keeper, Event::Begin(version(1)), 901), [Effect::Answer(Ok(()))]);
}

#[test]
fn a_failed_exec_goes_on_as_it_was() {
    let mut keeper = on_trial();
    let abort = Event::Abort("it cannot be executed".into());
    assert_eq!(step(&mut keeper, abort, 11), [Effect::DropSessions]);
    assert_eq!(keeper.slot(), Slot::A);
    assert!(keeper.ledger.is_bad(&version(1).sha256).is_some());
    assert_eq!(step(&mut keeper, Event::Begin(version(2)), 12), [Effect::Answer(Ok(()))]);
}

#[test]
fn a_trial_survives_one_power_cut_and_not_two() {
    let mut keeper = Keeper::recover(on_trial().ledger, at(0));
    assert_eq!(step(&mut keeper, Event::Tick, 0), [Effect::Start(Slot::B)]);
    let mut keeper = Keeper::recover(keeper.ledger, at(0));
    assert_eq!(step(&mut keeper, Event::Tick, 0), [Effect::Start(Slot::A)]);
    assert!(keeper.ledger.is_bad(&version(1).sha256).is_some());
}

#[test]
fn crashes_of_the_current_version_are_restarted_ever_more_slowly() {
    let mut keeper = running();
    let crash = || Event::Ended("it ended by SIGABRT".into());
    let mut waits = Vec::new();
    for round in 0..9 {
        let second = 100 * (round + 1);
        step(&mut keeper, crash(), second);
        let due = keeper.deadline(&LIMITS).expect("a restart");
        waits.push(due.saturating_sub(Duration::from_secs(second)).as_millis());
        step(&mut keeper, Event::Tick, second + 50);
    }
    assert_eq!(waits, [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
    step(&mut keeper, Event::Tick, 1000);
    step(&mut keeper, Event::Proven, 1001);
    step(&mut keeper, crash(), 1100);
    assert_eq!(keeper.deadline(&LIMITS), Some(Duration::from_millis(1_100_250)), "it was steady");
}

#[test]
fn a_current_version_that_does_not_run_any_more_gives_way_to_the_one_before() {
    let mut keeper = on_trial();
    step(&mut keeper, Event::Proven, 12);
    for round in 0..3 {
        step(&mut keeper, Event::Ended("its file in slot b is damaged".into()), 20 + round);
        step(&mut keeper, Event::Tick, 20 + round + 1);
    }
    assert_eq!((keeper.slot(), &keeper.ledger.installed), (Slot::A, &version(0)));
}

// req: CLI-09
#[test]
fn a_proven_version_that_keeps_crashing_is_put_back_and_pinned() {
    let mut keeper = on_trial();
    step(&mut keeper, Event::Proven, 12);
    for round in 0..3 {
        assert_eq!(keeper.slot(), Slot::B);
        step(&mut keeper, Event::Ended("it ended by SIGSEGV".into()), 20 + 10 * round);
        step(&mut keeper, Event::Tick, 25 + 10 * round);
        step(&mut keeper, Event::Proven, 26 + 10 * round);
    }
    assert_eq!((keeper.slot(), &keeper.ledger.installed), (Slot::A, &version(0)));
    let failure = keeper.ledger.is_bad(&version(1).sha256).expect("bad");
    assert_eq!(failure.reason, "it ended 3 times soon after its start: it ended by SIGSEGV");
    assert_eq!(keeper.ledger.untold.as_ref(), Some(failure), "the site is told");
}

/// Walks everything that can be reached in a few steps and holds the rules in each state.
#[test]
fn every_reachable_state_keeps_the_rules() {
    let events = [
        Event::Begin(version(1)),
        Event::Begin(version(2)),
        Event::Abort("no".into()),
        Event::Heard,
        Event::Proven,
        Event::Unfit("no terminal".into()),
        Event::Ended("crash".into()),
        Event::Forget(version(1).sha256),
        Event::Told,
        Event::Tick,
    ];
    let mut seen: Vec<(Keeper, u64)> = vec![(running(), 1)];
    let mut edge = seen.clone();
    for _ in 0..6 {
        let mut reached = Vec::new();
        for (keeper, second) in &edge {
            for (event, pause) in events.iter().flat_map(|e| [(e, 1), (e, 130), (e, 400)]) {
                let now = at(second + pause);
                let Transition { next, effects } = keeper.on(event.clone(), now, &LIMITS);
                check(keeper, &next, event, &effects);
                let recovered = Keeper::recover(next.ledger.clone(), now);
                assert!(matches!(recovered.process, Process::Down { .. }));
                let known = |(other, _): &(Keeper, u64)| same(other, &next);
                if !seen.iter().any(known) && !reached.iter().any(known) {
                    reached.push((next, second + pause));
                }
            }
        }
        seen.extend(reached.iter().cloned());
        edge = reached;
    }
    assert!(seen.len() > 80, "{} states", seen.len());
}

/// Equal but for times.
fn same(a: &Keeper, b: &Keeper) -> bool {
    let shape = |keeper: &Keeper| {
        let process = match &keeper.process {
            Process::Down { failures, .. } => (0, false, (*failures).min(4)),
            Process::Up { proven, failures, .. } => (1, *proven, (*failures).min(4)),
            Process::Ending { why: Verdict::Silent(_), failures } => (2, false, (*failures).min(4)),
            Process::Ending { why: Verdict::Unreached(_), failures } => {
                (3, false, (*failures).min(4))
            }
            Process::Ending { why: Verdict::Unfit(_), failures } => (4, false, (*failures).min(4)),
        };
        let ledger = &keeper.ledger;
        let names = |list: &[Failure]| list.iter().map(|f| f.sha256.clone()).collect::<Vec<_>>();
        let suspect = ledger.suspect.as_ref().map(|f| f.sha256.clone());
        (process, ledger.installed.clone(), ledger.trial.clone(), names(&ledger.bad), suspect)
    };
    shape(a) == shape(b)
}

fn check(before: &Keeper, next: &Keeper, event: &Event, effects: &[Effect]) {
    let ledger = &next.ledger;
    if let Some(trial) = &ledger.trial {
        assert!(ledger.is_bad(&trial.installed.sha256).is_none(), "a bad version is never tried");
        assert!(ledger.is_bad(&ledger.installed.sha256).is_none(), "there is a way back");
    }
    if before.ledger.trial.is_some() && ledger.trial.is_none() && *event != Event::Proven {
        assert_eq!(ledger.installed, before.ledger.installed, "back to where it was");
    }
    for effect in effects {
        match effect {
            Effect::Start(slot) => assert_eq!(*slot, next.slot()),
            Effect::Committed => assert!(ledger.trial.is_none()),
            Effect::Kill => assert!(matches!(next.process, Process::Ending { .. })),
            Effect::Answer(Ok(())) => assert!(ledger.trial.is_some()),
            Effect::Answer(Err(_)) => assert_eq!(ledger, &before.ledger),
            Effect::DropSessions => {}
        }
    }
    let waits = next.deadline(&LIMITS).is_some() || matches!(next.process, Process::Ending { .. });
    assert!(waits, "something always happens next");
}
