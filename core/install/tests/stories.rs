//! Stories of single attempts, as the log would tell them.

mod common;

use common::{LATE, Machine, NOON, at, good_update, id, package, proof};
use model::{PackageKind, Timestamp};
use release::VerifiedPackage;
use sluis_core_install::{Effect, Event, Fault, Install, Ledger};
use std::time::Duration;

fn run(
    from: Machine,
    story: Vec<Event<VerifiedPackage>>,
    now: Timestamp,
) -> (Machine, Vec<String>) {
    let mut log = vec![];
    let end = story.into_iter().fold(from, |install, event| {
        let transition = install.on(event, &at(now)).expect("the story has no refused events");
        let effects = transition.effects.iter().map(|effect| {
            let text = format!("{effect:?}");
            text.split(['(', ' ']).next().unwrap_or_default().to_owned()
        });
        log.push(format!("{}: {}", transition.next.name(), effects.collect::<Vec<_>>().join(", ")));
        transition.next
    });
    (end, log)
}

#[test]
fn a_good_update_goes_through_every_state() {
    // req: UPD-03
    let (_, log) = run(Install::Idle, good_update(PackageKind::Site), NOON);
    assert_eq!(
        log,
        [
            "planned: Confirm",
            "fetching: Fetch",
            "verified: Unpack",
            "staged: Preflight",
            "preflight: Expand",
            "expanded: Prove",
            "switching-over: SwitchOver",
            "trial: Watch",
            "committed: Point, RecordCommit, Retire",
            "contracted: ",
        ]
    );
}

#[test]
fn a_version_that_crashes_in_its_trial_is_rolled_back_and_pinned() {
    // req: UPD-09
    let mut story = good_update(PackageKind::Site);
    story.truncate(8);
    story.push(Event::Failed(Fault::package("it crashed: signal 11", "wait")));
    story.push(Event::Reverted);
    let (end, log) = run(Install::Idle, story, NOON);
    assert_eq!(log[8..], ["rolling-back: Revert", "rolled-back: Pin"]);
    assert_eq!(end.safe(), Some(&package(PackageKind::Site, 1)));
}

#[test]
fn an_administrator_goes_back_to_the_kept_slot_without_fetching_or_migrating() {
    // req: UPD-10
    let (done, _) = run(Install::Idle, good_update(PackageKind::Site), NOON);
    let (to, from) = (package(PackageKind::Site, 1), package(PackageKind::Site, 2));
    let story = vec![
        Event::GoBack { id: id(2), to: to.clone(), from },
        Event::Proven,
        Event::Switched,
        Event::TrialPassed,
        Event::Retired,
    ];
    let (end, log) = run(done, story, NOON);
    assert_eq!(
        log,
        [
            "expanded: Prove",
            "switching-over: SwitchOver",
            "trial: Watch",
            "committed: Point, RecordCommit, Retire",
            "contracted: ",
        ]
    );
    assert_eq!(end.safe(), Some(&to));
}

#[test]
fn a_failed_preflight_is_abandoned_and_can_be_tried_again() {
    let mut story = good_update(PackageKind::Site);
    story.truncate(4);
    story.push(Event::Failed(Fault::host("too little disk", "make room")));
    let (end, log) = run(Install::Idle, story, NOON);
    assert_eq!(log[4], "abandoned: ");
    let again = end.on(common::chosen(PackageKind::Site), &at(NOON)).expect("again");
    assert!(matches!(again.effects[..], [Effect::Confirm(_)]));
}

#[test]
fn an_attempt_is_not_moved_by_another_package() {
    // req: UPD-11
    let mut story = good_update(PackageKind::Site);
    story.truncate(2);
    let (fetching, _) = run(Install::Idle, story, NOON);
    assert!(fetching.on(Event::Fetched(proof(PackageKind::Site, 3)), &at(NOON)).is_err());
}

#[test]
fn restarts_of_the_base_cost_tries_only_while_a_version_is_on_trial() {
    let mut story = good_update(PackageKind::Site);
    story.truncate(8);
    let (trial, _) = run(Install::Idle, story, NOON);
    let restarted = Event::Restarted { died: None };
    let once = trial.on(restarted.clone(), &at(LATE)).expect("a restart is always taken").next;
    assert!(matches!(once, Install::Trial { tries: 1, .. }));
    let twice = once.on(restarted.clone(), &at(LATE)).expect("a restart is always taken").next;
    assert!(matches!(twice, Install::RollingBack { .. }));
    let idle = Machine::Idle.on(restarted, &at(LATE)).expect("a restart is always taken");
    assert_eq!((idle.next, idle.effects), (Install::Idle, vec![]));
}

#[test]
fn two_versions_that_both_fail_lead_to_rescue_and_no_further_switching() {
    let mut story = good_update(PackageKind::Site);
    story.truncate(8);
    story.push(Event::Failed(Fault::package("it crashed", "wait")));
    story.push(Event::RevertFailed("the old version crashed too".into()));
    let (end, log) = run(Install::Idle, story, NOON);
    assert_eq!(log[9], "rescue: ");
    assert!(end.deadline().is_none());
    assert_eq!(end.on(Event::Recovered, &at(NOON)).expect("recovered").next, Install::Idle);
}

#[test]
fn the_floor_rises_after_the_soak_and_the_kept_slot_stays_reachable_until_then() {
    // req: UPD-10
    let (old, new) = (package(PackageKind::Site, 1), package(PackageKind::Site, 2));
    let soak = Duration::from_hours(1);
    let mut ledger = Ledger::default();
    ledger.commit(&new, Some(&old), NOON);
    ledger.commit(&new, Some(&old), LATE);
    assert!(!ledger.soaked(NOON.plus(soak / 2), soak));
    assert_eq!(ledger.floor(PackageKind::Site), None);
    assert!(ledger.soaked(NOON.plus(soak), soak), "a repeated commit does not begin the soak anew");
    assert_eq!(ledger.floor(PackageKind::Site), Some(&new.release));
    ledger.commit(&old, Some(&new), LATE);
    ledger.soaked(LATE.plus(soak), soak);
    assert_eq!(ledger.floor(PackageKind::Site), Some(&new.release), "a floor never falls");
}

#[test]
fn a_bad_version_stays_bad_with_its_first_reason() {
    // req: UPD-09
    let new = package(PackageKind::Site, 2);
    let mut ledger = Ledger::default();
    ledger.pin(&new, "it crashed", NOON);
    ledger.pin(&new, "another reason", LATE);
    assert_eq!(ledger.bad(&new).map(|bad| bad.reason.as_str()), Some("it crashed"));
    ledger.unpin(&new);
    assert_eq!(ledger.bad(&new), None);
}
