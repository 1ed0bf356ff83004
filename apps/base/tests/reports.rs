//! What the update server is told: every step of every attempt once, whatever it answers and whoever is killed.

mod lab;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lab::{Lab, packages};
use model::Release;
use serde_json::Value;

/// The steps of each attempt in the order in which they came.
fn steps(reports: &[Value]) -> BTreeMap<String, Vec<u64>> {
    let mut steps: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for report in reports {
        let attempt = report["attempt"].as_str().expect("an attempt").to_owned();
        steps.entry(attempt).or_default().push(report["step"].as_u64().expect("a step"));
    }
    steps
}

/// Waits until so many attempts were told to their end.
async fn told(lab: &Lab, attempts: usize) {
    let until = Instant::now() + Duration::from_mins(1);
    loop {
        let reports = lab.world.reports();
        let ended = reports.iter().filter(|report| report["state"] == "contracted").count();
        if ended == attempts {
            return;
        }
        assert!(Instant::now() < until, "{reports:?}\n{}", lab.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_fails_is_told_later_and_one_that_is_refused_is_dropped() {
    let mut lab = Lab::serving().await;
    told(&lab, 1).await;
    let before = lab.world.reports().len();
    // The second is refused for what it is; the others may work later.
    lab.world.answer_reports(&[503, 200, 422, 429, 200]);
    let next = packages::site(Release::new(1, 1, 0, 1), "");
    assert_eq!(lab.install(&next).await, "contracted");
    told(&lab, 2).await;
    let all = steps(&lab.world.reports()[before..]);
    let (_, taken) = all.first_key_value().expect("an attempt");
    let expected: Vec<u64> = (1..=10).filter(|step| *step != 2).collect();
    assert_eq!((all.len(), taken), (1, &expected));
    let refused: Vec<_> =
        lab.world.refused().iter().map(|report| report["step"].as_u64()).collect();
    assert_eq!(refused, [Some(1), Some(2), Some(3)]);
    let log = lab.log();
    assert!(log.contains("it is dropped") && log.contains("the lab refuses it. Wait."), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_is_told_over_a_restart_and_with_its_own_number() {
    let mut lab = Lab::serving().await;
    told(&lab, 1).await;
    // The update server is away while two versions are installed, and the power fails after the first.
    lab.world.answer_reports(&[503; 3]);
    for patch in 1..=2 {
        let next = packages::site(Release::new(1, 1, patch, 1), "");
        assert_eq!(lab.install(&next).await, "contracted");
        lab.power_off();
        lab.start();
        lab.until_generation().await;
    }
    told(&lab, 3).await;
    for (attempt, steps) in steps(&lab.world.reports()) {
        let expected: Vec<u64> = (1..=steps.len() as u64).collect();
        assert_eq!((steps.len(), &steps), (10, &expected), "attempt {attempt}");
    }
}
