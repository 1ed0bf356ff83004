//! The real agent against a small site: enrolment, sessions, updates under them, check-ins.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use model::{Revision, SessionId, Version};
use release::{ClientBuild, ClientKind};
use session::{Channel, Frame, Message, Signal, StartSession, UpgradeAvailable};
use sluis_agent::keeper::control::{Answer, Ask, Status, ask};
use sluis_agent::update::fetch::own_arch;
use support::{Agent, Site, read_output, root};

/// An enrolled agent that runs.
struct Running {
    folder: tempfile::TempDir,
    keeper: Child,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

impl Running {
    async fn start(site: &mut Site, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("given-root.json"), root()).unwrap();
        let data = folder.path().join("data");
        let key = site.key.to_string();
        let given = folder.path().join("given-root.json");
        let mut words = vec!["--root", given.to_str().unwrap(), "--name", "web-1"];
        words.extend(more);
        let enrolled = enrol(site, &key, &data, &words);
        let (output, (hello, _link)) = tokio::join!(enrolled, site.link());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!((hello.name.as_str(), hello.token.as_deref()), ("web-1", Some("token")));
        let keeper = run(&data);
        Self { folder, keeper }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn status(&self) -> Status {
        match ask(&self.data(), &Ask::Status).unwrap() {
            Answer::Status(status) => *status,
            other => panic!("{other:?}"),
        }
    }
}

fn run(data: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluis-agent"));
    command.args(["run", "--data"]).arg(data).stdin(Stdio::null()).spawn().unwrap()
}

/// Runs `enrol` beside the test's own runtime.
fn enrol(
    site: &Site,
    key: &str,
    data: &Path,
    more: &[&str],
) -> impl Future<Output = Output> + use<> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluis-agent"));
    command.args(["enrol", "--token", "token", "--site-key", key]);
    command.args(["--site", &site.address.to_string(), "--data"]).arg(data).args(more);
    async { tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap() }
}

fn build(minor: u64) -> ClientBuild {
    ClientBuild {
        kind: ClientKind::Agent,
        version: Version::new(1, minor, 0),
        revision: Revision(2),
        arch: own_arch(),
    }
}

/// Publishes a program as that version and says how the site offers it.
fn publish(site: &Site, minor: u64, program: &[u8]) -> UpgradeAvailable {
    let build = build(minor);
    let bytes = [program, &build.stamp()].concat();
    site.publish(minor, &build.target_name(), &bytes, serde_json::json!(build));
    UpgradeAvailable {
        target: build.target_name(),
        version: build.version.to_string(),
        revision: build.revision.0,
    }
}

/// How a process stands among the others of the machine.
fn nice(pid: u32) -> i32 {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed());
    rustix::process::getpriority_process(pid).unwrap()
}

fn own_program() -> Vec<u8> {
    std::fs::read(env!("CARGO_BIN_EXE_sluis-agent")).unwrap()
}

fn counter() -> StartSession {
    let command = "stty -echo; i=0; while [ $i -lt 500 ]; do echo line $i; i=$((i+1)); \
                   sleep 0.002; done; exit 42";
    StartSession {
        session: SessionId::from_bytes([4; 16]),
        ticket: vec![1, 2, 3],
        command: Some(command.to_owned()),
        columns: 80,
        rows: 24,
        term: "xterm".to_owned(),
        terminal: true,
        operator: "ada".to_owned(),
    }
}

fn counted() -> String {
    use std::fmt::Write as _;
    (0..500).fold(String::new(), |mut text, i| {
        write!(text, "line {i}\r\n").unwrap();
        text
    })
}

// req: CLI-03
// req: SES-05
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_replaces_itself_under_a_live_session() {
    let mut site = Site::start().await;
    let agent = Running::start(&mut site, &[]).await;
    let (hello, link) = site.link().await;
    assert_eq!((hello.software.as_str(), hello.revision), ("1.0.0", 0));
    let mut first = Agent::new(link).await;
    first.status("current").await;
    let pid = agent.status().pid;

    let (mut reader, writer) = first.session(counter()).await;
    let mut output = Vec::new();
    read_output(&mut reader, &writer, &mut output, Some("line 50\r")).await;
    first.control.1.message(publish(&site, 1, &own_program())).await.unwrap();
    read_output(&mut reader, &writer, &mut output, None).await;
    let gone = Instant::now();
    let (usual, first) = (nice(std::process::id()), nice(pid.unwrap()));
    let raised = rustix::process::geteuid().is_root();
    assert_eq!(first, if raised { usual - 10 } else { usual }, "its sessions wait for it");

    let (hello, link) = site.link().await;
    assert_eq!((hello.software.as_str(), hello.revision), ("1.1.0", 2));
    let mut second = Agent::new(link).await;
    let (mut reader, writer) = second.resumed(&output).await;
    let more = output.len() + 100;
    while output.len() < more {
        let next = format!("line {}\r", String::from_utf8_lossy(&output).lines().count());
        read_output(&mut reader, &writer, &mut output, Some(&next)).await;
    }
    println!("output stood still for {} ms", gone.elapsed().as_millis());
    let exit = read_output(&mut reader, &writer, &mut output, None).await.expect("an exit");
    assert_eq!(String::from_utf8(output).unwrap(), counted());
    assert_eq!(exit.status, Some(42));
    let status = second.status("current").await;
    assert_eq!(status.version, "1.1.0 (rev 2)");
    assert_eq!((agent.status().pid, agent.status().bad), (pid, vec![]), "the same process");
    assert_eq!(nice(pid.unwrap()), usual, "they wait no more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_that_is_sent_twice_reaches_the_process_once() {
    let mut site = Site::start().await;
    let _agent = Running::start(&mut site, &[]).await;
    let (_, link) = site.link().await;
    let first = Agent::new(link).await;
    // The shell would say which signal ended its `sleep`.
    let command = "exec 2>/dev/null; \
                   n=0; trap 'n=$((n+1)); echo got $n' USR1; trap 'echo end; exit 3' TERM; \
                   echo ready; while :; do sleep 0.02; done";
    let start = StartSession { command: Some(command.to_owned()), terminal: false, ..counter() };
    let (mut reader, writer) = first.session(start).await;
    let mut output = Vec::new();
    read_output(&mut reader, &writer, &mut output, Some("ready")).await;
    let send = async |number, serial| {
        writer.message(Signal { number, serial: Some(serial) }).await.unwrap();
    };
    send(10, 1).await;
    read_output(&mut reader, &writer, &mut output, Some("got 1")).await;
    // On a new leg the console sends what it does not know to be taken again.
    send(10, 1).await;
    send(10, 2).await;
    read_output(&mut reader, &writer, &mut output, Some("got 2")).await;
    send(15, 3).await;
    let exit = read_output(&mut reader, &writer, &mut output, None).await.expect("an exit");
    assert_eq!(String::from_utf8(output).unwrap(), "ready\ngot 1\ngot 2\nend\n");
    assert_eq!(exit.status, Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trickle_of_output_comes_several_pieces_at_a_time() {
    let mut site = Site::start().await;
    let _agent = Running::start(&mut site, &[]).await;
    let (_, link) = site.link().await;
    let first = Agent::new(link).await;
    let start = StartSession { terminal: false, ..counter() };
    let (mut reader, writer) = first.session(start).await;
    let (began, mut pieces, mut output) = (Instant::now(), 0, Vec::new());
    loop {
        match reader.next().await.unwrap().expect("an exit").frame {
            Frame::Data { channel, offset, bytes } => {
                writer.ack(offset + bytes.len() as u64).await.unwrap();
                if channel == Channel::Output {
                    pieces += 1;
                    output.extend_from_slice(&bytes);
                }
            }
            Frame::Message(Message::Exit(_)) => break,
            _ => {}
        }
    }
    assert_eq!(String::from_utf8(output).unwrap(), counted().replace('\r', ""));
    // Nobody typed, so it is read thirty times a second.
    let most = began.elapsed().as_millis() / 33 + 3;
    assert!(pieces <= most, "500 lines came in {pieces} pieces, not {most}");
}

// req: CLI-09
#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_does_not_start_is_put_back_reported_and_not_fetched_again() {
    let mut site = Site::start().await;
    let _agent = Running::start(&mut site, &[]).await;
    let (_, link) = site.link().await;
    let mut first = Agent::new(link).await;
    first.status("current").await;
    let (mut reader, writer) = first.session(counter()).await;
    let mut output = Vec::new();
    read_output(&mut reader, &writer, &mut output, Some("line 50\r")).await;
    let bad = publish(&site, 1, b"#!/bin/sh\nexit 7\n");
    first.control.1.message(bad.clone()).await.unwrap();
    read_output(&mut reader, &writer, &mut output, None).await;

    let (hello, link) = site.link().await;
    assert_eq!(hello.software, "1.0.0", "the version before is back");
    let mut second = Agent::new(link).await;
    let (mut reader, writer) = second.resumed(&output).await;
    let exit = read_output(&mut reader, &writer, &mut output, None).await.expect("an exit");
    assert_eq!(String::from_utf8(output).unwrap(), counted());
    assert_eq!(exit.status, Some(42), "also of a process that another one had to reap");
    let failed = second.status("failed").await;
    assert_eq!(failed.version, "1.1.0 (rev 2)");
    assert!(failed.text.starts_with("it ended with exit status 7, "), "{}", failed.text);
    assert_eq!(failed.again, Some(false), "nobody needs to offer it again");

    let downloads = site.downloads();
    second.control.1.message(bad).await.unwrap();
    let refused = second.status("failed").await;
    assert!(refused.text.contains("is not tried again until told"), "{}", refused.text);
    assert_eq!(refused.again, Some(false));
    assert_eq!(site.downloads(), downloads);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_maintainers_did_not_sign_is_not_installed() {
    let mut site = Site::start().await;
    let agent = Running::start(&mut site, &[]).await;
    let (_, link) = site.link().await;
    let mut first = Agent::new(link).await;
    first.status("current").await;
    let offer = publish(&site, 1, &own_program());
    let unknown = UpgradeAvailable { target: "agent/agent-9.9.9-r1-x86_64-linux".into(), ..offer };
    first.control.1.message(unknown).await.unwrap();
    let failed = first.status("failed").await;
    assert!(
        failed.text.contains("cannot be fetched from the site and verified"),
        "{}",
        failed.text
    );

    // A package for another machine, properly signed.
    let other = ClientBuild { arch: "aarch64-linux".into(), ..build(2) };
    site.publish(2, &other.target_name(), b"program", serde_json::json!(other));
    let offer =
        UpgradeAvailable { target: other.target_name(), version: "1.2.0".into(), revision: 2 };
    first.control.1.message(offer).await.unwrap();
    let failed = first.status("failed").await;
    assert!(failed.text.contains("is not an agent for x86_64-linux"), "{}", failed.text);
    assert_eq!(agent.status().release.to_string(), "1.0.0 (rev 0)");
}

// The rule over days is walked in `check_in.rs`.
#[tokio::test(flavor = "multi_thread")]
async fn a_passive_agent_checks_in_at_its_start_and_when_told_to() {
    let mut site = Site::start().await;
    let mut agent = Running::start(&mut site, &["--passive"]).await;
    agent.keeper.kill().unwrap();
    agent.keeper.wait().unwrap();
    let config = agent.data().join("config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("stay_s = 30", "stay_s = 1")).unwrap();
    while site.is_dialled_within(Duration::from_millis(300)).await {}
    agent.keeper = run(&agent.data());

    let (hello, mut link) = site.link().await;
    assert_eq!(hello.passive, Some(true));
    let mut streams = Vec::new();
    while let Some(stream) = link.accept().await {
        streams.push(stream);
    }
    assert!(!site.is_dialled_within(Duration::from_millis(1500)).await, "it stays away");
    let told = Command::new(env!("CARGO_BIN_EXE_sluis-agent"))
        .args(["checkin", "--data"])
        .arg(agent.data())
        .status();
    assert!(told.unwrap().success());
    site.link().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_given_root_that_of_the_site_is_taken_over_the_proven_link() {
    let mut site = Site::start().await;
    publish(&site, 1, b"program");
    let folder = tempfile::tempdir().unwrap();
    let key = site.key.to_string();
    let enrolled = tokio::spawn(enrol(&site, &key, folder.path(), &[]));
    let (_, mut link) = site.link().await;
    site.serve_stream(&mut link).await;
    let output = enrolled.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(std::fs::read(folder.path().join("tuf/root.json")).unwrap(), root());
}

#[tokio::test(flavor = "multi_thread")]
async fn enrolment_refuses_another_site_and_a_root_that_is_none() {
    let site = Site::start().await;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let other = enrol(&site, &"b".repeat(64), &data, &[]).await;
    let text = String::from_utf8(other.stderr).unwrap();
    assert!(text.contains("the server is another site"), "{text}");
    let bad = folder.path().join("bad.json");
    std::fs::write(&bad, "{}").unwrap();
    let key = site.key.to_string();
    let rootless = enrol(&site, &key, &data, &["--root", bad.to_str().unwrap()]).await;
    let text = String::from_utf8(rootless.stderr).unwrap();
    assert!(text.contains("bad.json is no TUF root that can be trusted"), "{text}");
    assert!(!data.join("config.toml").exists());
}
