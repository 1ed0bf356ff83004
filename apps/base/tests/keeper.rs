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
