//! One wish, several packages: a base and the site that needs it, with agents at work and the base killed on the way.

mod lab;

use hyper::Method;
use lab::agents::Agents;
use lab::{Lab, packages};
use model::Release;
use serde_json::{Value, json};

/// Publishes a base and a site that needs it; answers the site.
fn publish(lab: &Lab, patch: u64, behaviour: &str) -> packages::Built {
    let release = || Release::new(1, 1, patch, 1);
    lab.world.publish(&packages::base(release(), ""));
    packages::site_that_needs(release(), behaviour, &[&format!("base >=1.1.{patch}")])
}

async fn progress(lab: &Lab) -> Value {
    lab.until_answer(Method::GET, "updates/progress", None).await
}

/// Every point that is passed in the middle of a plan of a base and a site.
const POINTS: [&str; 24] = [
    "save-before-planned",
    "save-after-planned",
    "effect-before-fetch",
    "effect-after-unpack",
    "exec-before",
    "base-start",
    "save-after-trial",
    "effect-before-watch",
    "save-before-committed",
    "point-between",
    "effect-after-record-commit",
    "effect-before-retire",
    "save-before-contracted",
    "save-after-contracted",
    "plan-before-advance",
    "plan-after-advance",
    "generation-before-start",
    "generation-after-start",
    "switch-before-activate",
    "switch-after-activate",
    "journal-before-append",
    "journal-before-sync",
    "journal-after-append",
    "effect-after-expand",
];

/// Kills the base at some of the points, once each, and lets it come back by itself.
async fn killed(part: usize, parts: usize) {
    let mut lab = Lab::serving().await;
    let (mut fired, mut patch) = (0, 0);
    for point in POINTS.into_iter().skip(part).step_by(parts) {
        lab.stop();
        lab.arm(point);
        lab.start();
        lab.until_generation().await;
        let agents = Agents::start(lab.address, 3);
        patch += 1;
        let site = publish(&lab, patch, "");
        lab.begin_install(&site).await;
        let end = lab.end().await;
        assert!(lab.fired(), "{point} is not passed");
        fired += 1;
        let now = progress(&lab).await;
        let story = lab.story().await;
        assert_eq!(
            (end.as_str(), &now["plan"]["state"]),
            ("contracted", &json!("finished")),
            "{point}: {now}\n{story}"
        );
        let version = format!("1.1.{patch}");
        assert_eq!(
            (lab.current("base"), lab.current("site")),
            (version.clone(), version),
            "{point}"
        );
        lab.until_generation().await;
        let outcome = agents.stop(&lab.data()).await;
        assert!(outcome.lines > 0, "{point}: {outcome:?}");
    }
    println!("part {part}: killed at {fired} points of a plan");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_goes_on_when_the_base_is_killed_in_the_middle() {
    // req: UPD-08
    killed(0, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_goes_on_when_the_base_is_killed_anywhere_else() {
    // req: UPD-08
    killed(1, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_wish_installs_the_base_and_then_the_site_that_needs_it() {
    let mut lab = Lab::serving().await;
    let agents = Agents::start(lab.address, 5);
    let first = lab.until_generation().await;
    let site = publish(&lab, 1, "");
    lab.world.publish(&site);
    let checked = lab.until_answer(Method::POST, "updates/check", None).await;
    let cards = checked["packages"].as_array().expect("cards");
    let card = cards.iter().find(|card| card["target"] == site.target.as_str()).expect("a card");
    assert_eq!(card["status"], "blocked", "{card}");
    let steps: Vec<_> =
        card["way"].as_array().expect("a way").iter().map(|step| step["target"].clone()).collect();
    assert_eq!((steps.len(), &card["blocked"]["by"]), (2, &steps[0]), "{card}");
    // Alone it is refused: what was agreed to is not what it takes.
    let alone = json!({ "target": site.target, "steps": [site.target] });
    let (status, refused) =
        lab.api(Method::POST, "updates/install", Some(&alone)).await.expect("an answer");
    assert_eq!(status, 409, "{refused}");
    lab.begin_install(&site).await;
    let now = progress(&lab).await;
    assert_eq!(
        (&now["plan"]["step"], &now["plan"]["of"], &now["done"]),
        (&json!(1), &json!(2), &json!(false)),
        "{now}"
    );
    assert_eq!(lab.end().await, "contracted", "{}", lab.story().await);
    let now = progress(&lab).await;
    assert_eq!(now["attempts"].as_array().map(Vec::len), Some(2), "{now}");
    assert_eq!((lab.current("base"), lab.current("site")), ("1.1.1".into(), "1.1.1".into()));
    assert_ne!(lab.until_generation().await, first);
    let story = lab.story().await;
    for words in [
        "Step 1 of 2. ",
        "Step 2 of 2. ",
        "All 2 steps are installed: base 1.1.1 (rev 1), then site 1.1.1 (rev 1).",
    ] {
        assert!(story.contains(words), "{words} is not in\n{story}");
    }
    // Without another check it is known that nothing is left to install.
    let all = lab.api(Method::POST, "updates/install", Some(&json!({ "all": true }))).await;
    assert_eq!(all.map(|(status, _)| status), Ok(409));
    // Each step has its own way back, in the order that leaves no requirement open.
    let (status, refused) = lab
        .api(Method::POST, "updates/rollback", Some(&json!({ "kind": "base" })))
        .await
        .expect("an answer");
    assert_eq!(
        (status, refused["remedy"].as_str()),
        (409, Some("Roll back the site first.")),
        "{refused}"
    );
    assert_eq!(lab.roll_back("site").await, "contracted", "{}", lab.story().await);
    assert_eq!(lab.roll_back("base").await, "contracted", "{}", lab.story().await);
    assert_eq!((lab.current("base"), lab.current("site")), ("1.0.0".into(), "1.0.0".into()));
    let outcome = agents.stop(&lab.data()).await;
    assert!(outcome.failed.is_empty(), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_fails_ends_the_plan_and_what_was_installed_before_stays() {
    let mut lab = Lab::serving().await;
    let agents = Agents::start(lab.address, 3);
    let first = lab.until_generation().await;
    let bad = publish(&lab, 1, "crash-at-start");
    // A third step that is never begun.
    let next = packages::site_that_needs(Release::new(1, 2, 0, 1), "", &["base >=1.2"]);
    lab.begin_install(&bad).await;
    assert_eq!(lab.end().await, "rolled-back", "{}", lab.story().await);
    let now = progress(&lab).await;
    assert_eq!(
        (&now["plan"]["state"], &now["plan"]["step"]),
        (&json!("stopped"), &json!(2)),
        "{now}"
    );
    let states: Vec<_> = now["plan"]["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .map(|step| step["state"].clone())
        .collect();
    assert_eq!(states, ["done", "failed"], "{now}");
    let text = now["text"].as_str().unwrap_or_default();
    assert!(text.contains("the database is on fire"), "{text}");
    assert!(
        text.contains("The plan stopped at step 2 of 2. base 1.1.1 (rev 1) stays installed."),
        "{text}"
    );
    assert_eq!((lab.current("base"), lab.current("site")), ("1.1.1".into(), "1.0.0".into()));
    assert_eq!(lab.until_generation().await, first, "the old site never stopped");
    // What was put back leaves the disk at once, and is remembered all the same.
    let (sha256, _) = host::sha256_of(&mut &bad.bytes[..]).expect("bytes");
    assert!(!lab.data().join("packages").join(sha256.to_string()).exists(), "its slot");
    assert!(!lab.data().join("downloads").join(format!("{sha256}.pkg")).exists(), "its file");
    let checked = lab.until_answer(Method::POST, "updates/check", None).await.to_string();
    assert!(checked.contains("It is not offered again by itself"), "{checked}");
    // After a restart it is still over, and the next wish is heard.
    lab.stop();
    lab.start();
    lab.until_generation().await;
    assert_eq!(progress(&lab).await["plan"]["state"], "stopped");
    lab.world.publish(&packages::base(Release::new(1, 2, 0, 1), ""));
    assert_eq!(lab.install(&next).await, "contracted", "{}", lab.story().await);
    assert_eq!((lab.current("base"), lab.current("site")), ("1.2.0".into(), "1.2.0".into()));
    let outcome = agents.stop(&lab.data()).await;
    assert!(outcome.lines > 0, "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_between_two_steps_costs_nothing() {
    // req: UPD-08
    let mut lab = Lab::serving().await;
    let site = publish(&lab, 1, "");
    lab.begin_install(&site).await;
    while progress(&lab).await["plan"]["step"] != 2 {
        tokio::task::yield_now().await;
    }
    lab.power_off();
    lab.start();
    lab.until_answer(Method::GET, "status", None).await;
    assert_eq!(lab.end().await, "contracted", "{}", lab.story().await);
    assert_eq!((lab.current("base"), lab.current("site")), ("1.1.1".into(), "1.1.1".into()));
    lab.until_generation().await;
}
