//! Good updates, ways back and a base that replaces itself, with agents at work.

mod lab;

use lab::agents::Agents;
use lab::{Lab, packages};
use model::Release;

#[tokio::test(flavor = "multi_thread")]
async fn a_site_is_installed_updated_and_rolled_back_under_its_agents() {
    // req: UPD-03
    // req: UPD-07
    // req: UPD-10
    let mut lab = Lab::serving().await;
    let agents = Agents::start(lab.address, 20);
    let first = lab.until_generation().await;
    let next = packages::site(Release::new(1, 1, 0, 2), "");
    assert_eq!(lab.install(&next).await, "contracted", "{}", lab.story().await);
    let second = lab.until_generation().await;
    assert_ne!(first, second);
    assert_eq!(lab.current("site"), "1.1.0");
    assert_eq!(lab.roll_back("site").await, "contracted", "{}", lab.story().await);
    assert_eq!(lab.current("site"), "1.0.0");
    assert_ne!(lab.until_generation().await, second);
    assert_eq!(lab.roll_back("site").await, "contracted", "back and forth");
    assert_eq!(lab.current("site"), "1.1.0");
    let outcome = agents.stop(&lab.data()).await;
    assert!(outcome.failed.is_empty(), "{outcome:?}");
    assert!(outcome.lines > 100 && outcome.requests > 20, "{outcome:?}");
    println!(
        "{} lines, longest stall {:?}, {} requests",
        outcome.lines, outcome.stall_max, outcome.requests
    );
    // req: UPD-03: the log stays after a restart.
    let story = lab.story().await;
    lab.stop();
    lab.start();
    assert_eq!(lab.story().await, story);
    assert!(!lab.world.reports().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_replaces_itself_and_the_site_does_not_notice() {
    // req: UPD-05
    let mut lab = Lab::serving().await;
    let agents = Agents::start(lab.address, 10);
    let before = (lab.until_generation().await, lab.base_pid());
    let next = packages::base(Release::new(1, 1, 0, 2), "");
    assert_eq!(lab.install(&next).await, "contracted", "{}", lab.story().await);
    assert_eq!(lab.current("base"), "1.1.0");
    assert_eq!((lab.until_generation().await, lab.base_pid()), before, "same site, same pid");
    assert_eq!(lab.roll_back("base").await, "contracted", "{}", lab.story().await);
    assert_eq!(lab.current("base"), "1.0.0");
    assert_eq!((lab.until_generation().await, lab.base_pid()), before, "same site, same pid");
    let outcome = agents.stop(&lab.data()).await;
    assert!(outcome.failed.is_empty(), "{outcome:?}");
    assert!(outcome.stall_max.as_millis() < 1000, "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_download_is_taken_up_where_it_broke() {
    // req: UPD-03
    let mut lab = Lab::serving().await;
    lab.world.break_after(300_000);
    let next = packages::site(Release::new(1, 1, 0, 2), "");
    assert_eq!(lab.install(&next).await, "contracted", "{}", lab.story().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_keeper_or_base_costs_no_session() {
    // req: UPD-08
    let mut lab = Lab::serving().await;
    let agents = Agents::start(lab.address, 10);
    let before = lab.until_generation().await;
    let base = lab.base_pid().expect("a base");
    kill(base);
    lab.until_answer(hyper::Method::GET, "status", None).await;
    assert_ne!(lab.base_pid(), Some(base));
    assert_eq!(lab.until_generation().await, before);
    lab.kill_keeper();
    lab.start();
    lab.until_answer(hyper::Method::GET, "status", None).await;
    assert_eq!(lab.until_generation().await, before, "the same process serves on");
    let next = packages::site(Release::new(1, 1, 0, 2), "");
    assert_eq!(lab.install(&next).await, "contracted", "{}", lab.story().await);
    let outcome = agents.stop(&lab.data()).await;
    assert!(outcome.failed.is_empty(), "{outcome:?}");
    assert!(outcome.stall_max.as_millis() < 1000, "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_journal_stops_installs_and_nothing_else() {
    // req: UPD-08
    let mut lab = Lab::serving().await;
    let next = packages::site(Release::new(1, 1, 0, 2), "");
    lab.world.publish(&next);
    lab.until_answer(hyper::Method::POST, "updates/check", None).await;
    lab.stop();
    let path = lab.data().join("journal");
    let mut bytes = std::fs::read(&path).expect("a journal");
    bytes[20] ^= 1;
    std::fs::write(&path, bytes).expect("a journal");
    lab.start();
    lab.until_generation().await;
    let status = lab.until_answer(hyper::Method::GET, "status", None).await;
    assert!(
        status["rescue"].as_str().is_some_and(|why| why.contains("the journal is damaged")),
        "{status}"
    );
    let body = serde_json::json!({ "target": next.target });
    let asked = lab.api(hyper::Method::POST, "updates/install", Some(&body)).await;
    let (status, answer) = asked.expect("an answer");
    assert_eq!(status, 409, "{answer}");
    assert!(
        answer["error"].as_str().is_some_and(|why| why.contains("journal is damaged")),
        "{answer}"
    );
    assert_eq!(lab.current("site"), "1.0.0");
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("a process");
}
