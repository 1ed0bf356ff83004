//! The keeper becomes the keeper of the base that was committed, with everything that it holds.

mod lab;

use std::time::{Duration, Instant};

use hyper::Method;
use lab::agents::Agents;
use lab::{Lab, packages};
use model::Release;

/// Waits for something that the keeper does by itself.
async fn until(lab: &Lab, what: &str, mut is: impl FnMut(&Lab) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is(lab) {
        assert!(Instant::now() < deadline, "{what}\n{}", lab.log());
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("a process");
}

/// Kills the base and waits until the keeper has started another one.
async fn base_comes_back(lab: &Lab) {
    until(lab, "no base runs", |lab| lab.base_pid().is_some()).await;
    let before = lab.base_pid().expect("a base");
    kill(before);
    until(lab, "no base was started again", |lab| lab.base_pid().is_some_and(|pid| pid != before))
        .await;
    lab.until_answer(Method::GET, "status", None).await;
}

/// Whether a process would not hear SIGTERM.
fn is_deaf(pid: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).expect("a mask");
    let blocked = u64::from_str_radix(blocked.trim(), 16).expect("a mask");
    blocked & (1 << (rustix::process::Signal::TERM.as_raw() - 1)) != 0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_committed_base_brings_its_keeper_with_it_and_nobody_notices() {
    // req: UPD-05
    let mut lab = Lab::serving().await;
    let agents = Agents::start(lab.address, 10);
    let same = |lab: &Lab| (lab.keeper_pid(), lab.base_pid());
    let (generation, processes) = (lab.until_generation().await, same(&lab));
    let next = packages::base(Release::new(1, 1, 0, 2), "");
    assert_eq!(lab.install(&next).await, "contracted", "{}", lab.story().await);
    let newer = |lab: &Lab| lab.keeper_version().as_deref() == Some("1.1.0");
    until(&lab, "the keeper is still the old one", newer).await;
    assert_eq!((lab.until_generation().await, same(&lab)), (generation.clone(), processes));
    base_comes_back(&lab).await;
    let base = lab.base_pid().expect("a base");
    assert!(!is_deaf(base), "a base that the new keeper starts hears signals");
    assert_eq!(lab.roll_back("base").await, "contracted", "{}", lab.story().await);
    let older = |lab: &Lab| lab.keeper_version().as_deref() == Some("1.0.0");
    until(&lab, "the keeper is still the new one", older).await;
    assert_eq!(lab.until_generation().await, generation, "the same process serves on");
    let outcome = agents.stop(&lab.data()).await;
    assert!(outcome.failed.is_empty(), "{outcome:?}");
    assert!(outcome.stall_max.as_millis() < 1000, "{outcome:?}");
    let pid = lab.keeper_pid();
    assert!(!is_deaf(i32::try_from(pid).expect("a pid")));
    lab.stop();
    assert_eq!(lab.processes(), Vec::<i32>::new(), "it stops everything when it is told to");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_that_is_killed_on_the_way_costs_nothing() {
    // req: UPD-08
    let mut lab = Lab::serving().await;
    for (patch, point) in ["keeper-before-exec", "keeper-after-exec"].into_iter().enumerate() {
        lab.stop();
        lab.arm(point);
        lab.start();
        let generation = lab.until_generation().await;
        let agents = Agents::start(lab.address, 5);
        let next = packages::base(Release::new(1, 1, patch as u64, 2), "");
        assert_eq!(lab.install(&next).await, "contracted", "{}", lab.story().await);
        until(&lab, point, Lab::fired).await;
        lab.kill_keeper();
        assert_eq!(
            lab.until_generation().await,
            generation,
            "{point}: the site goes on without a keeper"
        );
        lab.until_answer(Method::GET, "status", None).await;
        // As a service manager does.
        lab.start();
        lab.until_answer(Method::GET, "status", None).await;
        until(&lab, point, |lab| lab.keeper_version() == Some(format!("1.1.{patch}"))).await;
        base_comes_back(&lab).await;
        assert_eq!(lab.until_generation().await, generation, "{point}: the same process serves on");
        let outcome = agents.stop(&lab.data()).await;
        assert!(outcome.failed.is_empty(), "{point}: {outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_that_cannot_take_over_becomes_the_old_one_again_and_stays_it() {
    // req: UPD-08
    let mut lab = Lab::serving().await;
    lab.stop();
    lab.set("SLUIS_FAILPOINTS", "keeper-take-over=error");
    lab.start();
    let generation = lab.until_generation().await;
    let agents = Agents::start(lab.address, 5);
    let keeper = lab.keeper_pid();
    let next = packages::base(Release::new(1, 1, 0, 2), "");
    assert_eq!(lab.install(&next).await, "contracted", "{}", lab.story().await);
    let gave_up = |lab: &Lab| lab.log().contains("Keeper cannot take over; the one before goes on");
    until(&lab, "the new keeper did not give back", gave_up).await;
    until(&lab, "the old keeper is not back", |lab| {
        lab.keeper_version().as_deref() == Some("1.0.0")
    })
    .await;
    base_comes_back(&lab).await;
    assert_eq!((lab.current("base"), lab.keeper_pid()), ("1.1.0".into(), keeper));
    let tries = lab.log().matches("Keeper becomes another version").count();
    assert_eq!(tries, 1, "it does not try that program again");
    assert_eq!(lab.until_generation().await, generation);
    // The version after it is tried.
    let next = packages::base(Release::new(1, 2, 0, 3), "");
    assert_eq!(lab.install(&next).await, "contracted", "{}", lab.story().await);
    until(&lab, "the next one is not tried", |lab| {
        lab.log().matches("Keeper becomes another version").count() == 2
    })
    .await;
    let outcome = agents.stop(&lab.data()).await;
    assert!(outcome.failed.is_empty(), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_that_is_killed_is_started_again_by_its_base() {
    // req: UPD-08
    let mut lab = Lab::serving().await;
    lab.stop();
    lab.keeper_within(1);
    lab.start();
    let generation = lab.until_generation().await;
    until(&lab, "no base runs", |lab| lab.base_pid().is_some()).await;
    let before = lab.base_pid().expect("a base");
    let agents = Agents::start(lab.address, 5);
    lab.kill_keeper();
    let other = |lab: &Lab| lab.process("serve").is_some_and(|(pid, _)| pid != before);
    until(&lab, "no keeper came with a base of its own", other).await;
    lab.until_answer(Method::GET, "status", None).await;
    // It does what a keeper is for.
    let (base, _) = lab.process("serve").expect("a base");
    kill(base);
    let other = |lab: &Lab| lab.process("serve").is_some_and(|(pid, _)| pid != base);
    until(&lab, "no base was started again", other).await;
    assert_eq!(lab.until_generation().await, generation, "the same process serves on");
    let outcome = agents.stop(&lab.data()).await;
    assert!(outcome.failed.is_empty(), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_that_crashes_after_it_took_over_is_followed_by_the_one_before() {
    // req: UPD-08 UPD-09
    let mut lab = Lab::serving().await;
    lab.stop();
    lab.keeper_within(2);
    // Each time that the new one keeps: it would never come up.
    lab.set("SLUIS_FAILPOINTS", "keeper-on-trial=kill");
    lab.start();
    let generation = lab.until_generation().await;
    let agents = Agents::start(lab.address, 5);
    let next = packages::base(Release::new(1, 1, 0, 2), "");
    assert_eq!(lab.install(&next).await, "contracted", "{}", lab.story().await);
    let first = lab.keeper_pid();
    let put_back = |lab: &Lab| {
        lab.process("run")
            .is_some_and(|(pid, version)| pid.cast_unsigned() != first && version == "1.0.0")
    };
    until(&lab, "the keeper before is not back", put_back).await;
    let newer = |lab: &Lab| lab.process("serve").is_some_and(|(_, version)| version == "1.1.0");
    until(&lab, "the base is not the new one", newer).await;
    lab.until_answer(Method::GET, "status", None).await;
    assert_eq!(lab.current("base"), "1.1.0", "the base itself was good");
    let refused = |lab: &Lab| lab.log().contains("Keeper stays as it is: that one failed");
    until(&lab, "it was not looked at again", refused).await;
    assert_eq!(lab.log().matches("Keeper becomes another version").count(), 1);
    let said = lab.story().await;
    assert!(said.contains("The keeper of base 1.1.0 (rev 2) died soon after it had"), "{said}");
    assert_eq!(lab.until_generation().await, generation, "the same process serves on");
    let outcome = agents.stop(&lab.data()).await;
    assert!(outcome.failed.is_empty(), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_manager_that_starts_a_crashing_keeper_comes_to_the_one_before() {
    // req: UPD-08 UPD-09
    let mut lab = Lab::serving().await;
    lab.stop();
    lab.set("SLUIS_FAILPOINTS", "keeper-on-trial=kill");
    lab.start();
    let generation = lab.until_generation().await;
    let agents = Agents::start(lab.address, 5);
    let next = packages::base(Release::new(1, 1, 0, 2), "");
    assert_eq!(lab.install(&next).await, "contracted", "{}", lab.story().await);
    for _ in 0..3 {
        lab.keeper_ends();
        lab.start();
    }
    let older = |lab: &Lab| lab.keeper_version().as_deref() == Some("1.0.0");
    until(&lab, "the keeper before is not back", older).await;
    base_comes_back(&lab).await;
    assert_eq!((lab.current("base"), lab.until_generation().await), ("1.1.0".into(), generation));
    let outcome = agents.stop(&lab.data()).await;
    assert!(outcome.failed.is_empty(), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_that_keeps_long_enough_is_not_on_trial_any_more() {
    // req: UPD-08
    let mut lab = Lab::serving().await;
    lab.stop();
    lab.keeper_within(1);
    lab.start();
    lab.until_generation().await;
    let next = packages::base(Release::new(1, 1, 0, 2), "");
    assert_eq!(lab.install(&next).await, "contracted", "{}", lab.story().await);
    let note = lab.data().join("run/keeper-trial.json");
    let on_trial = |lab: &Lab| lab.keeper_version().as_deref() == Some("1.1.0");
    until(&lab, "the keeper is still the old one", on_trial).await;
    until(&lab, "it is on trial for ever", |_| !note.exists()).await;
    let before = lab.keeper_pid();
    lab.kill_keeper();
    let again = |lab: &Lab| {
        lab.process("run")
            .is_some_and(|(pid, version)| pid.cast_unsigned() != before && version == "1.1.0")
    };
    until(&lab, "it is not the new one again", again).await;
}
