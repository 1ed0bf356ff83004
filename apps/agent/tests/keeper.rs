//! The real keeper with real processes: versions that work, crash, hang, get lost.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use model::PublicKey;
use rustix::process::{Pid, Signal, kill_process};
use sluis_agent::config::{CheckInConfig, Config, KeeperConfig};
use sluis_agent::keeper::control::{Answer, Ask, Status, ask};
use sluis_agent::keeper::ledger::Ledger;
use sluis_agent::update::slots::{Slot, Slots};

/// Far above what anything takes; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_mins(1);

struct Agent {
    dir: tempfile::TempDir,
    keeper: Option<Child>,
    peer: TcpListener,
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            // The serving process ends when its keeper is gone.
            let _ = keeper.kill();
            let _ = keeper.wait();
        }
    }
}

impl Agent {
    /// A data folder with a working version in slot A, and its keeper.
    fn start() -> Self {
        Self::start_with(KeeperConfig {
            prove_ms: 4_000,
            silent_ms: 1_500,
            watchdog_ms: 30_000,
            restart_min_ms: 50,
            restart_max_ms: 200,
        })
    }

    fn start_with(keeper: KeeperConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let peer = TcpListener::bind("127.0.0.1:0").unwrap();
        let config = Config {
            site: peer.local_addr().unwrap().to_string(),
            site_keys: vec![PublicKey([1; 32])],
            name: "test".into(),
            agent: None,
            passive: false,
            check_in: CheckInConfig::default(),
            keeper,
        };
        config.save(dir.path()).unwrap();
        let mut agent = Self { dir, keeper: None, peer };
        let installed =
            Slots::new(agent.data()).install(Slot::A, &agent.version("good", 1), None).unwrap();
        Ledger::new(Slot::A, installed).save(agent.data()).unwrap();
        agent.run();
        agent
    }

    fn run(&mut self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluis-agent"));
        command.args(["run", "--data"]).arg(self.data()).stdin(Stdio::null());
        self.keeper = Some(command.spawn().unwrap());
    }

    fn data(&self) -> &Path {
        self.dir.path()
    }

    /// A program that behaves as `mode` says and differs from all others.
    fn version(&self, mode: &str, number: u32) -> PathBuf {
        let path = self.data().join(format!("{mode}-{number}"));
        let mut bytes = std::fs::read(stand_in()).unwrap();
        bytes.extend(format!("{number:<8}{mode:<8}").bytes());
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// The next connection of a serving process, which is told how much of the output is known.
    fn accept(&self, known: usize) -> Link {
        let stream = self.accept_silently();
        (&stream).write_all(format!("hi\nfrom {known}\n").as_bytes()).unwrap();
        Link { stream, seen: Vec::new() }
    }

    fn accept_silently(&self) -> TcpStream {
        self.peer.set_nonblocking(true).unwrap();
        let stream = until("a connection", || self.peer.accept().ok()).0;
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn status(&self) -> Status {
        match ask(self.data(), &Ask::Status).unwrap() {
            Answer::Status(status) => *status,
            other => panic!("{other:?}"),
        }
    }

    fn ledger(&self) -> Ledger {
        Ledger::load(self.data()).unwrap()
    }
}

fn stand_in() -> PathBuf {
    let path = std::env::current_exe().unwrap();
    path.parent().unwrap().parent().unwrap().join("examples/stand_in")
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// One connection of a serving process.
fn send(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process's number");
    kill_process(pid, signal).expect("a process");
}

struct Link {
    stream: TcpStream,
    seen: Vec<u8>,
}

impl Link {
    fn say(&mut self, line: &str) {
        self.stream.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Reads up to and including a text.
    fn read_until(&mut self, text: &str) -> String {
        let mut buffer = [0; 4096];
        while !String::from_utf8_lossy(&self.seen).contains(text) {
            let count = self.stream.read(&mut buffer).unwrap();
            assert!(count > 0, "closed before “{text}”: {:?}", String::from_utf8_lossy(&self.seen));
            self.seen.extend_from_slice(&buffer[..count]);
        }
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    /// Everything until the process lets go of the connection.
    fn read_rest(mut self) -> Vec<u8> {
        // A killed process resets the connection, which is an end too.
        let _ = self.stream.read_to_end(&mut self.seen);
        self.seen
    }
}

/// Prints a numbered line about every 2 ms, and how it ends.
const COUNTER: &str = "open stty -echo; i=0; while [ $i -lt 600 ]; do echo line $i; i=$((i+1)); sleep 0.002; done; read x; echo got $x; exit 42";

fn counted() -> String {
    use std::fmt::Write as _;
    (0..600).fold(String::new(), |mut text, i| {
        write!(text, "line {i}\r\n").unwrap();
        text
    })
}

/// Goes on with a session over everything that `events` does to the agent, and checks each byte.
fn session_survives(agent: &Agent, upgrades: &[(&str, PathBuf)]) -> Link {
    let mut link = agent.accept(0);
    link.say(COUNTER);
    let mut known = Vec::new();
    for (last_line, program) in upgrades {
        link.read_until(last_line);
        link.say(&format!("upgrade {}", program.display()));
        known.extend(link.read_rest());
        link = agent.accept(known.len());
    }
    link.say("type it");
    let rest = link.read_until("ended");
    let all = String::from_utf8(known).unwrap() + &rest;
    let (output, end) = all.split_once("\nended ").unwrap();
    assert_eq!(output, counted() + "got it\r\n");
    assert_eq!(end.trim(), "Some(Exited(42))");
    link
}

// req: CLI-09
#[test]
fn a_session_goes_on_over_upgrades_byte_for_byte() {
    let agent = Agent::start();
    let pid = {
        until("the agent", || ask(agent.data(), &Ask::Status).ok());
        agent.status().pid.unwrap()
    };
    let upgrades =
        [("line 50\r", agent.version("good", 2)), ("line 300\r", agent.version("good", 3))];
    let _link = session_survives(&agent, &upgrades);
    let status = agent.status();
    assert_eq!((status.pid, status.phase.as_str(), status.proven), (Some(pid), "running", true));
    assert_eq!(status.slot, Slot::A, "two switches");
    assert!(agent.ledger().bad.is_empty());
}

// req: CLI-09
#[test]
fn a_session_goes_on_when_the_new_version_crashes_at_start() {
    let agent = Agent::start();
    let _link = session_survives(&agent, &[("line 50\r", agent.version("crash", 2))]);
    let bad = agent.ledger().bad;
    assert!(bad[0].reason.starts_with("it ended by SIGABRT, "), "{}", bad[0].reason);
    assert_eq!(agent.status().slot, Slot::A);
}

// req: CLI-09
#[test]
fn a_session_goes_on_when_the_new_version_crashes_before_it_is_proven() {
    let agent = Agent::start();
    let upgrades =
        [("line 50\r", agent.version("late", 2)), ("line 300\r", agent.version("good", 3))];
    let _link = session_survives(&agent, &upgrades);
    assert_eq!(agent.ledger().bad.len(), 1);
    assert_eq!(agent.status().slot, Slot::B, "the good one came after");
}

// req: CLI-09
#[test]
fn a_session_goes_on_when_the_new_version_hangs() {
    let agent = Agent::start();
    let _link = session_survives(&agent, &[("line 50\r", agent.version("hang", 2))]);
    let bad = agent.ledger().bad;
    assert!(bad[0].reason.starts_with("it hung: it said nothing for 1.5"), "{}", bad[0].reason);
}

// req: CLI-09
#[test]
fn a_session_goes_on_when_the_new_version_does_not_reach_the_site() {
    let agent = Agent::start();
    let _link = session_survives(&agent, &[("line 50\r", agent.version("lost", 2))]);
    let bad = agent.ledger().bad;
    assert_eq!(bad[0].reason, "it did not reach the site within 4.0 s");
}

// req: CLI-09
#[test]
fn what_failed_is_reported_and_not_tried_again_until_told() {
    let agent = Agent::start();
    let crash = agent.version("crash", 2);
    let mut link = agent.accept(0);
    link.say(&format!("upgrade {}", crash.display()));
    link.read_rest();

    let mut link = agent.accept(0);
    link.say("failure");
    link.read_until("failure it ended by SIGABRT");
    until("the keeper to know that it was told", || agent.ledger().untold.is_none().then_some(()));
    link.say(&format!("upgrade {}", crash.display()));
    let refused = link.read_until("not tried again until told");
    assert!(
        refused.contains("not upgraded: the keeper refuses: 1.0.0 (rev 0) was put back before")
    );

    let retry = Command::new(env!("CARGO_BIN_EXE_sluis-agent"))
        .args(["retry", "--data"])
        .arg(agent.data())
        .status();
    assert!(retry.unwrap().success());
    link.say(&format!("upgrade {}", crash.display()));
    link.read_rest();
    let _link = agent.accept(0);
    assert_eq!(agent.ledger().bad.len(), 1, "tried, and failed again");
}

// req: CLI-09
#[test]
fn an_unreachable_network_is_not_blamed_on_the_new_version() {
    let agent = Agent::start();
    let lost = agent.version("lost", 2);
    let mut link = agent.accept(0);
    link.say(&format!("upgrade {}", lost.display()));
    link.read_rest();
    // The version before comes back and finds nobody who says hello either.
    let mut silent = vec![agent.accept_silently()];
    let untold = until("the verdict", || agent.ledger().untold);
    assert!(untold.reason.contains("the network is to blame"), "{}", untold.reason);
    assert!(agent.ledger().bad.is_empty() && !untold.pinned);
    // The network is back: the version may be tried again.
    silent.clear();
    let mut link = agent.accept(0);
    let good = agent.version("good", 3);
    link.say(&format!("upgrade {}", good.display()));
    link.read_rest();
    let _link = agent.accept(0);
    until("the new version", || {
        (agent.status().slot == Slot::B && agent.status().proven).then_some(())
    });
}

#[test]
fn what_cannot_be_executed_leaves_the_agent_as_it_was() {
    let agent = Agent::start();
    let garbage = agent.data().join("garbage");
    std::fs::write(&garbage, b"no program at all").unwrap();
    let mut link = agent.accept(0);
    link.say("open stty -echo; read x; echo got $x");
    let pid = agent.status().pid;
    link.say(&format!("upgrade {}", garbage.display()));
    link.read_until("not upgraded: cannot switch to ");
    link.say("type it");
    link.read_until("got it\r\n");
    assert_eq!(agent.status().pid, pid);
    assert_eq!(agent.ledger().trial, None);
    assert!(agent.ledger().bad[0].reason.contains("Exec format error"));
}

#[test]
fn a_crash_of_the_proven_version_is_restarted() {
    let agent = Agent::start();
    let link = agent.accept(0);
    let first = agent.status().pid.unwrap();
    send(first, Signal::KILL);
    link.read_rest();
    let _link = agent.accept(0);
    let second = until("another process", || agent.status().pid.filter(|pid| *pid != first));
    assert_ne!(first, second);
}

#[test]
fn a_trial_goes_on_when_the_machine_went_down_in_it() {
    let mut agent = Agent::start();
    let mut link = agent.accept(0);
    link.say(&format!("upgrade {}", agent.version("good", 2).display()));
    link.read_rest();
    // Before the new version is proven, everything ends.
    until("the trial", || agent.ledger().trial);
    let mut keeper = agent.keeper.take().unwrap();
    keeper.kill().unwrap();
    keeper.wait().unwrap();
    // What was still connecting when it happened is of no interest.
    agent.peer = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = Config::load(agent.data()).unwrap();
    config.site = agent.peer.local_addr().unwrap().to_string();
    config.save(agent.data()).unwrap();
    until("the serving process to end", || {
        let lock = std::fs::File::open(agent.data().join("lock")).unwrap();
        lock.try_lock().ok()
    });
    agent.run();
    let _link = agent.accept(0);
    until("the new version to be the current one", || {
        let ledger = agent.ledger();
        (ledger.trial.is_none() && ledger.current == Slot::B).then_some(())
    });
    assert!(agent.ledger().bad.is_empty());
}

// req: CLI-05
#[test]
fn an_agent_checks_in_when_told_to_locally() {
    let agent = Agent::start();
    let mut link = agent.accept(0);
    let told = Command::new(env!("CARGO_BIN_EXE_sluis-agent"))
        .args(["checkin", "--data"])
        .arg(agent.data())
        .status();
    assert!(told.unwrap().success());
    link.read_until("checked-in");
}

#[test]
fn commands_say_what_is_wrong_and_what_to_do() {
    let agent = Agent::start();
    let _link = agent.accept(0);
    let run = |arguments: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_sluis-agent")).args(arguments).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let data = agent.data().to_str().unwrap();
    let second = run(&["run", "--data", data]);
    assert!(second.contains("an agent runs in ") && second.contains("stop it first"), "{second}");
    let unenrol = run(&["unenrol", "--data", data]);
    assert!(unenrol.contains("is running; stop it first"), "{unenrol}");
    let nowhere = run(&["run", "--data", "/nowhere"]);
    assert!(nowhere.contains("run `sluis-agent enrol"), "{nowhere}");
    let status = run(&["status", "--data", "/nowhere"]);
    assert!(status.contains("no agent runs in /nowhere"), "{status}");
    let twice = run(&[
        "enrol",
        "--site",
        "h:1",
        "--token",
        "t",
        "--data",
        data,
        "--site-key",
        &"a".repeat(64),
    ]);
    assert!(twice.contains("is enrolled with 127.0.0.1:"), "{twice}");
}

#[test]
fn a_signal_ends_both_processes() {
    let mut agent = Agent::start();
    let link = agent.accept(0);
    let pid = agent.status().pid.unwrap();
    let mut keeper = agent.keeper.take().unwrap();
    send(keeper.id(), Signal::TERM);
    assert!(keeper.wait().unwrap().success());
    link.read_rest();
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    assert!(!agent.data().join("agent.sock").exists());
}
