//! What the installer keeps on the disk, and what an installer does from any state it reads there.

use std::time::Duration;

use install::{
    Disk, Effect, Event, Fault, Install, Ledger, Limits, Now, PackageRef, Record, recover,
};
use model::{AttemptId, PackageKind, Release, Timestamp};

use crate::Outcome;

/// A journal. Each line gets its checksum here, so that what lies behind it is reached.
pub fn journal(data: &[u8]) -> Outcome {
    let _ = install::read(data);
    let sealed: Vec<u8> = data.split_inclusive(|byte| *byte == b'\n').flat_map(seal).collect();
    let read = install::read(&sealed);
    if let Ok(read) = &read {
        assert!(read.good <= sealed.len());
        if let Some(record) = &read.last {
            let line = install::write(record).expect("a record is written as JSON");
            let again = install::read(&line).expect("a record reads what it was written from");
            assert_eq!(again.last.as_ref(), Some(record));
            go_on(record);
        }
    }
    Outcome::of(&read)
}

/// A line of JSON as the journal holds it: its checksum before it.
fn seal(line: &[u8]) -> Vec<u8> {
    let json = line.strip_suffix(b"\n").unwrap_or(line);
    [format!("{:08x} ", crc32(json)).as_bytes(), line].concat()
}

/// CRC-32 as zlib has it, a bit at a time.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    })
}

/// From any saved state, every event is taken or refused; what is due is the same before and after
/// saving; and once there is a package to fall back to, there always is one.
fn go_on(record: &Record) {
    walk_on(record);
    let (state, _) = recover(Some(record.install.clone()), &Disk::default());
    let mut states = vec![record.install.clone(), state];
    for _ in 0..3 {
        states = states.iter().flat_map(step).take(64).collect();
    }
}

/// A plan goes on, stops or waits, and once it has ended nothing goes on.
fn walk_on(record: &Record) {
    let now = Now { at: Timestamp::from_secs(1_800_000_000), limits: Limits::default() };
    let mut course = record.clone().course();
    let begun = course.plan.as_ref().map_or(0, |plan| plan.attempts.len());
    for n in 0..2 {
        let Some(moved) = course.advance(AttemptId::from_bytes([n; 16]), None, &now) else {
            return;
        };
        course = moved.next;
    }
    let plan = course.plan.expect("only a plan goes on");
    assert!(!plan.is_running() && plan.attempts.len() <= begun + 1, "{plan:?}");
}

fn step(state: &Install<PackageRef>) -> Vec<Install<PackageRef>> {
    let mut next = vec![];
    for event in events(state) {
        for at in [0, 1_800_000_000, u64::MAX / 1000] {
            let now = Now { at: Timestamp::from_secs(at), limits: Limits::default() };
            let Ok(transition) = state.on(event.clone(), &now) else { continue };
            let kept_a_way_back = transition.next.safe().is_some() || state.safe().is_none();
            assert!(
                kept_a_way_back || transition.next.at_rest() || state.at_rest(),
                "{state:?} {event:?}"
            );
            if transition.next == *state {
                assert_eq!(transition.effects, Vec::<Effect<PackageRef>>::new());
            } else {
                assert_eq!(transition.effects, transition.next.resume());
                next.push(transition.next);
            }
        }
    }
    next
}

fn events(state: &Install<PackageRef>) -> Vec<Event<PackageRef>> {
    let fault = Fault::host("the disk is full", "Make room.");
    let mut events = vec![
        Event::Confirmed,
        Event::Unpacked,
        Event::PreflightPassed,
        Event::Expanded,
        Event::Proven,
        Event::Switched,
        Event::TrialPassed,
        Event::Retired,
        Event::Reverted,
        Event::RevertFailed("the slot is gone".into()),
        Event::Failed(fault),
        Event::Cancelled,
        Event::Restarted { died: None },
        Event::Restarted { died: Some("signal 9".into()) },
        Event::NoneHealthy { kind: PackageKind::Site, reason: "none starts".into() },
        Event::Recovered,
        Event::Tick,
    ];
    if let Some(package) = state.package() {
        let id = AttemptId::from_bytes([8; 16]);
        let from = state.safe().cloned();
        events.push(Event::Fetched(package.clone()));
        events.push(Event::Chosen { id, package: package.clone(), from: from.clone() });
        events.extend(from.map(|from| Event::GoBack { id, to: package, from }));
    }
    events
}

/// The ledger of what was installed, kept and found bad.
pub fn ledger(data: &[u8]) -> Outcome {
    let read = serde_json::from_slice::<Ledger>(data);
    if let Ok(ledger) = &read {
        let text = serde_json::to_vec(ledger).expect("a ledger is written as JSON");
        assert_eq!(serde_json::from_slice::<Ledger>(&text).ok().as_ref(), Some(ledger));
    }
    Outcome::of(&read)
}

fn package(release: Release) -> PackageRef {
    let target = format!("site/site-{}-r{}-x86_64.pkg", release.version, release.revision.0);
    let sha256 = release::Sha256([release.version.minor as u8; 32]);
    PackageRef { kind: PackageKind::Site, name: "site".into(), release, sha256, target }
}

pub mod seeds {
    //! Good bytes.

    use super::{AttemptId, Duration, Install, Ledger, Record, Release, Timestamp, package};
    use install::{Attempt, Fault, PlanRun, Subject};

    pub fn journal() -> Vec<Vec<u8>> {
        let (old, new) = (package(Release::new(1, 0, 0, 1)), package(Release::new(1, 1, 0, 2)));
        let attempt = || Attempt { id: AttemptId::from_bytes([7; 16]), from: Some(old.clone()) };
        let at = Timestamp::from_secs(1_800_000_000);
        let until = at.plus(Duration::from_mins(1));
        let subject = || Subject::Update(new.clone());
        let fault = Fault::package("it does not start", "Wait for the next release.");
        let states = [
            Install::Planned { attempt: attempt(), package: new.clone() },
            Install::Fetching { attempt: attempt(), package: new.clone() },
            Install::Verified { attempt: attempt(), package: new.clone() },
            Install::Staged { attempt: attempt(), package: new.clone() },
            Install::Expanded { attempt: attempt(), subject: subject(), tries: 0, until },
            Install::SwitchingOver { attempt: attempt(), subject: subject(), tries: 1, until },
            Install::Trial {
                attempt: attempt(),
                subject: Subject::Kept(old.clone()),
                tries: 2,
                until,
            },
            Install::Committed { attempt: attempt(), package: new.clone() },
            Install::RollingBack { attempt: attempt(), package: new.clone(), fault },
        ];
        let steps = vec![old.clone(), new.clone()];
        let plan = PlanRun::begin(steps, AttemptId::from_bytes([7; 16]));
        let lines = states.into_iter().zip(1..).map(|(install, n)| {
            let record = Record { n, at, install, plan: plan.clone() };
            serde_json::to_string(&record).expect("a record is written as JSON") + "\n"
        });
        let lines: Vec<String> = lines.collect();
        let alone = lines.iter().map(|line| line.clone().into_bytes());
        alone.chain([lines.concat().into_bytes()]).collect()
    }

    pub fn ledger() -> Vec<Vec<u8>> {
        let mut ledger = Ledger::default();
        ledger.attempt_begun();
        ledger.generation_next();
        ledger.pin(
            &package(Release::new(1, 1, 0, 2)),
            "it does not start",
            Timestamp::from_secs(5),
        );
        let text = serde_json::to_vec(&ledger).expect("a ledger is written as JSON");
        vec![b"{}".to_vec(), text]
    }
}
