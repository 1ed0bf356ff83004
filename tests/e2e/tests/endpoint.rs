//! What an administrator and the user of an endpoint do to its Jump Client, and what each side then
//! knows.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use sluis_e2e::bins::program;
use sluis_e2e::rig::{Profile, Rig};

/// A rig with one agent and an administrator's console.
fn rig(agents: &[&str]) -> (Rig, u64, Profile, Vec<std::path::PathBuf>) {
    let mut rig = Rig::new().expect("a rig");
    let package = rig.package("1.0.0", 1, 1).expect("a package");
    rig.migrate(&package).expect("a database");
    let site = rig.start(&package).expect("a generation");
    rig.control(site, "POST", "activate").expect("it accepts");
    let ada = rig.operator("ada").expect("an operator");
    let token = rig.enrolment_token().expect("a token");
    let data = agents.iter().map(|name| rig.agent(name, &token).expect("an agent")).collect();
    rig.wait_agents(site, agents.len() as u64, Duration::from_secs(30)).expect("all connect");
    (rig, site, ada, data)
}

fn agent(words: &[&str], data: &Path) -> Output {
    let mut command = Command::new(program("sluis-agent"));
    command.args(words).arg("--data").arg(data).stdin(Stdio::null()).output().expect("it starts")
}

fn sluis(console: &Profile, words: &[&str]) -> Value {
    let output = console.console().arg("--json").args(words).output().expect("it starts");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words:?}: {error}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Waits until that is so, or fails with what was seen last.
fn until<T: std::fmt::Debug>(what: &str, mut look: impl FnMut() -> T, is_it: impl Fn(&T) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let seen = look();
        if is_it(&seen) {
            return;
        }
        assert!(Instant::now() < deadline, "{what}: {seen:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_jump_client_that_is_taken_off_its_endpoint_is_shown_as_uninstalled() {
    let (mut rig, site, ada, data) = rig(&["web-1"]);
    let running = agent(&["unenrol"], &data[0]);
    assert!(!running.status.success(), "not while it runs");
    rig.stop_clients();
    let gone = agent(&["unenrol"], &data[0]);
    let said = String::from_utf8_lossy(&gone.stdout).into_owned();
    assert!(gone.status.success(), "{}", String::from_utf8_lossy(&gone.stderr));
    assert!(said.contains("lists this Jump Client as uninstalled"), "{said}");
    assert_eq!(sluis(&ada, &["clients", "show", "web-1"])["state"], "uninstalled");
    let log = sluis(&ada, &["audit", "--who", "web-1", "--action", "jump-client.uninstalled"]);
    assert_eq!(log.as_array().map(Vec::len), Some(1), "{log}");
    assert!(!data[0].join("identity.key").exists());

    // Without a site it works too, and says what is left to do.
    let token = rig.enrolment_token().expect("a token");
    let other = rig.agent("web-2", &token).expect("an agent");
    rig.stop_clients();
    rig.kill(site).expect("killed");
    let gone = agent(&["unenrol"], &other);
    let said = String::from_utf8_lossy(&gone.stderr).into_owned();
    assert!(gone.status.success() && said.contains("/login > Jump Clients"), "{said}");
    assert!(!other.join("identity.key").exists());
}

#[test]
fn the_command_that_a_console_is_given_enrols_an_endpoint() {
    let (_rig, _, ada, data) = rig(&["web-1"]);
    let made = sluis(&ada, &["enrolment-tokens", "create", "web servers"]);
    let lines = made["commands"][0]["lines"].as_str().expect("a command");
    let (_, words) = lines.split_once("sluis-agent enrol ").expect("it enrols");
    let words = words.lines().next().unwrap_or_default().trim_end_matches("&&");
    let words = ["enrol", "--name", "web-2"].into_iter().chain(words.split_whitespace());
    let enrolled = agent(&words.collect::<Vec<_>>(), &data[0].with_file_name("web-2"));
    assert!(enrolled.status.success(), "{lines}: {}", String::from_utf8_lossy(&enrolled.stderr));
    let clients = sluis(&ada, &["clients", "list"]);
    assert_eq!(clients.as_array().map(Vec::len), Some(2), "{clients}");
}

#[test]
fn a_jump_client_that_was_removed_learns_it_and_stops_trying() {
    let (rig, site, ada, data) = rig(&["web-1", "web-2"]);
    sluis(&ada, &["clients", "remove", "web-1", "--yes"]);
    let clients = sluis(&ada, &["clients", "list"]);
    let names: Vec<_> =
        clients.as_array().into_iter().flatten().filter_map(|c| c["name"].as_str()).collect();
    assert_eq!(names, ["web-2"]);
    let status = || {
        let output = agent(&["status", "--json"], &data[0]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    until("the agent knows", status, |said| said.contains("is not enrolled here"));
    let status = rig.control(site, "GET", "status").expect("a status");
    assert_eq!(status["agents_connected"], 1, "{status}");
}

/// A session whose remote process says which signal it got.
fn trapping(console: &Profile) -> Child {
    let script = "trap 'echo got; exit 7' INT; echo ready; while :; do sleep 0.05; done";
    let mut exec = console.console();
    exec.args(["exec", "web-1", "--", script]).stdin(Stdio::null()).stdout(Stdio::piped());
    exec.spawn().expect("a session")
}

#[test]
fn a_signal_that_is_sent_while_the_site_is_away_reaches_the_remote_process() {
    let (mut rig, site, ada, _) = rig(&["web-1"]);
    let mut session = trapping(&ada);
    let mut lines = BufReader::new(session.stdout.take().expect("output")).lines();
    assert_eq!(lines.next().expect("a line").expect("text"), "ready");
    rig.kill(site).expect("killed");
    let pid = rustix::process::Pid::from_child(&session);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("sent");
    let package = rig.package("1.0.0", 1, 1).expect("a package");
    let next = rig.start(&package).expect("another generation");
    rig.control(next, "POST", "activate").expect("it accepts");
    assert_eq!(lines.next().expect("a line").expect("text"), "got");
    assert_eq!(session.wait().expect("ended").code(), Some(7), "the status is that of the process");
}
