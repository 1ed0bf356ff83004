//! The table of attacks: what a client answers to each repository, step by step.
//!
//! The same table holds for repositories that python-tuf made and for those of our own signing
//! side. The scenarios are described in `tests/tuf/generate.py`.
// req: UPD-11

extern crate sluis_tuf_client as tuf_client;

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use model::Timestamp;
use support::server::Server;
use support::{LATER, NOW};
use tuf_client::{Error, TrustedStore};

/// One visit of a client: it opens what it trusts, refreshes, and may download something.
struct Visit {
    /// Which step of the repository it meets.
    step: usize,
    now: Timestamp,
    target: Option<&'static str>,
    /// `ok`, `root N` when it ends well with that root, `= content` of a target, or an error.
    answer: &'static str,
}

const fn refresh(step: usize, answer: &'static str) -> Visit {
    Visit { step, now: NOW, target: None, answer }
}

const fn later(step: usize, answer: &'static str) -> Visit {
    Visit { step, now: LATER, target: None, answer }
}

const fn get(step: usize, target: &'static str, answer: &'static str) -> Visit {
    Visit { step, now: NOW, target: Some(target), answer }
}

const A: &str = "a.txt";
const B: &str = "base/b.pkg";

const TABLE: &[(&str, &[Visit])] = &[
    // Nothing wrong.
    (
        "plain",
        &[
            get(0, A, "= content of a"),
            get(0, B, "= content of b"),
            get(0, "none", "target unknown"),
            get(0, "base/none", "target unknown"),
        ],
    ),
    ("update", &[refresh(0, "root 1"), get(1, A, "= newer content of a")]),
    ("not-consistent", &[get(0, A, "= content of a"), get(0, B, "= content of b")]),
    ("other-keys", &[refresh(0, "root 2"), get(0, A, "= content of a")]),
    // Rollback.
    ("rollback-timestamp", &[refresh(0, "ok"), refresh(1, "timestamp rollback")]),
    ("rollback-snapshot", &[refresh(0, "ok"), refresh(1, "timestamp rollback")]),
    ("rollback-targets", &[refresh(0, "ok"), refresh(1, "snapshot rollback")]),
    ("rollback-delegated", &[refresh(0, "ok"), refresh(1, "snapshot rollback")]),
    ("vanished", &[refresh(0, "ok"), refresh(1, "snapshot vanished")]),
    // Freeze and expiry; a clock that steps forward and back again leaves no trace.
    ("freeze", &[refresh(0, "ok"), later(1, "timestamp expired"), refresh(1, "ok")]),
    ("expired-root", &[refresh(0, "ok"), refresh(1, "root expired")]),
    ("expired-timestamp", &[refresh(0, "ok"), refresh(1, "timestamp expired")]),
    ("expired-snapshot", &[refresh(0, "ok"), refresh(1, "snapshot expired")]),
    ("expired-targets", &[refresh(0, "ok"), refresh(1, "targets expired")]),
    ("expired-base", &[refresh(0, "ok"), get(1, B, "base expired")]),
    // Mix-and-match.
    ("mixed-snapshot", &[refresh(0, "ok"), refresh(1, "snapshot hash")]),
    ("mixed-targets", &[refresh(0, "ok"), refresh(1, "targets hash")]),
    ("mixed-base", &[refresh(0, "ok"), get(1, B, "base hash")]),
    ("mixed-version-snapshot", &[refresh(0, "ok"), refresh(1, "snapshot version")]),
    ("mixed-version-targets", &[refresh(0, "ok"), refresh(1, "targets version")]),
    ("mixed-version-base", &[refresh(0, "ok"), get(1, B, "base version")]),
    // Arbitrary software and wrong keys.
    ("arbitrary-target", &[get(0, A, "target hash"), get(0, B, "target length")]),
    ("short-target", &[get(0, A, "fetch broken")]),
    ("wrong-key-root", &[refresh(0, "ok"), refresh(1, "root signatures")]),
    ("wrong-key-timestamp", &[refresh(0, "ok"), refresh(1, "timestamp signatures")]),
    ("wrong-key-snapshot", &[refresh(0, "ok"), refresh(1, "snapshot signatures")]),
    ("wrong-key-targets", &[refresh(0, "ok"), refresh(1, "targets signatures")]),
    ("wrong-key-base", &[refresh(0, "ok"), get(1, B, "base signatures")]),
    ("key-of-another-role-timestamp", &[refresh(0, "ok"), refresh(1, "timestamp signatures")]),
    ("key-of-another-role-snapshot", &[refresh(0, "ok"), refresh(1, "snapshot signatures")]),
    ("key-of-another-role-targets", &[refresh(0, "ok"), refresh(1, "targets signatures")]),
    ("unsigned-timestamp", &[refresh(0, "ok"), refresh(1, "timestamp signatures")]),
    ("unsigned-snapshot", &[refresh(0, "ok"), refresh(1, "snapshot signatures")]),
    ("unsigned-targets", &[refresh(0, "ok"), refresh(1, "targets signatures")]),
    ("unsigned-base", &[refresh(0, "ok"), get(1, B, "base signatures")]),
    ("wrong-key-right-id-timestamp", &[refresh(0, "ok"), refresh(1, "timestamp signatures")]),
    ("wrong-key-right-id-snapshot", &[refresh(0, "ok"), refresh(1, "snapshot signatures")]),
    ("wrong-key-right-id-targets", &[refresh(0, "ok"), refresh(1, "targets signatures")]),
    ("wrong-key-right-id-base", &[refresh(0, "ok"), get(1, B, "base signatures")]),
    // Thresholds.
    ("threshold-met", &[get(0, B, "= content of b")]),
    ("threshold-short", &[get(0, B, "base signatures")]),
    ("threshold-same-signature-twice", &[get(0, B, "base signatures")]),
    ("threshold-one-key-two-ids", &[get(0, B, "base signatures")]),
    (
        "threshold-raised",
        &[refresh(0, "root 1"), refresh(1, "snapshot signatures"), refresh(2, "root 2")],
    ),
    ("another-type", &[refresh(0, "timestamp type")]),
    // Root rotation.
    ("root-in-order", &[refresh(0, "root 1"), refresh(1, "root 7"), get(1, B, "= content of b")]),
    ("root-gap", &[refresh(0, "root 1"), refresh(1, "root 1")]),
    ("root-skipped", &[refresh(0, "root 1"), refresh(1, "root version")]),
    ("root-again", &[refresh(0, "root 1"), refresh(1, "root version")]),
    ("root-without-old-keys", &[refresh(0, "root 1"), refresh(1, "root signatures")]),
    ("root-without-new-keys", &[refresh(0, "root 1"), refresh(1, "root signatures")]),
    ("fast-forward-timestamp", &[refresh(0, "root 1"), refresh(1, "root 2")]),
    ("fast-forward-snapshot", &[refresh(0, "root 1"), refresh(1, "root 2")]),
    ("fast-forward-without-rotation", &[refresh(0, "ok"), refresh(1, "timestamp rollback")]),
    // Delegations.
    ("order-first-wins", &[get(0, "x/t", "= of the first")]),
    ("order-depth-first", &[get(0, "x/t", "= of the deep")]),
    ("terminating", &[get(0, "x/t", "target unknown"), get(0, "y/t", "= of the second")]),
    ("terminating-below", &[get(0, "x/t", "target unknown")]),
    (
        "paths",
        &[
            get(0, "base/deep/t", "target unknown"),
            get(0, "site/t", "target unknown"),
            get(0, "base", "target unknown"),
            get(0, "exact/c.pkg", "target unknown"),
            get(0, "exact/b.pkg", "= its business"),
        ],
    ),
    ("hash-prefixes", &[get(0, "some/t", "= in the bin"), get(0, "other/t", "target unknown")]),
    ("cycle", &[get(0, "t", "= in the cycle"), get(0, "none", "target unknown")]),
    ("chain-short", &[get(0, "t", "= at the end")]),
    ("chain-long", &[get(0, "t", "target too many roles")]),
    ("two-ways", &[get(0, "x/t", "= by the trusting"), get(0, "y/t", "shared signatures")]),
    ("not-in-snapshot", &[get(0, A, "= content of a"), get(0, B, "base not in snapshot")]),
    // What a client must bear.
    ("unknown-fields", &[refresh(0, "root 2"), get(0, B, "= content of b")]),
    (
        "odd-names",
        &[
            get(0, "odd dir/na me?#%é+&;=@:.pkg", "= odd content"),
            get(0, "../evil", "target bad name"),
        ],
    ),
    ("wrong-length", &[refresh(0, "snapshot too long")]),
    ("wrong-length-longer", &[refresh(0, "snapshot length")]),
    ("wrong-hash", &[refresh(0, "targets hash")]),
    ("unknown-hash", &[refresh(0, "targets unknown hash")]),
    ("missing", &[refresh(0, "targets missing")]),
    ("garbage", &[refresh(0, "timestamp malformed")]),
];

/// Only python-tuf makes these: other kinds of keys, files without versions in their names, and
/// top-level files with a wrong signature under the right id.
const PYTHON_ONLY: &[&str] = &[
    "not-consistent",
    "other-keys",
    "wrong-key-right-id-timestamp",
    "wrong-key-right-id-snapshot",
];

#[tokio::test]
async fn attacks_on_repositories_of_python_tuf() {
    let out = tempfile::tempdir().expect("a directory");
    support::generate_with_python(out.path());
    let made = std::fs::read_dir(out.path()).expect("scenarios").count();
    assert_eq!(made, TABLE.len(), "the table and the generator name different scenarios");
    play(out.path(), &[]).await;
}

#[tokio::test]
async fn attacks_on_repositories_of_our_own() {
    let out = tempfile::tempdir().expect("a directory");
    support::scenarios::generate(out.path());
    play(out.path(), PYTHON_ONLY).await;
}

#[test]
fn python_tuf_follows_repositories_of_our_own() {
    let out = tempfile::tempdir().expect("a directory");
    support::scenarios::generate(out.path());
    for (name, step, target, content) in [
        ("plain", 0, "a.txt", "content of a"),
        ("update", 1, "base/b.pkg", "content of b"),
        ("root-in-order", 1, "base/b.pkg", "content of b"),
        ("threshold-met", 0, "base/b.pkg", "content of b"),
        ("hash-prefixes", 0, "some/t", "in the bin"),
    ] {
        let scenario = out.path().join(name);
        let step = scenario.join(step.to_string());
        let found = support::follow_with_python(&scenario.join("root.json"), &step, target);
        assert_eq!(found, content, "{name}");
    }
}

/// Plays the whole table and then says everything that was otherwise than expected.
async fn play(out: &Path, without: &[&str]) {
    let server = Server::start().await;
    let mut wrong = Vec::new();
    let scenarios = TABLE.iter().filter(|(name, _)| !without.contains(name));
    for (name, visits) in scenarios.clone() {
        let trusted = tempfile::tempdir().expect("a directory");
        let root = std::fs::read(out.join(name).join("root.json")).expect("a root");
        drop(TrustedStore::init(trusted.path(), &root).expect("a root to trust"));
        let mut before = versions(trusted.path());
        for visit in *visits {
            server.directory(&out.join(name).join(visit.step.to_string()));
            let answer = make(&server, trusted.path(), visit).await;
            if answer != visit.answer && !(visit.answer == "ok" && answer.starts_with("root ")) {
                wrong.push(format!("{name}: {answer}, expected {}", visit.answer));
            }
            let after = versions(trusted.path());
            if !name.starts_with("fast-forward-") {
                let back = before.iter().find(|(role, was)| after.get(*role) < Some(*was));
                wrong.extend(back.map(|(role, _)| format!("{name}: {role} went back")));
            }
            before = after;
        }
    }
    println!("{} attacks, {} answered otherwise", scenarios.count(), wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn make(server: &Server, trusted: &Path, visit: &Visit) -> String {
    match try_make(server, trusted, visit).await {
        Ok(answer) => answer,
        Err(error) => support::word(&error),
    }
}

async fn try_make(server: &Server, trusted: &Path, visit: &Visit) -> Result<String, Error> {
    let mut client = support::client(server, TrustedStore::open(trusted)?);
    let root = client.refresh(visit.now).await?.root().version;
    let Some(name) = visit.target else { return Ok(format!("root {root}")) };
    let target = client.target(name).await?;
    let directory = tempfile::tempdir().expect("a directory");
    let downloaded = client.download(&target, directory.path(), &mut |_| {}).await?;
    assert_eq!(downloaded.checked.target(), &target);
    let content = std::fs::read_to_string(downloaded.path).expect("the target");
    Ok(format!("= {content}"))
}

/// The versions in the files of a store.
fn versions(directory: &Path) -> BTreeMap<String, u64> {
    let entries = std::fs::read_dir(directory).expect("a store");
    let mut versions = BTreeMap::new();
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let bytes = std::fs::read(&path).expect("metadata");
            let value: serde_json::Value = serde_json::from_slice(&bytes).expect("metadata");
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            versions.insert(name, value["signed"]["version"].as_u64().expect("a version"));
        }
    }
    versions
}
