//! New versions that fail in every way: each is put back by itself, with its reason, and nobody at work notices.

mod lab;

use hyper::Method;
use lab::agents::Agents;
use lab::{Lab, packages};
use model::Release;

/// Installs a site that behaves in some way over one that serves, and holds what must be true afterwards.
async fn put_back(behaviour: &str, reason: &str) {
    // req: UPD-09
    // req: UPD-12
    let mut lab = Lab::serving().await;
    if matches!(behaviour, "crash-in-trial" | "crash-later") {
        lab.limits(3, 20, 10);
        lab.stop();
        lab.start();
    }
    let before = lab.until_generation().await;
    let agents = Agents::start(lab.address, 10);
    tokio::time::timeout(std::time::Duration::from_secs(10), connected(&lab, 10))
        .await
        .expect("the agents are connected");
    let bad = packages::site(Release::new(1, 1, 0, 2), behaviour);
    let began = std::time::Instant::now();
    assert_eq!(lab.install(&bad).await, "rolled-back", "{}", lab.story().await);
    let took = began.elapsed();
    assert_eq!(lab.until_generation().await, before, "the old version serves again");
    assert_eq!(lab.current("site"), "1.0.0");
    let story = lab.story().await;
    assert!(story.contains(reason), "{behaviour}: {story}");
    let checked = lab.until_answer(Method::POST, "updates/check", None).await;
    let cards = checked["packages"].as_array().expect("cards");
    let card = cards.iter().find(|card| card["target"] == bad.target.as_str());
    assert!(card.is_none_or(|card| card["status"] == "blocked"), "not offered again: {checked}");
    tokio::time::timeout(std::time::Duration::from_secs(10), connected(&lab, 10))
        .await
        .expect("the agents are connected");
    let outcome = agents.stop(&lab.data()).await;
    // A generation that dies takes the requests with it that it had just accepted; none is refused.
    let dies = matches!(behaviour, "crash-in-trial" | "crash-later");
    assert!(outcome.failed.len() <= usize::from(dies) * 2, "{outcome:?}");
    println!("{behaviour}: put back after {took:?}, longest stall {:?}", outcome.stall_max);
}

/// Waits until so many agents are connected to the generation that serves.
async fn connected(lab: &Lab, count: u64) {
    loop {
        let generation = lab.until_generation().await;
        let number = generation.rsplit(' ').next().expect("a number");
        let socket = lab.data().join(format!("run/site-{number}.sock"));
        let status = host::call(&socket, Method::GET, "/control/status", None).await;
        if status.is_ok_and(|status| status.json()["agents_connected"].as_u64() >= Some(count)) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

macro_rules! bad_sites {
    ($($name:ident: $behaviour:literal, $reason:literal;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            put_back($behaviour, $reason).await;
        }
    )*};
}

bad_sites! {
    a_site_that_crashes_at_its_start: "crash-at-start", "the database is on fire";
    a_site_that_hangs_at_its_start: "hang-at-start", "was not ready within";
    a_site_that_never_says_that_it_is_ready: "never-ready", "was not ready within";
    a_site_that_serves_no_session: "fail-selftest", "the agent never answered";
    a_site_whose_session_hangs: "hang-selftest", "does not carry a session";
    a_site_that_is_not_healthy: "sick", "database: it cannot be written";
    a_site_that_gets_sick_in_its_trial: "sick-in-trial", "did not prove itself in time: it is not healthy";
    a_site_that_crashes_in_its_trial: "crash-in-trial", "while it served";
    a_site_that_crashes_late_in_its_trial: "crash-later", "while it served";
    a_site_that_loses_its_agents: "lose-agents", "clients are back";
    a_site_that_fails_its_migration: "fail-migration", "it is on fire";
}

async fn base_put_back(script: &str, reason: &str) {
    // req: UPD-05
    // req: UPD-09
    let mut lab = Lab::serving().await;
    let before = lab.until_generation().await;
    let agents = Agents::start(lab.address, 5);
    let bad = packages::base(Release::new(1, 1, 0, 2), script);
    assert_eq!(lab.install(&bad).await, "rolled-back", "{}", lab.story().await);
    assert_eq!(lab.current("base"), "1.0.0");
    assert_eq!(lab.until_generation().await, before, "the site did not notice");
    let story = lab.story().await;
    assert!(story.contains(reason), "{story}");
    let outcome = agents.stop(&lab.data()).await;
    assert!(outcome.failed.is_empty(), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_that_does_not_start() {
    base_put_back("#!/bin/sh\nexit 3\n", "does not start").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_that_crashes_once_it_has_the_sockets() {
    base_put_back("#!/bin/sh\n[ $1 = serve ] && exit 7\nexit 0\n", "exited with status 7").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_that_hangs_once_it_has_the_sockets() {
    base_put_back("#!/bin/sh\n[ $1 = serve ] && exec sleep 1000\nexit 0\n", "said nothing for")
        .await;
}

/// Ends the generation that serves; none of a version that crashes at its second start comes after it.
fn kill_the_site(lab: &Lab) {
    for pid in lab.processes() {
        let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if command.contains("sluis-site")
            && let Some(pid) = rustix::process::Pid::from_raw(pid)
        {
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("a process");
        }
    }
}

async fn until_status(lab: &Lab, wanted: impl Fn(&serde_json::Value) -> bool) {
    while !wanted(&lab.until_answer(Method::GET, "status", None).await) {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_keeps_crashing_after_its_commit_gives_way_to_the_kept_one() {
    // req: UPD-09
    let mut lab = Lab::serving().await;
    let bad = packages::site(Release::new(1, 1, 0, 2), "crash-at-second-start");
    assert_eq!(lab.install(&bad).await, "contracted", "{}", lab.story().await);
    kill_the_site(&lab);
    until_status(&lab, |status| status["site"]["version"] == "1.0.0").await;
    lab.until_generation().await;
    let story = lab.story().await;
    assert!(story.contains("did not stay up after it had passed its trial"), "{story}");
    let checked = lab.until_answer(Method::POST, "updates/check", None).await;
    let cards = checked["packages"].as_array().expect("cards");
    let card = cards.iter().find(|card| card["target"] == bad.target.as_str()).expect("a card");
    assert_eq!(card["status"], "blocked", "not offered again: {checked}");
    let text = card["blocked"]["text"].as_str().expect("a reason");
    assert!(text.contains("did not stay up"), "{text}");
    // An administrator may insist.
    let body = serde_json::json!({ "target": bad.target });
    let checked = lab.until_answer(Method::POST, "updates/retry", Some(&body)).await;
    let cards = checked["packages"].as_array().expect("cards");
    let card = cards.iter().find(|card| card["target"] == bad.target.as_str()).expect("a card");
    assert_eq!(card["status"], "installable", "{checked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_keeps_crashing_with_nothing_to_go_back_to_leads_to_rescue_and_out_of_it() {
    // req: UPD-12
    let mut lab = Lab::set_up().await;
    lab.start();
    lab.sign_in_first().await;
    let bad = packages::site(Release::new(1, 0, 0, 1), "crash-at-second-start");
    assert_eq!(lab.install(&bad).await, "contracted", "{}", lab.story().await);
    kill_the_site(&lab);
    until_status(&lab, |status| !status["rescue"].is_null() && status["site_phase"] == "rescue")
        .await;
    let good = packages::site(Release::new(1, 1, 0, 2), "");
    assert_eq!(lab.install(&good).await, "contracted", "{}", lab.story().await);
    lab.until_generation().await;
    assert_eq!(lab.current("site"), "1.1.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_eats_the_disk_is_put_back_on_a_full_disk() {
    // req: UPD-09
    let Some(mut lab) = Lab::serving_on_a_disk_of(600).await else {
        println!("No disk of its own could be mounted here: it needs root");
        return;
    };
    lab.limits(3, 6, 2);
    lab.stop();
    lab.start();
    let before = lab.until_generation().await;
    let bad = packages::site(Release::new(1, 1, 0, 2), "eat-disk");
    assert_eq!(lab.install(&bad).await, "rolled-back", "{}", lab.story().await);
    assert_eq!(lab.until_generation().await, before, "the old version serves again");
    assert_eq!(lab.current("site"), "1.0.0");
    assert!(lab.story().await.contains("of the disk are left"), "{}", lab.story().await);
    std::fs::remove_file(lab.data().join("site/eaten")).expect("what was eaten");
    let good = packages::site(Release::new(1, 2, 0, 3), "");
    assert_eq!(lab.install(&good).await, "contracted", "{}", lab.story().await);
}
