//! Attacks on repositories that `sluis-release` made, as an operator of a mirror could try them:
//! with every file that was ever published, and with keys of their own.
// req: UPD-11

#[path = "../../../adapters/tuf-client/tests/support/mod.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::Timestamp;
use serde_json::Value;
use support::server::{Mode, Server};
use tuf_client::{Error, Pace, TrustedStore};

/// A repository in three states: first published, with news, and after its root was rotated twice.
struct Rig {
    directory: tempfile::TempDir,
    server: Server,
}

const TARGET: &str = "console/console-1.0.0-r1-x86_64-linux";
const NEWS: &str = "console/console-1.1.0-r1-x86_64-linux";

impl Rig {
    async fn new() -> Self {
        let rig = Self {
            directory: tempfile::tempdir().expect("a folder"),
            server: Server::start().await,
        };
        rig.repository("repo", "keys");
        rig.publish("1.0.0");
        rig.copy("repo", "first");
        rig.publish("1.1.0");
        rig.copy("repo", "second");
        rig.rotate("repo", "keys", "keys2");
        rig.rotate("repo", "keys2", "keys3");
        rig.copy("repo", "third");
        rig.repository("stranger", "strange-keys");
        rig.rotate("stranger", "strange-keys", "strange-keys2");
        rig
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn release(&self, arguments: &[&str]) {
        // All programs are built into one folder.
        let beside = Path::new(env!("CARGO_BIN_EXE_sluis-tuf")).with_file_name("sluis-release");
        let named = std::env::var_os("SLUIS_BIN_DIR");
        let program = named.map_or(beside, |folder| Path::new(&folder).join("sluis-release"));
        let output =
            Command::new(&program).args(arguments).current_dir(self.directory.path()).output();
        let output = output.unwrap_or_else(|error| {
            panic!(
                "{}: {error}; `cargo xtask test` builds the programs before it runs the tests",
                program.display()
            )
        });
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
    }

    fn repository(&self, repo: &str, keys: &str) {
        self.release(&["keys", "create", "--out", keys]);
        self.release(&["repo", "init", "--repo", repo, "--keys", keys]);
    }

    fn publish(&self, version: &str) {
        fs::write(self.path("program"), format!("\x7fELF {version}")).expect("a file");
        self.release(&[
            "build",
            "--kind",
            "console",
            "--version",
            version,
            "--revision",
            "1",
            "--binary",
            "program",
        ]);
        let file = format!("console-{version}-r1-x86_64-linux");
        self.release(&["publish", "--repo", "repo", "--keys", "keys", &file]);
    }

    fn rotate(&self, repo: &str, keys: &str, new: &str) {
        self.release(&["keys", "create", "--out", new]);
        self.release(&["rotate-root", "--repo", repo, "--keys", keys, "--new-keys", new]);
    }

    /// A copy of a state, in place of an earlier one.
    fn copy(&self, from: &str, to: &str) -> PathBuf {
        let _ = fs::remove_dir_all(self.path(to));
        copy_folder(&self.path(from), &self.path(to));
        self.path(to)
    }

    /// Trusts a first root anew, and follows the repository in that state if one is given.
    async fn trusting(&self, state: Option<&str>) -> PathBuf {
        let trusted = self.path("trusted");
        let _ = fs::remove_dir_all(&trusted);
        let root = fs::read(self.path("first/metadata/1.root.json")).expect("a root");
        drop(TrustedStore::init(&trusted, &root).expect("a root to trust"));
        if let Some(state) = state {
            self.server.directory(&self.path(state));
            let answer = self.follow(now(), None).await;
            assert!(answer.starts_with("root "), "{state}: {answer}");
        }
        trusted
    }

    /// Refreshes, and downloads a target if one is named.
    async fn follow(&self, now: Timestamp, target: Option<&str>) -> String {
        match self.try_follow(now, target).await {
            Ok(answer) => answer,
            Err(error) => support::word(&error),
        }
    }

    async fn try_follow(&self, now: Timestamp, target: Option<&str>) -> Result<String, Error> {
        let store = TrustedStore::open(&self.path("trusted"))?;
        let pace = Pace { window: Duration::from_millis(500), bytes: 1000 };
        let mut client = support::client(&self.server, store).with_pace(pace);
        let root = client.refresh(now).await?.root().version;
        let Some(target) = target else { return Ok(format!("root {root}")) };
        let target = client.target(target).await?;
        let downloads = tempfile::tempdir().expect("a folder");
        let downloaded = client.download(&target, downloads.path(), &mut |_| {}).await?;
        let length = fs::metadata(downloaded.path).expect("the target").len();
        Ok(format!("{length} bytes of root {root}"))
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            fs::copy(&path, target).expect("a copy");
        }
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    Timestamp::from_secs(since.as_secs())
}

fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let bytes = fs::read(path).expect("metadata");
    let mut value = serde_json::from_slice(&bytes).expect("metadata");
    change(&mut value);
    fs::write(path, value.to_string()).expect("written");
}

fn replace(from: PathBuf, to: PathBuf) {
    fs::copy(from, to).expect("a copy");
}

/// The one file of a folder whose name ends so.
fn find(folder: &Path, suffix: &str) -> PathBuf {
    let paths =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let found = paths.into_iter().find(|path| path.to_string_lossy().ends_with(suffix));
    found.unwrap_or_else(|| panic!("no {suffix} in {}", folder.display()))
}

#[tokio::test]
async fn a_repository_is_followed_through_news_and_rotations() {
    let rig = Rig::new().await;
    rig.trusting(Some("first")).await;
    let answer = rig.follow(now(), Some(TARGET)).await;
    assert!(answer.ends_with(" bytes of root 1"), "{answer}");
    assert_eq!(rig.follow(now(), Some(NEWS)).await, "target unknown");
    rig.server.directory(&rig.path("second"));
    assert!(rig.follow(now(), Some(NEWS)).await.ends_with(" bytes of root 1"));
    rig.server.directory(&rig.path("third"));
    assert!(rig.follow(now(), Some(NEWS)).await.ends_with(" bytes of root 3"));
    // python-tuf's own client agrees.
    let found = support::follow_with_python(
        &rig.path("first/metadata/1.root.json"),
        &rig.path("third"),
        NEWS,
    );
    assert!(found.contains("ELF 1.1.0"), "{found:?}");
}

/// What is done to a state of the repository.
type Attack = fn(&Rig, &Path);

/// Name, state that was trusted before, state that is attacked, how, what is asked, the answer.
type Row =
    (&'static str, Option<&'static str>, &'static str, Attack, Option<&'static str>, &'static str);

const TABLE: &[Row] = &[
    ("rollback", Some("second"), "first", |_, _| {}, None, "timestamp rollback"),
    (
        "another's timestamp",
        Some("first"),
        "second",
        |rig, to| {
            replace(
                rig.path("stranger/metadata/timestamp.json"),
                to.join("metadata/timestamp.json"),
            );
        },
        None,
        "timestamp signatures",
    ),
    (
        "another's repository, with its rotated root",
        Some("first"),
        "stranger",
        |_, _| {},
        None,
        "root signatures",
    ),
    (
        "an old snapshot under a new name",
        Some("first"),
        "second",
        |_, to| {
            let old = find(&to.join("metadata"), "2.snapshot.json");
            replace(old, find(&to.join("metadata"), "3.snapshot.json"));
        },
        None,
        "snapshot length",
    ),
    (
        "an old role under a new name",
        Some("first"),
        "second",
        |_, to| replace(to.join("metadata/2.agent.json"), to.join("metadata/3.agent.json")),
        Some(NEWS),
        "agent length",
    ),
    (
        "other software of the same length",
        None,
        "second",
        |_, to| {
            let path = find(&to.join("targets/console"), "console-1.1.0-r1-x86_64-linux");
            let length = fs::read(&path).expect("a target").len();
            fs::write(path, vec![b'x'; length]).expect("written");
        },
        Some(NEWS),
        "target hash",
    ),
    (
        "more software than was signed",
        None,
        "second",
        |_, to| {
            let path = find(&to.join("targets/console"), "console-1.1.0-r1-x86_64-linux");
            let more = [fs::read(&path).expect("a target"), vec![b'x'; 10]].concat();
            fs::write(path, more).expect("written");
        },
        Some(NEWS),
        "target length",
    ),
    (
        "a root is missing in the chain",
        Some("second"),
        "third",
        |_, to| fs::remove_file(to.join("metadata/2.root.json")).expect("removed"),
        None,
        "timestamp signatures",
    ),
    (
        "a root too early",
        Some("second"),
        "third",
        |_, to| replace(to.join("metadata/3.root.json"), to.join("metadata/2.root.json")),
        None,
        "root signatures",
    ),
    (
        "a root that one of two signed",
        Some("second"),
        "third",
        |_, to| {
            edit(&to.join("metadata/2.root.json"), |root| {
                root["signatures"].as_array_mut().expect("a list").truncate(1);
            });
        },
        None,
        "root signatures",
    ),
    (
        "a root that one signed twice",
        Some("second"),
        "third",
        |_, to| {
            edit(&to.join("metadata/2.root.json"), |root| {
                let first = root["signatures"][0].clone();
                root["signatures"] = Value::from(vec![first; 6]);
            });
        },
        None,
        "root signatures",
    ),
    (
        "a threshold that the mirror lowered",
        Some("second"),
        "third",
        |_, to| {
            edit(&to.join("metadata/2.root.json"), |root| {
                root["signed"]["roles"]["root"]["threshold"] = Value::from(1);
            });
        },
        None,
        "root signatures",
    ),
    ("nothing wrong", Some("second"), "third", |_, _| {}, None, "root 3"),
];

#[tokio::test]
async fn attacks_on_repositories_of_sluis_release() {
    let rig = Rig::new().await;
    let mut wrong = Vec::new();
    for (name, before, state, attack, target, expected) in TABLE {
        rig.trusting(*before).await;
        let attacked = rig.copy(state, "attacked");
        attack(&rig, &attacked);
        rig.server.directory(&attacked);
        let answer = rig.follow(now(), *target).await;
        if answer != *expected {
            wrong.push(format!("{name}: {answer}, expected {expected}"));
        }
    }
    println!("{} attacks, {} answered otherwise", TABLE.len(), wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // Time and the line.
    rig.trusting(Some("second")).await;
    for (days, answer) in [(100, "timestamp expired"), (3650, "root expired"), (0, "root 1")] {
        let then = now().plus(Duration::from_secs(days * 86_400));
        assert_eq!(rig.follow(then, None).await, answer, "after {days} days");
    }
    for (mode, answer) in [
        (Mode::Endless, "target length"),
        (Mode::Silent, "fetch stalled"),
        (Mode::Cut(5), "fetch broken"),
    ] {
        rig.server.mode("console-1.1.0-r1-x86_64-linux", mode);
        assert_eq!(rig.follow(now(), Some(NEWS)).await, answer, "{mode:?}");
        rig.server.behave();
    }
}
