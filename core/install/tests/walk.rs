//! What holds in every state that any order of events can lead to.

mod common;

use common::{LATE, NOON, at, events, package, proof, reachable};
use model::PackageKind;
use sluis_core_install::{
    Blame, Disk, Effect, Event, Fault, Install, Kept, PackageRef, Subject, recover,
};

const KINDS: [PackageKind; 3] = [PackageKind::Base, PackageKind::Site, PackageKind::License];

#[test]
fn every_state_can_come_to_rest() {
    // req: UPD-08
    for kind in KINDS {
        for install in reachable(Install::Idle, kind) {
            let ends = reachable(install.clone(), kind);
            assert!(
                ends.iter().any(|end| matches!(end, Install::Contracted { .. })),
                "{install:?}"
            );
        }
    }
}

#[test]
fn nothing_is_begun_while_something_is_under_way() {
    for kind in KINDS {
        for install in reachable(Install::Idle, kind) {
            let begun = install.on(common::chosen(kind), &at(NOON));
            assert_eq!(begun.is_ok(), install.at_rest(), "{install:?}");
        }
    }
}

#[test]
fn the_version_that_served_stays_safe_until_the_commit() {
    for kind in KINDS {
        for install in reachable(Install::Idle, kind) {
            let points = install.resume().into_iter().any(|e| matches!(e, Effect::Point { .. }));
            assert_eq!(points, matches!(install, Install::Committed { .. }), "{install:?}");
            if let (Some(attempt), false) = (install.attempt(), points) {
                let done = matches!(install, Install::Contracted { .. });
                assert!(done || install.safe() == attempt.from.as_ref(), "{install:?}");
            }
        }
    }
}

#[test]
fn only_what_is_the_packages_fault_is_pinned() {
    // req: UPD-09
    for install in reachable(Install::Idle, PackageKind::Site) {
        let pins = install.resume().into_iter().any(|e| matches!(e, Effect::Pin { .. }));
        let blamed = matches!(
            &install,
            Install::RolledBack { fault: Fault { blame: Blame::Package, .. }, .. }
        );
        assert_eq!(pins, blamed, "{install:?}");
    }
}

#[test]
fn silence_past_a_deadline_always_leads_back() {
    // req: UPD-09
    for install in reachable(Install::Idle, PackageKind::Site) {
        let Some(until) = install.deadline() else { continue };
        let early = install.on(Event::Tick, &at(model::Timestamp(until.0 - 1)));
        assert_eq!(early.expect("a tick is expected here").next, install);
        let late = install.on(Event::Tick, &at(until)).expect("a tick is expected here");
        assert!(matches!(late.next, Install::RollingBack { .. }), "{install:?}");
    }
}

#[test]
fn a_license_restarts_nothing() {
    // req: UPD-06
    for install in reachable(Install::Idle, PackageKind::License) {
        // Going back is for software; the walk tries it with licenses too.
        let going_back = install.attempt().is_some_and(|attempt| attempt.id == common::id(2));
        let switches = install.resume().into_iter().any(|e| matches!(e, Effect::SwitchOver { .. }));
        assert!(going_back || !switches, "{install:?}");
    }
}

#[test]
fn what_is_saved_comes_back_as_the_same_state() {
    // req: UPD-08
    for kind in KINDS {
        for install in reachable(Install::Idle, kind) {
            let json = serde_json::to_string(&install.saved()).expect("a state is JSON");
            let saved: Install<PackageRef> = serde_json::from_str(&json).expect("a state");
            let loaded = saved.prove(|reference| {
                let found = [1, 2, 3].map(|n| proof(kind, n)).into_iter();
                Ok(found.clone().find(|p| p.reference() == *reference).expect("known"))
            });
            assert_eq!(loaded, install);
        }
    }
}

#[test]
fn a_package_that_no_longer_verifies_is_never_installed() {
    // req: UPD-11
    for kind in KINDS {
        for install in reachable(Install::Idle, kind) {
            let gone = Fault::host("its metadata is gone", "check for updates again");
            let loaded: common::Machine = install.saved().prove(|_| Err(gone.clone()));
            for effect in loaded.resume() {
                let with_proof = matches!(effect, Effect::Unpack(_) | Effect::Expand(_))
                    || matches!(effect, Effect::Prove(Subject::Update(_)));
                assert!(!with_proof, "{install:?} leads to {effect:?}");
            }
        }
    }
}

#[test]
fn a_power_cut_in_any_state_leads_to_a_state_that_can_act_on_what_is_on_disk() {
    // req: UPD-08
    let mut cuts = 0;
    for kind in KINDS {
        let (old, new) = (package(kind, 1), package(kind, 2));
        for install in reachable(Install::Idle, kind) {
            for bits in 0..8_u8 {
                let has = |bit: u8, p: &PackageRef| (bits & bit != 0).then(|| p.sha256.to_string());
                let disk = Disk {
                    slots: [has(1, &old), has(2, &new)].into_iter().flatten().collect(),
                    downloads: has(4, &new).into_iter().collect(),
                };
                check_recovered(&install.saved(), &disk);
                cuts += 1;
            }
        }
    }
    assert!(cuts > 1_000, "{cuts} combinations of state and disk");
}

fn check_recovered(saved: &Install<PackageRef>, disk: &Disk) {
    let (state, kept) = recover(Some(saved.clone()), disk);
    let holds = |p: &PackageRef| disk.slots.contains(&p.sha256.to_string());
    for effect in state.resume() {
        match effect {
            Effect::Unpack(p) => assert!(disk.downloads.contains(&p.sha256.to_string())),
            Effect::Preflight { package, .. } | Effect::Expand(package) => {
                assert!(holds(&package), "{saved:?} leads to {state:?}");
            }
            Effect::Prove(s) | Effect::SwitchOver { subject: s, .. } => {
                assert!(holds(&s.reference()), "{saved:?} leads to {state:?}");
            }
            Effect::Revert { to: Some(to), .. } => {
                assert!(holds(&to) || kept == Kept::Ended, "{saved:?} leads to {state:?}");
            }
            _ => {}
        }
    }
    // Recovering twice, as after a second power cut at once, decides the same.
    let again = recover(Some(state.clone()), disk).0;
    let rescued = matches!(again, Install::Rescue { .. });
    assert!(again == state || rescued, "{state:?} then {again:?}");
}

#[test]
fn events_that_do_not_belong_change_nothing() {
    for install in reachable(Install::Idle, PackageKind::Site) {
        for event in events(PackageKind::Site) {
            if let Ok(transition) = install.on(event.clone(), &at(LATE)) {
                // Deciding is a function: the same again.
                assert_eq!(install.on(event, &at(LATE)), Ok(transition));
            }
        }
    }
}
