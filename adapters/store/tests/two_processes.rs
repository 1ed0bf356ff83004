//! Two generations on one file: fences, writers at once, and a writer that is killed.
//!
//! The second process is this test program again, started with an environment variable.

mod common;

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{Db, NOW, agent, later, operator, session};
use model::{Generation, SessionId};
use sluis_store::{Error, Store};
use sqlx::Connection;

const CHILD: &str = "SLUIS_STORE_TEST_CHILD";

/// The part of the second process: opens sessions until it is killed, and prints each that is in.
#[tokio::test]
async fn child() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let store = Store::open(&PathBuf::from(path), 2, Generation(2)).await.expect("opens");
    let ruth = store.operators().by_name("ruth").await.expect("reads").expect("there");
    let web = store.agents().by_name("web").await.expect("reads").expect("there");
    loop {
        let new = session(&ruth, web.id, NOW);
        store.sessions().open(new.clone()).await.expect("opens");
        writeln!(std::io::stdout(), "\nopened {}", new.id).expect("the parent reads");
    }
}

struct Writer {
    process: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Writer {
    fn start(db: &Db) -> Self {
        let mut process = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "child", "--nocapture"])
            .env(CHILD, db.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        Self { process, lines }
    }

    fn next(&mut self) -> Option<SessionId> {
        for line in self.lines.by_ref() {
            if let Some(id) = line.expect("text").strip_prefix("opened ") {
                // The last line may be cut off by the kill.
                return id.parse().ok();
            }
        }
        None
    }

    fn kill(mut self) -> Vec<SessionId> {
        self.process.kill().expect("kills");
        self.process.wait().expect("ends");
        std::iter::from_fn(|| self.next()).collect()
    }
}

async fn filled() -> Db {
    let db = Db::new(2).await;
    let store = db.open(2, 1).await;
    operator(&store, "ruth", false).await;
    agent(&store, "web", 1).await;
    store.close().await;
    db
}

#[tokio::test]
async fn a_killed_writer_loses_nothing_that_it_was_told_is_in() {
    let db = filled().await;
    let mut told = HashSet::new();
    for round in 0..5 {
        let mut writer = Writer::start(&db);
        // Each round is cut at another place.
        for _ in 0..20 + 7 * round {
            told.extend(writer.next());
        }
        told.extend(writer.kill());
    }
    let store = db.open(2, 3).await;
    let there: HashSet<_> =
        store.sessions().list_live().await.expect("reads").into_iter().map(|s| s.id).collect();
    assert!(told.len() >= 5 * 20, "{}", told.len());
    assert!(told.is_subset(&there), "{} of {}", told.intersection(&there).count(), told.len());
    store.probe_write(later(1)).await.expect("writable");
}

#[tokio::test]
async fn two_processes_write_at_once_and_neither_fails() {
    let db = filled().await;
    let store = db.open(2, 1).await;
    let ruth = store.operators().by_name("ruth").await.expect("reads").expect("there");
    let web = store.agents().by_name("web").await.expect("reads").expect("there");
    let mut writer = Writer::start(&db);
    let first = writer.next().expect("it runs");
    let mut mine = Vec::new();
    for _ in 0..200 {
        let new = session(&ruth, web.id, NOW);
        store.sessions().open(new.clone()).await.expect("opens while the other writes");
        store.sessions().live(new.id).await.expect("and moves");
        mine.push(new.id);
    }
    let mut theirs = writer.kill();
    theirs.push(first);
    let there: HashSet<_> =
        store.sessions().list_live().await.expect("reads").into_iter().map(|s| s.id).collect();
    assert!(mine.iter().chain(&theirs).all(|id| there.contains(id)));
    assert!(theirs.len() > 10, "the other one got its turns: {}", theirs.len());
}

#[tokio::test]
async fn a_newer_generation_takes_the_fence_and_the_older_one_writes_nothing_more() {
    let db = filled().await;
    let (old, new) = (db.open(2, 4).await, db.open(2, 5).await);
    let held = old.fence("upkeep", NOW).await.expect("free");
    held.check().await.expect("holds");
    let other = old.fence("queue", NOW).await.expect("another job");
    let taken = new.fence("upkeep", NOW).await.expect("newer");

    let holder = |error| match error {
        Error::Fenced { holder, .. } => holder,
        other => panic!("{other}"),
    };
    assert_eq!(holder(held.check().await.expect_err("lost")), Generation(5));
    assert_eq!(holder(held.sweep(NOW).await.expect_err("lost")), Generation(5));
    assert_eq!(holder(old.fence("upkeep", NOW).await.map(drop).expect_err("older")), Generation(5));
    other.check().await.expect("each job has its own");

    // The newer one fails its trial, and the base puts the older one back.
    let back = old.fence_reclaim("upkeep", NOW).await.expect("put back");
    back.sweep(NOW).await.expect("works again");
    assert_eq!(holder(taken.sweep(NOW).await.expect_err("lost")), Generation(4));
}

#[tokio::test]
async fn the_health_check_says_when_somebody_else_holds_the_database() {
    let db = filled().await;
    let store = db.open(2, 1).await;
    let took = store.probe_write(NOW).await.expect("writable");
    assert!(took < Duration::from_secs(5), "{took:?}");

    let url = format!("sqlite://{}", db.path().display());
    let mut other = sqlx::SqliteConnection::connect(&url).await.expect("opens");
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.expect("holds it");
    let error = store.probe_write(NOW).await.expect_err("held");
    assert!(error.is_passing() && matches!(error, Error::HostBusy { .. }), "{error}");
    // Who only reads is not kept waiting.
    assert_eq!(store.agents().list().await.expect("reads").len(), 1);
    sqlx::query("ROLLBACK").execute(&mut other).await.expect("gives it back");
    store.probe_write(NOW).await.expect("writable again");
}

#[tokio::test]
async fn the_audit_log_only_grows() {
    let db = filled().await;
    let url = format!("sqlite://{}", db.path().display());
    let mut hand = sqlx::SqliteConnection::connect(&url).await.expect("opens");
    for statement in ["DELETE FROM audit", "UPDATE audit SET actor = 'somebody else'"] {
        let error = sqlx::query(statement).execute(&mut hand).await.expect_err("refused");
        assert!(error.to_string().contains("only grows"), "{error}");
    }
}
