//! Sessions, their legs and recordings.

mod common;

use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{Db, NOW, agent, caller, later, nobody, operator, session};
use model::{Generation, PublicKey, Release, SessionId, SessionOutcome, SessionState};
use sluis_store::{Actor, AuditFilter, Error, Leg, NewLeg, SessionEnd};

fn end(outcome: SessionOutcome) -> SessionEnd {
    SessionEnd { outcome, bytes_out: 4096, bytes_in: 17 }
}

fn leg(session: SessionId, leg: Leg, resumed_from: Option<u64>, stall_ms: u64) -> NewLeg {
    let stall = Duration::from_millis(stall_ms);
    NewLeg { session, leg, resumed_from, stall, peer: Some("192.0.2.9:5".to_owned()) }
}

#[tokio::test]
async fn a_session_is_written_down_from_its_start_to_its_end() {
    let db = Db::new(2).await;
    let store = db.open(2, 3).await;
    let (root, ruth) =
        (operator(&store, "root", true).await, operator(&store, "ruth", false).await);
    let web = agent(&store, "web", 1).await;
    let mut new = session(&ruth, web.id, NOW);
    new.recording = Some(PathBuf::from("2026/11/a.cast"));
    store.sessions().open(new.clone()).await.expect("opens");
    store.sessions().live(new.id).await.expect("live");
    let seen = store.sessions().by_id(new.id).await.expect("reads").expect("there");
    assert_eq!((seen.state, seen.generation), (SessionState::Live, Generation(3)));
    assert_eq!((seen.operator_name.as_str(), seen.agent_name.as_str()), ("ruth", "web"));

    assert!(
        store
            .sessions()
            .ended(new.id, end(SessionOutcome::Exited(3)), later(9))
            .await
            .expect("ends")
    );
    // The first end counts.
    assert!(
        !store
            .sessions()
            .ended(new.id, end(SessionOutcome::Closed), later(10))
            .await
            .expect("again")
    );
    store.sessions().live(new.id).await.expect("stays ended");
    let seen = store.sessions().by_id(new.id).await.expect("reads").expect("there");
    assert_eq!(seen.state, SessionState::Ended);
    assert_eq!((seen.ended, seen.outcome), (Some(later(9)), Some(SessionOutcome::Exited(3))));
    assert_eq!((seen.bytes_out, seen.bytes_in, seen.recorded), (4096, 17, true));

    let log = store
        .by(&caller(&root))
        .audit()
        .list(&AuditFilter::default(), 10, None)
        .await
        .expect("reads");
    let about: Vec<_> = log.iter().filter(|entry| entry.subject == new.id.to_string()).collect();
    assert_eq!(about[1].action, "session.opened");
    assert_eq!(about[1].actor, Actor::Operator("ruth".to_owned()));
    assert_eq!((about[0].action.as_str(), about.len()), ("session.ended", 2));
}

#[tokio::test]
async fn a_session_needs_those_it_is_between_and_an_id_of_its_own() {
    let db = Db::new(2).await;
    let store = db.open(2, 1).await;
    let ruth = operator(&store, "ruth", false).await;
    let web = agent(&store, "web", 1).await;
    let new = session(&ruth, web.id, NOW);
    store.sessions().open(new.clone()).await.expect("opens");
    let error = store.sessions().open(new.clone()).await.expect_err("taken");
    assert!(matches!(error, Error::CallerConflict(_)), "{error}");
    let mut stranger = session(&ruth, web.id, NOW);
    stranger.operator = nobody();
    let error = store.sessions().open(stranger).await.expect_err("nobody");
    assert!(matches!(error, Error::CallerUnknown { .. }), "{error}");
    let mut escape = session(&ruth, web.id, NOW);
    escape.recording = Some(PathBuf::from("../../etc/passwd"));
    let error = store.sessions().open(escape.clone()).await.expect_err("elsewhere");
    assert!(matches!(error, Error::CallerInput { .. }), "{error}");
    assert_eq!(store.sessions().by_id(escape.id).await.expect("reads"), None, "nothing is left");
}

#[tokio::test]
async fn an_operator_sees_their_own_sessions_and_an_administrator_all() {
    let db = Db::new(2).await;
    let store = db.open(2, 1).await;
    let (root, ruth) =
        (operator(&store, "root", true).await, operator(&store, "ruth", false).await);
    let web = agent(&store, "web", 1).await;
    let (hers, his) = (session(&ruth, web.id, NOW), session(&root, web.id, later(1)));
    for new in [&hers, &his] {
        store.sessions().open(new.clone()).await.expect("opens");
        let path = PathBuf::from(format!("{}.cast", new.id));
        store.recordings().started(new.id, &path, NOW).await.expect("records");
        store.sessions().leg_attached(leg(new.id, Leg::Console, None, 0), NOW).await.expect("leg");
    }
    let mine = store.by(&caller(&ruth));
    let ids = |list: Vec<sluis_store::Session>| list.into_iter().map(|s| s.id).collect::<Vec<_>>();
    assert_eq!(ids(mine.sessions().list_live().await.expect("own")), [hers.id]);
    assert_eq!(mine.sessions().by_id(his.id).await.expect("reads"), None);
    assert_eq!(mine.sessions().legs(his.id).await.expect("reads"), []);
    assert_eq!(mine.recordings().list(10, None).await.expect("own").len(), 1);
    assert_eq!(mine.recordings().by_session(his.id).await.expect("reads"), None);
    let all = store.by(&caller(&root));
    assert_eq!(ids(all.sessions().list_live().await.expect("all")), [hers.id, his.id]);
    assert_eq!(all.recordings().list(10, None).await.expect("all").len(), 2);
    assert!(mine.sessions().open(session(&ruth, web.id, NOW)).await.is_err(), "the site opens");
}

#[tokio::test]
async fn past_sessions_come_page_by_page_without_a_gap() {
    let db = Db::new(2).await;
    let store = db.open(2, 1).await;
    let ruth = operator(&store, "ruth", false).await;
    let web = agent(&store, "web", 1).await;
    let mut ids = Vec::new();
    for n in 0..7 {
        // Several begin in the same millisecond.
        let new = session(&ruth, web.id, later(n / 3));
        store.sessions().open(new.clone()).await.expect("opens");
        store.sessions().ended(new.id, end(SessionOutcome::Closed), later(9)).await.expect("ends");
        ids.push(new.id);
    }
    ids.reverse();
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = store.sessions().list_past(2, before).await.expect("a page");
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        seen.extend(page.iter().map(|session| session.id));
    }
    assert_eq!(seen, ids);
}

#[tokio::test]
async fn an_auditor_sees_every_resume_and_its_stall() {
    let db = Db::new(2).await;
    let (old, new) = (db.open(2, 1).await, db.open(2, 2).await);
    let ruth = operator(&old, "ruth", false).await;
    let web = agent(&old, "web", 1).await;
    let one = session(&ruth, web.id, NOW);
    old.sessions().open(one.clone()).await.expect("opens");
    old.sessions().leg_attached(leg(one.id, Leg::Agent, None, 0), NOW).await.expect("agent");
    old.sessions().leg_attached(leg(one.id, Leg::Console, None, 0), NOW).await.expect("console");

    // The agent moves over first; its old link falls afterwards and must not close the new leg.
    let at = later(10);
    new.sessions().leg_attached(leg(one.id, Leg::Agent, Some(70), 40), at).await.expect("agent");
    old.sessions().leg_detached(one.id, Leg::Agent, later(11)).await.expect("falls");
    old.sessions().leg_detached(one.id, Leg::Console, later(12)).await.expect("falls");
    let at = later(12);
    new.sessions()
        .leg_attached(leg(one.id, Leg::Console, Some(70), 25), at)
        .await
        .expect("console");
    new.sessions().ended(one.id, end(SessionOutcome::Exited(0)), later(20)).await.expect("ends");

    let stalls = new.sessions().by_id(one.id).await.expect("reads").expect("there").stalls;
    let stalls = stalls.expect("level 2");
    assert_eq!((stalls.resume_count, stalls.stall_max), (2, Duration::from_millis(40)));
    let legs: Vec<_> = new
        .by(&caller(&ruth))
        .sessions()
        .legs(one.id)
        .await
        .expect("reads")
        .into_iter()
        .map(|row| (row.leg, row.generation.0, row.detached, row.resumed_from))
        .collect();
    let moved = model::Timestamp(later(10).0 - 40);
    assert_eq!(
        legs,
        [
            (Leg::Agent, 1, Some(moved), None),
            (Leg::Console, 1, Some(later(12)), None),
            (Leg::Agent, 2, Some(later(20)), Some(70)),
            (Leg::Console, 2, Some(later(20)), Some(70)),
        ]
    );
}

#[tokio::test]
async fn a_recording_goes_on_in_one_piece_over_a_hand_over() {
    let db = Db::new(2).await;
    let (old, new) = (db.open(2, 1).await, db.open(2, 2).await);
    let ruth = operator(&old, "ruth", false).await;
    let web = agent(&old, "web", 1).await;
    let mut one = session(&ruth, web.id, NOW);
    one.recording = Some(PathBuf::from("one.cast"));
    old.sessions().open(one.clone()).await.expect("opens");
    new.recordings().started(one.id, Path::new("one.cast"), later(1)).await.expect("again");
    assert_eq!(new.recordings().incomplete().await.expect("reads").len(), 1);
    new.recordings().finished(one.id, 512, [0xab; 32], later(2)).await.expect("finishes");
    let seen = old.recordings().by_session(one.id).await.expect("reads").expect("there");
    assert_eq!((seen.size, seen.chain_head, seen.complete), (512, Some([0xab; 32]), true));
    assert_eq!((seen.started, seen.finished), (NOW, Some(later(2))));
    assert!(new.recordings().incomplete().await.expect("reads").is_empty());
    let other = SessionId(uuid::Uuid::now_v7());
    assert!(new.recordings().finished(other, 1, [0; 32], NOW).await.is_err());
}

#[tokio::test]
async fn the_self_test_leaves_no_trace_in_lists_and_is_swept() {
    let db = Db::new(2).await;
    let store = db.open(2, 1).await;
    let running = Release::new(1, 0, 0, 1);
    let key = PublicKey([8; 32]);
    let actors = store.self_test_actors(&key, &running, NOW).await.expect("makes them");
    assert_eq!(store.self_test_actors(&key, &running, NOW).await.expect("finds them"), actors);
    let ruth = operator(&store, "ruth", false).await;
    let mut probe = session(&ruth, actors.agent, NOW);
    probe.operator = actors.operator;
    probe.recording = Some(PathBuf::from("probe.cast"));
    store.sessions().open(probe.clone()).await.expect("opens");
    store.sessions().leg_attached(leg(probe.id, Leg::Agent, None, 0), NOW).await.expect("a leg");
    assert_eq!(store.sessions().list_live().await.expect("lists"), []);
    assert_eq!(store.agents().list().await.expect("lists"), []);
    assert_eq!(store.operators().list().await.expect("lists"), [ruth]);
    assert!(store.sessions().by_id(probe.id).await.expect("reads").is_some());
    store.sessions().ended(probe.id, end(SessionOutcome::Exited(0)), NOW).await.expect("ends");
    assert_eq!(store.recordings().list(10, None).await.expect("lists"), []);

    let fence = store.fence("upkeep", NOW).await.expect("a fence");
    assert_eq!(fence.sweep(later(60)).await.expect("sweeps").self_test_recordings.len(), 0);
    let swept = fence.sweep(later(3600)).await.expect("sweeps").self_test_recordings;
    assert_eq!(swept, [PathBuf::from("probe.cast")]);
    assert_eq!(store.sessions().by_id(probe.id).await.expect("reads"), None);
}

#[tokio::test]
async fn sessions_that_nobody_resumes_end_with_the_reason() {
    let db = Db::new(2).await;
    let store = db.open(2, 1).await;
    let ruth = operator(&store, "ruth", false).await;
    let web = agent(&store, "web", 1).await;
    let (one, two) = (session(&ruth, web.id, NOW), session(&ruth, web.id, NOW));
    store.sessions().open(one.clone()).await.expect("opens");
    store.sessions().open(two.clone()).await.expect("opens");
    store.sessions().ended(two.id, end(SessionOutcome::Closed), NOW).await.expect("ends");
    let fence = store.fence("upkeep", NOW).await.expect("a fence");
    let ended = fence.sessions_lost(&[one.id, two.id], "the agent restarted", later(5)).await;
    assert_eq!(ended.expect("ends"), 1);
    let seen = store.sessions().by_id(one.id).await.expect("reads").expect("there");
    assert_eq!(seen.outcome, Some(SessionOutcome::Failed("the agent restarted".to_owned())));
}
