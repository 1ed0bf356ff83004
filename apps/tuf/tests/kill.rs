//! `sluis-tuf` killed at every system call that it makes on its store.
//!
//! One refresh that takes everything along — new roots, a recovery from fast-forward, all roles —
//! is traced once. Then it is repeated from the same state, killed at the first call on the
//! store, at the second, and so on. After each kill the next run must recover, and a repository
//! that went back must be refused. It takes `strace`.
// req: UPD-11
#![cfg(target_os = "linux")]

#[path = "../../../adapters/tuf-client/tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use support::repo::Repo;
use support::server::Server;
use tokio::process::Command;
use tuf::schema::RoleType;

/// One system call of a run: its name, and that it is the n-th of that name in its thread.
type Call = (String, usize);

struct Rig {
    directory: tempfile::TempDir,
    server: Server,
    /// One that serves the repository as it was before.
    old: Server,
}

impl Rig {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    async fn refresh(&self, trusted: &Path, server: &Server) -> bool {
        let mut command = command(&[], trusted, server, &["refresh"]);
        command.status().await.expect("it runs").success()
    }

    /// A fresh copy of a directory.
    fn copy(&self, from: &str, to: &str) -> PathBuf {
        let to = self.path(to);
        let _ = fs::remove_dir_all(&to);
        fs::create_dir_all(&to).expect("a directory");
        for entry in fs::read_dir(self.path(from)).expect("a directory") {
            let path = entry.expect("an entry").path();
            fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("a copy");
        }
        to
    }
}

/// A command that runs `sluis-tuf` on a store, maybe below others such as `strace`.
fn command(below: &[String], trusted: &Path, server: &Server, verb: &[&str]) -> Command {
    let program = env!("CARGO_BIN_EXE_sluis-tuf").to_owned();
    let mut words: Vec<String> = below.to_vec();
    words.push(program);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).arg("--metadata-dir").arg(trusted);
    command.arg("--metadata-url").arg(server.metadata_url());
    command.args(verb).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command
}

/// Versions 1 of everything, then a repository that is newer in every way.
async fn rig() -> Rig {
    let directory = tempfile::tempdir().expect("a directory");
    let mut repo = Repo::usual(&directory.path().join("repository"));
    repo.write();
    repo.bump_all();
    let (server, old) = (Server::start().await, Server::start().await);
    let step = repo.write();
    old.directory(&directory.path().join("repository/0"));
    server.directory(&step);
    let rig = Rig { directory, server, old };

    let trusted = rig.path("begin");
    let root = rig.path("repository/root.json").to_string_lossy().into_owned();
    let mut init = command(&[], &trusted, &rig.server, &["init", &root]);
    assert!(init.status().await.expect("it runs").success());
    assert!(rig.refresh(&trusted, &rig.server).await, "the first refresh");

    let signers = repo.rotate(RoleType::Root);
    let both = [signers, repo.signers["root"].clone()].concat();
    repo.publish_root(Some(both));
    repo.rotate(RoleType::Timestamp);
    repo.publish_root(None);
    repo.bump_all();
    rig.server.directory(&repo.write());
    rig
}

/// The calls of one run that name the store, or a file that was opened in it.
async fn trace(rig: &Rig, verb: &[&str], trusted: &Path) -> Vec<Call> {
    let log = rig.path("trace");
    let strace = ["strace", "-f", "-y", "-qq", "-o", &log.to_string_lossy()].map(str::to_owned);
    let status = command(&strace, trusted, &rig.server, verb).status().await;
    let status = status.expect("strace is missing; `cargo xtask test` installs it");
    assert!(status.success(), "the traced run fails");
    let text = fs::read_to_string(&log).expect("a trace");
    let store = trusted.to_string_lossy().into_owned();
    let main = text.split_whitespace().next().expect("a process id").to_owned();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in text.lines() {
        let (thread, rest) = line.split_once(' ').expect("a process id");
        let Some((name, _)) = rest.trim_start().split_once('(') else { continue };
        // Other threads resolve names and such: the store is used by the first one alone.
        if thread != main || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            continue;
        }
        let count = counts.entry(name.to_owned()).or_default();
        *count += 1;
        // The command line names the store too.
        if rest.contains(&store) && name != "execve" {
            calls.push((name.to_owned(), *count));
        }
    }
    calls
}

/// Runs and kills; says whether it died of it.
async fn kill(rig: &Rig, verb: &[&str], trusted: &Path, (name, n): &Call) -> bool {
    let inject = format!("inject={name}:signal=KILL:when={n}");
    let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &inject].map(str::to_owned);
    let status = command(&strace, trusted, &rig.server, verb).status().await;
    !status.expect("strace runs").success()
}

/// The versions that the files of a store say, as far as they can be read.
fn versions(trusted: &Path) -> BTreeMap<&'static str, u64> {
    let version = |role: &str| {
        let bytes = fs::read(trusted.join(format!("{role}.json"))).ok()?;
        serde_json::from_slice::<serde_json::Value>(&bytes).ok()?["signed"]["version"].as_u64()
    };
    ["root", "timestamp", "snapshot", "targets"]
        .into_iter()
        .filter_map(|role| Some((role, version(role)?)))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_system_call_it_recovers_and_never_goes_back() {
    let rig = rig().await;
    let traced = rig.copy("begin", "traced");
    let calls = trace(&rig, &["refresh"], &traced).await;
    let newest = versions(&traced);
    assert_eq!(newest.values().copied().collect::<Vec<_>>(), [3, 3, 3, 3], "{newest:?}");

    let (mut killed, mut recovered, mut went_back) = (0, 0, 0);
    let mut stages: BTreeMap<String, usize> = BTreeMap::new();
    for call in &calls {
        let trusted = rig.copy("begin", "killed");
        if !kill(&rig, &["refresh"], &trusted, call).await {
            continue;
        }
        killed += 1;
        *stages.entry(format!("{:?}", versions(&trusted))).or_default() += 1;
        // Somebody serves what was valid once: whatever was trusted must not go back.
        let tempted = rig.copy("killed", "tempted");
        let accepted = rig.refresh(&tempted, &rig.old).await;
        let back = versions(&tempted).iter().any(|(role, is)| *is < 2 && *role != "root");
        went_back += usize::from(accepted || back);
        recovered +=
            usize::from(rig.refresh(&trusted, &rig.server).await && versions(&trusted) == newest);
    }
    println!(
        "Killed at {killed} of {} system calls: {recovered} recovered, {went_back} went back",
        calls.len()
    );
    println!("What the files said after the kills: {stages:#?}");
    // The last calls, while the process ends, may come too late to matter.
    assert!(killed + 5 >= calls.len() && killed > 100, "only {killed} of {}", calls.len());
    assert_eq!((recovered, went_back), (killed, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_it_is_initialised_it_starts_again() {
    let rig = rig().await;
    let root = rig.path("repository/root.json").to_string_lossy().into_owned();
    let calls = trace(&rig, &["init", &root], &rig.path("traced")).await;
    let (mut killed, mut recovered) = (0, 0);
    for call in &calls {
        let trusted = rig.path("killed");
        let _ = fs::remove_dir_all(&trusted);
        if !kill(&rig, &["init", &root], &trusted, call).await {
            continue;
        }
        killed += 1;
        let mut again = command(&[], &trusted, &rig.server, &["init", &root]);
        let initialised = again.status().await.expect("it runs").success();
        recovered += usize::from(initialised && rig.refresh(&trusted, &rig.server).await);
    }
    println!("Killed at {killed} of {} system calls of init: {recovered} recovered", calls.len());
    assert!(killed + 5 >= calls.len() && killed > 10, "only {killed} of {}", calls.len());
    assert_eq!(recovered, killed);
}
