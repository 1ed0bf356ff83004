//! Agent releases that fail in every way, under sessions at work: each is put back by the client itself,
//! the site hears why, and the version is not tried again until somebody says so.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use sluis_e2e::bad::{CLIENTS, KEEPER, Story, faulty_agent};
use sluis_e2e::vendor::run;

/// `[limits]` of `base.toml`: as shipped.
const LIMITS: &str = "";

/// How long a client may take to fetch a version, to try it, and to say that it is put back.
const LIMIT: Duration = Duration::from_mins(2);

/// Name of the fault, and what site and client say of it.
const FAULTS: [(&str, &str); 5] = [
    ("crash-at-start", "it ended by SIGABRT"),
    ("hang-at-start", "it hung: it said nothing for 3."),
    ("wrong-address", "it did not reach the site within 10 s"),
    ("wrong-site", "it did not reach the site within 10 s"),
    ("crash-at-resume", "it ended by SIGABRT"),
];

/// Publishes a release whose site works and whose agent does not, and installs it.
fn release(story: &mut Story, fault: &str) -> String {
    let folder = story.appliance.data().parent().expect("a folder").to_owned();
    let agent = faulty_agent(&folder, fault).expect("a faulty agent");
    let agent = format!("agent={}", agent.display());
    let version = story.publish(1, &["--binary", &agent]).expect("published");
    install(story, &version);
    version
}

fn install(story: &Story, version: &str) {
    let outcome = story.appliance.install("site", version).expect("installed");
    assert_eq!(outcome.phase, "contracted", "{}", outcome.text);
}

/// Waits until both clients are shown with the version before and that reason; answers how long it took.
fn put_back(story: &Story, reason: &str) -> Duration {
    let began = Instant::now();
    loop {
        let clients = story.appliance.jump_clients(&story.token).unwrap_or_default();
        let failed = clients.iter().filter(|client| {
            client["version"] == "1.0.0"
                && client["state"] == "upgrade-failed"
                && client["upgrade"].as_str().is_some_and(|text| text.contains(reason))
        });
        if failed.count() == CLIENTS.len() {
            return began.elapsed();
        }
        assert!(began.elapsed() < LIMIT, "“{reason}” is not in {clients:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What `sluis-agent` says on the endpoint.
fn agent(story: &Story, client: &str, what: &[&str]) -> String {
    let folder = story.appliance.data().parent().expect("a folder").to_owned();
    let program = folder.parent().expect("a folder").join("sluis-agent");
    let data = folder.join(format!("agent-{client}"));
    run(Command::new(program).args(what).arg("--data").arg(data)).expect("the agent answers")
}

fn bad_versions(story: &Story, client: &str) -> Vec<String> {
    let status: Value =
        serde_json::from_str(&agent(story, client, &["status", "--json"])).expect("JSON");
    let bad = status["bad"].as_array().expect("a list");
    bad.iter().map(|failure| failure["release"]["version"].as_str().expect("text").into()).collect()
}

// req: CLI-09
#[test]
fn an_agent_that_fails_is_put_back_by_the_client_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut story = Story::begin(folder.path(), LIMITS, KEEPER).expect("an appliance at work");
    let mut rows = vec![];
    for (fault, reason) in FAULTS {
        let version = release(&mut story, fault);
        rows.push((fault, reason, put_back(&story, reason)));
        for client in CLIENTS {
            assert!(bad_versions(&story, client).contains(&version), "{client}, {version}");
        }
    }
    let last = rows.len() + 1;
    not_tried_again_until_told(&story, &format!("1.{last}.0"));
    let (noticed, written) = story.end().expect("nobody lost anything");
    assert_eq!(noticed.http.failed, 0, "{:?}", noticed.http.failures);
    // A new session needs a client that is there, and a version that hangs or finds no way is not.
    let away = |said: &&String| !said.contains("is offline");
    assert_eq!(noticed.refused.iter().find(away), None);

    // Without sessions: what such a version has read of one is gone with it.
    let reason = "it ended 3 times soon after its start: it ended by SIGABRT";
    release(&mut story, "crash-when-proven");
    rows.push(("crash-when-proven", reason, put_back(&story, reason)));
    for (fault, reason, after) in rows {
        println!("{fault:20} {:>6.1} s     0  {reason}", after.as_secs_f64());
    }
    println!("{noticed}\nwritten         {written} times meanwhile, all of it there");
}

/// Offered once more, it is refused; once the client is told to, it tries, and fails, once more.
fn not_tried_again_until_told(story: &Story, version: &str) {
    let offer_again = || {
        assert_eq!(story.appliance.roll_back("site").expect("back").phase, "contracted");
        install(story, version);
    };
    offer_again();
    put_back(story, "is not tried again until told");
    for client in CLIENTS {
        agent(story, client, &["retry"]);
        assert_eq!(bad_versions(story, client), Vec::<String>::new());
    }
    offer_again();
    let began = Instant::now();
    // What the site shows is the same as before; the client knows that it has tried.
    while !CLIENTS.iter().all(|client| bad_versions(story, client).iter().any(|v| v == version)) {
        assert!(began.elapsed() < LIMIT, "{version} is not tried once more");
        std::thread::sleep(Duration::from_millis(50));
    }
    put_back(story, "it ended by SIGABRT");
}
