//! Jump Clients: enrolling, coming and going, and how they stand.

mod common;

use common::{Db, NOW, agent, enrolment, later, operator, token};
use model::{ClientState, Generation, PublicKey, Release, SessionOutcome};
use sluis_store::{Agent, Error, LOST_AFTER, SessionEnd, TokenFault, UpgradeStage};

async fn read(store: &sluis_store::Store, agent: &Agent) -> Agent {
    store.agents().by_id(agent.id).await.expect("reads").expect("there")
}

#[tokio::test]
async fn a_token_enrols_as_many_as_it_may_and_says_why_not_more() {
    let db = Db::new(1).await;
    let store = db.open(1, 1).await;
    let hash = token(&store, "secret", 2).await;
    let agents = store.agents();
    let first = agents.enrol(enrolment(hash, "web", 1), NOW).await.expect("first");
    let second = agents.enrol(enrolment(hash, "web", 2), NOW).await.expect("second");
    assert_eq!((first.name.as_str(), second.name.as_str()), ("web", "web-2"));
    assert_eq!(first.group, "servers");
    // An answer that was lost on the way: the same key asks again, and nothing is used up.
    assert_eq!(agents.enrol(enrolment(hash, "web", 1), NOW).await.expect("again"), first);

    let fault = |error| match error {
        Error::CallerToken(fault) => fault,
        other => panic!("{other}"),
    };
    let used = agents.enrol(enrolment(hash, "db", 3), NOW).await.expect_err("used up");
    assert_eq!(fault(used), TokenFault::UsedUp);
    let other = sluis_store::TokenHash::of("guess");
    let unknown = agents.enrol(enrolment(other, "db", 3), NOW).await.expect_err("unknown");
    assert_eq!(fault(unknown), TokenFault::Unknown);
    let late = token(&store, "late", 1).await;
    let expired = agents.enrol(enrolment(late, "db", 3), later(3600)).await.expect_err("expired");
    assert_eq!(fault(expired), TokenFault::Expired(later(3600)));
}

#[tokio::test]
async fn the_last_use_of_a_token_is_given_once_across_generations() {
    let db = Db::new(1).await;
    let (one, two) = (db.open(1, 1).await, db.open(1, 2).await);
    let hash = token(&one, "secret", 3).await;
    let tries: Vec<_> = (0..20)
        .map(|n| {
            let store = if n % 2 == 0 { one.clone() } else { two.clone() };
            let new = enrolment(hash, "web", n);
            tokio::spawn(async move { store.agents().enrol(new, NOW).await })
        })
        .collect();
    let mut enrolled = Vec::new();
    for task in tries {
        enrolled.extend(task.await.expect("ran").ok().map(|agent| agent.name));
    }
    enrolled.sort();
    assert_eq!(enrolled, ["web", "web-2", "web-3"]);
}

#[tokio::test]
async fn bad_names_are_refused_and_use_nothing_up() {
    let db = Db::new(1).await;
    let store = db.open(1, 1).await;
    let hash = token(&store, "secret", 1).await;
    for name in ["", "\n", &"x".repeat(65)] {
        let error = store.agents().enrol(enrolment(hash, name, 1), NOW).await.expect_err("bad");
        assert!(matches!(error, Error::CallerInput { field: "Name", .. }), "{error}");
    }
    store.agents().enrol(enrolment(hash, "web", 1), NOW).await.expect("still there");
}

#[tokio::test]
async fn a_client_that_moved_to_the_new_generation_stays_online() {
    let db = Db::new(1).await;
    let (old, new) = (db.open(1, 5).await, db.open(1, 6).await);
    let web = agent(&old, "web", 1).await;
    let running = Release::new(1, 0, 0, 1);
    old.agents().connected(web.id, &running, NOW).await.expect("connects");
    new.agents().connected(web.id, &running, later(1)).await.expect("moves");
    // The old link falls after the new one stands.
    old.agents().disconnected(web.id, later(2)).await.expect("falls");
    let seen = read(&old, &web).await;
    assert_eq!(seen.generation, Some(Generation(6)));
    assert_eq!(seen.state(None, later(2)), ClientState::Online);
    new.agents().disconnected(web.id, later(3)).await.expect("falls");
    assert_eq!(read(&old, &web).await.state(None, later(3)), ClientState::Offline);
}

#[tokio::test]
async fn links_of_a_dead_generation_are_forgotten() {
    let db = Db::new(1).await;
    let (dead, new) = (db.open(1, 1).await, db.open(1, 2).await);
    let (web, mail) = (agent(&dead, "web", 1).await, agent(&dead, "mail", 2).await);
    let running = Release::new(1, 0, 0, 1);
    dead.agents().connected(web.id, &running, NOW).await.expect("connects");
    new.agents().connected(mail.id, &running, NOW).await.expect("connects");
    let fence = new.fence("upkeep", NOW).await.expect("a fence");
    let gone = fence.generations_gone(&[Generation(2)]).await.expect("corrects");
    assert_eq!(gone.agents, 1);
    assert_eq!(read(&new, &web).await.generation, None);
    assert_eq!(read(&new, &mail).await.generation, Some(Generation(2)));
}

#[tokio::test]
async fn a_person_can_tell_the_states_apart() {
    let db = Db::new(1).await;
    let store = db.open(1, 1).await;
    let agents = store.agents();
    let web = agent(&store, "web", 1).await;
    let (old, wanted) = (Release::new(1, 0, 0, 1), Release::new(1, 1, 0, 2));
    let state = |agent: &Agent, at| agent.state(Some(&wanted), at);
    assert_eq!(state(&web, NOW), ClientState::NeverConnected);

    agents.connected(web.id, &old, NOW).await.expect("connects");
    assert_eq!(state(&read(&store, &web).await, NOW), ClientState::UpgradePending);
    let running = Some((UpgradeStage::Running, "40 %"));
    agents.set_upgrade(web.id, running, NOW).await.expect("notes");
    assert_eq!(state(&read(&store, &web).await, NOW), ClientState::Upgrading);
    let failed = Some((UpgradeStage::Failed, "the new version did not start"));
    agents.set_upgrade(web.id, failed, NOW).await.expect("notes");
    let seen = read(&store, &web).await;
    assert_eq!(state(&seen, NOW), ClientState::UpgradeFailed);
    assert_eq!(seen.upgrade.expect("noted").text, "the new version did not start");
    agents.set_upgrade(web.id, None, NOW).await.expect("notes");
    agents.connected(web.id, &wanted, NOW).await.expect("connects");
    assert_eq!(state(&read(&store, &web).await, NOW), ClientState::Online);
    // The site went back a version, and the client need not follow.
    agents.set_upgrade(web.id, failed, NOW).await.expect("notes");
    assert_eq!(read(&store, &web).await.state(Some(&old), NOW), ClientState::Online);
    agents.set_upgrade(web.id, None, NOW).await.expect("notes");

    agents.disconnected(web.id, NOW).await.expect("falls");
    let seen = read(&store, &web).await;
    assert_eq!(state(&seen, later(60)), ClientState::Offline);
    assert_eq!(state(&seen, NOW.plus(LOST_AFTER)), ClientState::Lost);
    agents.set_disabled(web.id, true).await.expect("notes");
    assert_eq!(state(&read(&store, &web).await, NOW), ClientState::Disabled);
    agents.uninstalled(web.id, NOW).await.expect("notes");
    assert_eq!(state(&read(&store, &web).await, NOW), ClientState::Uninstalled);
}

#[tokio::test]
async fn a_removed_client_gives_its_name_and_key_free_and_keeps_its_history() {
    let db = Db::new(1).await;
    let store = db.open(1, 1).await;
    let ruth = operator(&store, "ruth", false).await;
    let web = agent(&store, "web", 1).await;
    let past = common::session(&ruth, web.id, NOW);
    store.sessions().open(past.clone()).await.expect("opens");
    let refused = store.agents().remove(web.id, NOW).await.expect_err("somebody is at work");
    assert!(matches!(&refused, Error::CallerConflict(text) if text.contains("end it first")));
    let outcome = SessionOutcome::Closed;
    let end = SessionEnd { outcome, bytes_out: 0, bytes_in: 0 };
    store.sessions().ended(past.id, end, NOW).await.expect("ends");
    store.agents().remove(web.id, NOW).await.expect("removes");
    assert_eq!(store.agents().by_key(&PublicKey([1; 32])).await.expect("reads"), None);
    assert!(store.agents().remove(web.id, NOW).await.is_err());
    let back = agent(&store, "web", 1).await;
    assert_ne!(back.id, web.id);
    let seen = store.sessions().by_id(past.id).await.expect("reads").expect("history");
    assert_eq!(seen.agent_name, "web");
}

#[tokio::test]
async fn a_new_name_has_to_be_free() {
    let db = Db::new(1).await;
    let store = db.open(1, 1).await;
    let (web, mail) = (agent(&store, "web", 1).await, agent(&store, "mail", 2).await);
    let error = store.agents().update(mail.id, "web", "servers", NOW).await.expect_err("taken");
    assert!(matches!(error, Error::CallerConflict(_)), "{error}");
    let renamed = store.agents().update(mail.id, "post", "office", NOW).await.expect("free");
    assert_eq!((renamed.name.as_str(), renamed.group.as_str()), ("post", "office"));
    let names: Vec<_> =
        store.agents().list().await.expect("lists").into_iter().map(|agent| agent.name).collect();
    assert_eq!(names, ["post".to_owned(), web.name]);
}
