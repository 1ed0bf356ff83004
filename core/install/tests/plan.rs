//! One wish, several packages: what a plan does after each way that a step can end, and after a restart anywhere.

mod common;

use std::collections::{HashSet, VecDeque};

use common::{LATE, NOON, at, events, id, package, proof};
use model::{AttemptId, PackageKind};
use release::VerifiedPackage;
use sluis_core_install::{
    Course, Disk, Event, Fault, Install, Moved, PackageRef, PlanState, Record, StepState, recover,
    write,
};

type Walk = Course<VerifiedPackage>;

fn steps() -> Vec<PackageRef> {
    vec![
        package(PackageKind::Base, 2),
        package(PackageKind::Site, 2),
        package(PackageKind::Site, 3),
    ]
}

fn begun() -> Walk {
    let from = Some(package(PackageKind::Base, 1));
    let moved = Walk::from(Install::Idle).begin(steps(), id(1), from, &at(NOON));
    moved.expect("nothing is under way").next
}

/// The attempt of the step after those that were begun.
fn next_id(course: &Walk) -> AttemptId {
    id(course.plan.as_ref().map_or(0, |plan| u8::try_from(plan.attempts.len()).expect("few")) + 1)
}

fn advance(course: &Walk) -> Option<Moved<VerifiedPackage>> {
    let from = course.next_step().map(|next| package(next.kind, 1));
    course.advance(next_id(course), from, &at(NOON))
}

/// The events that bring the step under way to its commit.
fn good(course: &Walk) -> Vec<Event<VerifiedPackage>> {
    let package = course.install.package().expect("a step is under way");
    let proof = [1, 2, 3].map(|n| proof(package.kind, n)).into_iter();
    let proof = proof.clone().find(|proof| proof.reference() == package).expect("known");
    vec![
        Event::Confirmed,
        Event::Fetched(proof),
        Event::Unpacked,
        Event::PreflightPassed,
        Event::Expanded,
        Event::Proven,
        Event::Switched,
        Event::TrialPassed,
        Event::Retired,
    ]
}

fn after(course: &Walk, events: Vec<Event<VerifiedPackage>>) -> Walk {
    events.into_iter().fold(course.clone(), |course, event| {
        course.on(event, &at(NOON)).expect("the story has no refused events").next
    })
}

fn standing(course: &Walk) -> Vec<StepState> {
    course.plan.as_ref().expect("a plan").standing().map(|(_, state)| state).collect()
}

#[test]
fn a_plan_goes_from_commit_to_commit_until_everything_is_installed() {
    // req: UPD-04
    let mut course = begun();
    for step in 1..=3 {
        assert_eq!(course.plan.as_ref().expect("a plan").place(), (step, 3));
        assert_eq!(course.install.package(), Some(steps()[step - 1].clone()));
        course = after(&course, good(&course));
        assert!(!course.at_rest(), "between two steps nobody else begins anything");
        course = advance(&course).expect("a committed step is followed by something").next;
    }
    assert_eq!(course.plan.as_ref().expect("a plan").state, PlanState::Finished);
    assert_eq!(standing(&course), [StepState::Done; 3]);
    assert!(course.at_rest() && advance(&course).is_none());
}

#[test]
fn a_step_that_fails_stops_the_plan_and_takes_nothing_back() {
    let course = after(&begun(), good(&begun()));
    let course = advance(&course).expect("the second step").next;
    let mut story = good(&course);
    story.truncate(7);
    story.push(Event::Failed(Fault::package("it crashed", "wait")));
    story.push(Event::Reverted);
    let course = advance(&after(&course, story)).expect("the end of the plan").next;
    let plan = course.plan.as_ref().expect("a plan");
    assert!(matches!(&plan.state, PlanState::Stopped { fault } if fault.text == "it crashed"));
    assert_eq!(standing(&course), [StepState::Done, StepState::Failed, StepState::Waiting]);
    assert!(matches!(course.install, Install::RolledBack { .. }), "{course:?}");
    assert!(course.at_rest());
    // Whatever is begun next has nothing to do with it.
    let chosen = course.on(common::chosen(PackageKind::Site), &at(NOON)).expect("at rest");
    assert_eq!(chosen.next.plan, None);
}

#[test]
fn an_administrator_who_calls_it_off_ends_the_whole_plan() {
    let course = after(&begun(), vec![Event::Confirmed, Event::Cancelled]);
    let course = advance(&course).expect("the end of the plan").next;
    assert_eq!(standing(&course), [StepState::Failed, StepState::Waiting, StepState::Waiting]);
}

/// Every course that any order of events and steps can lead to.
fn reachable(from: Walk) -> HashSet<Walk> {
    let (mut seen, mut todo) = (HashSet::new(), VecDeque::from([from]));
    while let Some(course) = todo.pop_front() {
        if !seen.insert(course.clone()) {
            continue;
        }
        todo.extend(advance(&course).map(|moved| moved.next));
        let package = course.install.package();
        let fetched = package.map(|package| proof(package.kind, package.release.version.patch));
        let events = [PackageKind::Base, PackageKind::Site].into_iter().flat_map(events);
        for event in events.chain(fetched.map(Event::Fetched)) {
            // What begins something else is no part of this plan.
            if matches!(event, Event::Chosen { .. } | Event::GoBack { .. }) && course.at_rest() {
                continue;
            }
            for now in [NOON, LATE] {
                todo.extend(course.on(event.clone(), &at(now)).ok().map(|moved| moved.next));
            }
        }
    }
    seen
}

#[test]
fn wherever_a_plan_stands_it_can_finish_or_has_stopped_with_a_reason() {
    // req: UPD-08
    let all = reachable(begun());
    let running = all.iter().filter(|course| course.walks()).count();
    assert!(running > 100, "{running} courses in the middle of a plan");
    for course in &all {
        let plan = course.plan.as_ref().expect("a plan stays until something else begins");
        assert!((1..=3).contains(&plan.attempts.len()), "{plan:?}");
        let rests = course.install.at_rest() && plan.is_running();
        assert_eq!(advance(course).is_some(), rests, "{course:?}");
        if let PlanState::Stopped { fault } = &plan.state {
            assert!(!fault.text.is_empty() && !fault.remedy.is_empty(), "{plan:?}");
        }
    }
}

#[test]
fn nothing_else_begins_in_the_middle_of_a_plan() {
    for course in reachable(begun()) {
        let chosen = course.on(common::chosen(PackageKind::Site), &at(NOON));
        assert_eq!(chosen.is_ok(), course.at_rest(), "{course:?}");
        let planned = course.begin(steps(), id(9), None, &at(NOON));
        assert_eq!(planned.is_ok(), course.at_rest(), "{course:?}");
    }
}

#[test]
fn a_restart_at_any_point_goes_on_with_the_same_plan() {
    // req: UPD-08
    let mut restarts = 0;
    for course in reachable(begun()) {
        let saved = course.saved();
        let record = Record { n: 1, at: NOON, install: saved.install, plan: saved.plan };
        let bytes = write(&record).expect("a record is JSON");
        let read = sluis_core_install::read(&bytes).expect("a journal").last.expect("a record");
        assert_eq!(read, record);
        for whole in [true, false] {
            let slots = [(PackageKind::Base, 1), (PackageKind::Base, 2), (PackageKind::Site, 1)];
            let slots = slots.into_iter().chain([(PackageKind::Site, 2), (PackageKind::Site, 3)]);
            let slots = slots.map(|(kind, n)| package(kind, n).sha256.to_string());
            let disk = Disk { slots: slots.filter(|_| whole).collect(), ..Disk::default() };
            let Course { install, plan } = read.clone().course();
            let (install, _) = recover(Some(install), &disk);
            let install =
                install.prove(|package| Ok(proof(package.kind, package.release.version.patch)));
            let again = Course { install, plan };
            assert_eq!(again.plan, course.plan);
            if again.install == course.install {
                assert_eq!(advance(&again), advance(&course), "the same follows");
            } else if again.walks() && again.install.at_rest() {
                let stopped = advance(&again).expect("it does not wait for ever");
                assert!(!stopped.next.walks() || whole, "{again:?}");
            }
            restarts += 1;
        }
    }
    assert!(restarts > 500, "{restarts} restarts");
}

#[test]
fn a_plan_has_two_steps_or_more_and_an_end() {
    let idle = Walk::from(Install::Idle);
    assert!(idle.begin(steps()[..1].to_vec(), id(1), None, &at(NOON)).is_err());
    let endless = vec![package(PackageKind::Site, 2); sluis_core_install::PLAN_STEPS_MAX + 1];
    assert!(idle.begin(endless, id(1), None, &at(NOON)).is_err());
}
