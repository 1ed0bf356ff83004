//! A database only grows, and neighbouring programs share it.

mod common;

use std::time::Duration;

use common::{Db, NOW, agent, caller, later, operator, session};
use model::{Generation, SessionOutcome, SessionState};
use sluis_store::{Error, LEVEL_MAX, Leg, Migrated, NewLeg, SessionEnd, Store, migrate};
use sqlx::Connection;

fn leg(new: &sluis_store::NewSession, resumed_from: Option<u64>, stall_ms: u64) -> NewLeg {
    NewLeg {
        session: new.id,
        leg: Leg::Agent,
        resumed_from,
        stall: Duration::from_millis(stall_ms),
        peer: None,
    }
}

#[tokio::test]
async fn migrating_again_changes_nothing_and_never_goes_down() {
    let db = Db::new(1).await;
    let again = migrate(&db.path(), 1, NOW).await.expect("nothing to do");
    assert_eq!(again, Migrated { from: 1, to: 1 });
    let up = migrate(&db.path(), 2, NOW).await.expect("expands");
    assert_eq!(up, Migrated { from: 1, to: 2 });
    // The program that is rolled back to asks for its own level, and gets to work on what is there.
    let back = migrate(&db.path(), 1, NOW).await.expect("nothing is taken away");
    assert_eq!(back, Migrated { from: 2, to: 2 });
}

#[tokio::test]
async fn many_may_migrate_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("site.db");
    let tries: Vec<_> = (0..4)
        .map(|_| {
            let path = path.clone();
            tokio::spawn(async move { migrate(&path, LEVEL_MAX, NOW).await })
        })
        .collect();
    for task in tries {
        assert_eq!(task.await.expect("ran").expect("migrated").to, LEVEL_MAX);
    }
}

#[tokio::test]
async fn a_program_refuses_a_database_that_is_not_ready_and_says_what_to_run() {
    let db = Db::new(1).await;
    let error = Store::open(&db.path(), 2, Generation(1)).await.map(drop).expect_err("too old");
    let text = error.to_string();
    assert!(text.contains("has schema level 1, and this program needs 2"), "{text}");
    assert!(text.contains("sluis-site migrate --to 2"), "{text}");

    let missing = db.path().with_file_name("none.db");
    let error = Store::open(&missing, 1, Generation(1)).await.map(drop).expect_err("missing");
    assert!(matches!(error, Error::SchemaBehind { found: 0, .. }), "{error}");
    assert!(!missing.exists(), "opening makes no file");

    let error = migrate(&db.path(), 99, NOW).await.expect_err("unknown");
    assert!(matches!(error, Error::SchemaUnknown { wanted: 99, .. }), "{error}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_told_apart_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("site.db");
    std::fs::write(&path, [b'x'; 8192]).expect("writes");
    let error = Store::open(&path, 1, Generation(1)).await.map(drop).expect_err("garbage");
    assert!(matches!(error, Error::HostDamaged { .. }), "{error:?}");
    let error = migrate(&path, 1, NOW).await.expect_err("garbage");
    assert!(matches!(error, Error::HostDamaged { .. }), "{error:?}");
    assert_eq!(std::fs::read(&path).expect("reads"), [b'x'; 8192]);
}

#[tokio::test]
async fn a_program_stays_away_from_a_database_that_dropped_what_it_needs() {
    let db = Db::new(2).await;
    let url = format!("sqlite://{}", db.path().display());
    let mut later_release = sqlx::SqliteConnection::connect(&url).await.expect("opens");
    let contract = "INSERT INTO schema_level (level, oldest_program, applied_at) VALUES (3, 2, 0)";
    sqlx::query(contract).execute(&mut later_release).await.expect("contracts");
    let error = Store::open(&db.path(), 1, Generation(1)).await.map(drop).expect_err("too old");
    assert!(matches!(error, Error::SchemaAhead { oldest: 2, level: 1, .. }), "{error}");
    let error = migrate(&db.path(), 1, NOW).await.expect_err("too old");
    assert!(matches!(error, Error::SchemaAhead { .. }), "{error}");
    db.open(2, 1).await.probe_write(NOW).await.expect("its neighbour goes on");
}

// What makes the hand-over, and the way back from it, possible: the older program goes on.
#[tokio::test]
async fn a_program_of_level_1_works_on_while_and_after_the_schema_expands() {
    let db = Db::new(1).await;
    let old = db.open(1, 1).await;
    let ruth = operator(&old, "ruth", false).await;
    let web = agent(&old, "web-1", 1).await;
    let first = session(&ruth, web.id, NOW);
    old.sessions().open(first.clone()).await.expect("before");

    migrate(&db.path(), 2, NOW).await.expect("expands under its feet");
    let new = db.open(2, 2).await;

    // The session of before moves over, and its resume is written down.
    new.sessions().leg_attached(leg(&first, Some(4096), 80), later(5)).await.expect("a leg");
    new.sessions().live(first.id).await.expect("live");

    // The old program opens, ends and lists sessions, and never meets a leg.
    let second = session(&ruth, web.id, later(6));
    old.sessions().open(second.clone()).await.expect("after");
    old.sessions().leg_attached(leg(&second, Some(1), 9), later(7)).await.expect("no place for it");
    old.sessions().live(second.id).await.expect("live");
    let end = |outcome| SessionEnd { outcome, bytes_out: 10, bytes_in: 2 };
    assert!(
        old.sessions()
            .ended(second.id, end(SessionOutcome::Exited(0)), later(8))
            .await
            .expect("ends")
    );
    let live = old.sessions().list_live().await.expect("lists");
    assert_eq!(live.iter().map(|session| session.id).collect::<Vec<_>>(), [first.id]);
    assert_eq!(live[0].stalls, None);

    // The new one sees what both wrote.
    let seen = new.sessions().by_id(first.id).await.expect("reads").expect("there");
    let stalls = seen.stalls.expect("level 2");
    assert_eq!((stalls.resume_count, stalls.stall_max), (1, Duration::from_millis(80)));
    let seen =
        new.by(&caller(&ruth)).sessions().by_id(second.id).await.expect("reads").expect("there");
    assert_eq!(seen.state, SessionState::Ended);
    assert_eq!(seen.stalls.expect("level 2").resume_count, 0);
    assert_eq!(new.sessions().legs(second.id).await.expect("reads"), []);

    // Rolled back to level 1, a program ends a session that has legs, and sweeps.
    let back = db.open(1, 3).await;
    assert!(
        back.sessions().ended(first.id, end(SessionOutcome::Closed), later(9)).await.expect("ends")
    );
    back.fence("upkeep", later(9)).await.expect("fence").sweep(later(9)).await.expect("sweeps");
}
