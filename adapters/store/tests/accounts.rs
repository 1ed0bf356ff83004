//! Accounts: signing in, the lock, and what a person may do to whom.

mod common;

use common::{Db, NOW, caller, later, operator};
use model::{PublicKey, Timestamp};
use sluis_store::{
    Access, Actor, AuditFilter, ConsoleRefused, Error, LOGIN_TRIES, LoginTry, NewApiToken,
    NewAudit, NewWebSession, Note, Operator, PasswordChange, PasswordCheck, Store, TokenHash,
};

async fn sign_in(store: &Store, operator: &Operator, cookie: &str) -> TokenHash {
    let token = TokenHash::of(cookie);
    let new = NewWebSession {
        token,
        csrf: "form".to_owned(),
        operator: operator.id,
        peer: "192.0.2.1".to_owned(),
        expires: later(3600),
    };
    store.web_sessions().open(new, NOW).await.expect("signs in");
    token
}

async fn bearer(store: &Store, operator: &Operator, text: &str) -> TokenHash {
    let token = TokenHash::of(text);
    let new = NewApiToken {
        token,
        operator: operator.id,
        name: "script".to_owned(),
        expires: later(3600),
    };
    store.api_tokens().issue(new, NOW).await.expect("a token");
    token
}

async fn wrong(store: &Store, name: &str, at: Timestamp) -> LoginTry {
    let try_ = store.operators().begin_login(name, at).await.expect("begins");
    if let LoginTry::Check { operator, .. } = &try_ {
        let accounts = store.operators();
        accounts.finish_login(operator, PasswordCheck::Wrong, "peer", at).await.expect("noted");
    }
    try_
}

#[tokio::test]
async fn wrong_passwords_lock_an_account_for_a_while() {
    let db = Db::new(1).await;
    let store = db.open(1, 1).await;
    operator(&store, "ruth", true).await;
    for _ in 0..LOGIN_TRIES {
        assert!(matches!(wrong(&store, "RUTH", NOW).await, LoginTry::Check { .. }));
    }
    let LoginTry::Locked { until } = wrong(&store, "ruth", later(1)).await else {
        panic!("not locked");
    };
    assert_eq!(until, later(60));
    // It opens by itself; the right password forgets the wrong ones.
    let LoginTry::Check { operator, password_hash } = wrong(&store, "ruth", until).await else {
        panic!("still locked");
    };
    assert_eq!(password_hash, "hash of ruth");
    assert!(matches!(wrong(&store, "ruth", later(61)).await, LoginTry::Locked { .. }));
    let at = later(3600);
    store.operators().begin_login("ruth", at).await.expect("begins");
    let accounts = store.operators();
    accounts.finish_login(&operator, PasswordCheck::Right, "peer", at).await.expect("noted");
    let ruth = store.operators().by_name("ruth").await.expect("reads").expect("there");
    assert_eq!((ruth.locked_until, ruth.last_login), (None, Some(at)));
    assert!(matches!(wrong(&store, "ruth", at).await, LoginTry::Check { .. }));
}

#[tokio::test]
async fn many_tries_at_once_do_not_outrun_the_lock() {
    let db = Db::new(1).await;
    let (one, two) = (db.open(1, 1).await, db.open(1, 2).await);
    operator(&one, "ruth", true).await;
    let tries: Vec<_> = (0..40)
        .map(|n| {
            let store = if n % 2 == 0 { one.clone() } else { two.clone() };
            tokio::spawn(async move { store.operators().begin_login("ruth", NOW).await })
        })
        .collect();
    let mut checks = 0;
    for task in tries {
        if let LoginTry::Check { .. } = task.await.expect("ran").expect("begins") {
            checks += 1;
        }
    }
    assert_eq!(checks, LOGIN_TRIES);
}

#[tokio::test]
async fn nobody_is_told_which_names_exist() {
    let db = Db::new(1).await;
    let store = db.open(1, 1).await;
    operator(&store, "root", true).await;
    let gone = operator(&store, "gone", false).await;
    store.operators().set_access(gone.id, Access::Disabled, NOW).await.expect("disables");
    for name in ["nobody", "gone", "", "sluis-self-test"] {
        assert!(matches!(wrong(&store, name, NOW).await, LoginTry::Nobody), "{name}");
    }
}

#[tokio::test]
async fn the_first_account_is_made_once_whoever_comes_first() {
    let db = Db::new(1).await;
    let (one, two) = (db.open(1, 1).await, db.open(1, 2).await);
    let (accounts, others) = (one.operators(), two.operators());
    let (first, second) = tokio::join!(
        accounts.create_first("admin", "hash".to_owned(), NOW),
        others.create_first("admin", "hash".to_owned(), NOW),
    );
    let made: Vec<_> = [first, second].into_iter().filter_map(|made| made.expect("ran")).collect();
    assert_eq!(made.len(), 1);
    assert!(made[0].admin && made[0].must_change_password);
}

#[tokio::test]
async fn a_new_password_ends_what_was_signed_in_elsewhere() {
    let db = Db::new(1).await;
    let store = db.open(1, 1).await;
    let ruth = operator(&store, "ruth", false).await;
    let (here, there) =
        (sign_in(&store, &ruth, "here").await, sign_in(&store, &ruth, "there").await);
    let script = bearer(&store, &ruth, "script").await;
    let change = PasswordChange {
        operator: ruth.id,
        password_hash: "new".to_owned(),
        must_change: false,
        keep: Some(here),
    };
    store.by(&caller(&ruth)).operators().set_password(change, NOW).await.expect("changes");
    assert!(store.web_sessions().by_token(here, NOW).await.expect("reads").is_some());
    assert!(store.web_sessions().by_token(there, NOW).await.expect("reads").is_none());
    assert!(store.api_tokens().operator_of(script, NOW).await.expect("reads").is_none());
}

#[tokio::test]
async fn what_has_expired_or_was_disabled_opens_nothing() {
    let db = Db::new(1).await;
    let store = db.open(1, 1).await;
    operator(&store, "root", true).await;
    let ruth = operator(&store, "ruth", false).await;
    let cookie = sign_in(&store, &ruth, "cookie").await;
    let script = bearer(&store, &ruth, "script").await;
    let web = store.web_sessions();
    assert_eq!(web.by_token(cookie, NOW).await.expect("reads").expect("in").operator, ruth);
    assert!(web.by_token(cookie, later(3600)).await.expect("reads").is_none());
    assert!(store.api_tokens().operator_of(script, later(3600)).await.expect("reads").is_none());
    store.operators().set_access(ruth.id, Access::Disabled, NOW).await.expect("disables");
    assert!(web.by_token(cookie, NOW).await.expect("reads").is_none());
    assert!(store.api_tokens().operator_of(script, NOW).await.expect("reads").is_none());
}

#[tokio::test]
async fn one_administrator_is_always_left() {
    let db = Db::new(1).await;
    let store = db.open(1, 1).await;
    let root = operator(&store, "root", true).await;
    for result in [
        store.operators().set_access(root.id, Access::Disabled, NOW).await,
        store.operators().update(root.id, "Root", false, NOW).await,
    ] {
        let error = result.expect_err("the last one");
        assert!(error.to_string().contains("last administrator"), "{error}");
    }
    assert!(store.operators().by_id(root.id).await.expect("reads").expect("there").admin);
    operator(&store, "second", true).await;
    store.operators().set_access(root.id, Access::Disabled, NOW).await.expect("one is left");
}

#[tokio::test]
async fn an_operator_reaches_only_what_is_theirs() {
    let db = Db::new(1).await;
    let store = db.open(1, 1).await;
    let (root, ruth) =
        (operator(&store, "root", true).await, operator(&store, "ruth", false).await);
    let mine = store.by(&caller(&ruth));
    assert_eq!(mine.operators().list().await.expect("own"), std::slice::from_ref(&ruth));
    assert_eq!(store.by(&caller(&root)).operators().list().await.expect("all").len(), 2);
    assert_eq!(mine.operators().by_id(root.id).await.expect("reads"), None);
    assert!(mine.operators().set_access(root.id, Access::Disabled, NOW).await.is_err());
    assert!(mine.audit().list(&AuditFilter::default(), 10, None).await.is_err());
    let steal = PasswordChange {
        operator: root.id,
        password_hash: "mine".to_owned(),
        must_change: false,
        keep: None,
    };
    let error = mine.operators().set_password(steal, NOW).await.expect_err("not hers");
    assert!(matches!(error, Error::CallerForbidden { .. }), "{error}");
    let token = NewApiToken {
        token: TokenHash::of("x"),
        operator: root.id,
        name: "x".to_owned(),
        expires: later(1),
    };
    assert!(mine.api_tokens().issue(token, NOW).await.is_err());
}

#[tokio::test]
async fn a_console_belongs_to_one_operator_and_says_why_it_may_not() {
    let db = Db::new(1).await;
    let store = db.open(1, 1).await;
    let (ruth, jan) = (operator(&store, "ruth", true).await, operator(&store, "jan", false).await);
    let key = PublicKey([9; 32]);
    let consoles = store.consoles();
    let id = consoles.register(ruth.id, &key, "laptop", later(60), NOW).await.expect("registers");
    let again = consoles.register(ruth.id, &key, "laptop 2", later(90), NOW).await.expect("renews");
    assert_eq!(id, again);
    let taken =
        store.by(&caller(&jan)).consoles().register(jan.id, &key, "x", later(60), NOW).await;
    assert!(matches!(taken.expect_err("taken"), Error::CallerConflict(_)));

    let console = consoles.by_key(&key).await.expect("reads").expect("known");
    assert_eq!((console.name.as_str(), &console.operator), ("laptop 2", &ruth));
    assert_eq!(console.usable(later(89)), Ok(()));
    assert_eq!(console.usable(later(90)), Err(ConsoleRefused::Expired(later(90))));
    assert!(store.by(&caller(&jan)).consoles().list().await.expect("own").is_empty());
    assert!(store.by(&caller(&jan)).consoles().revoke(id, NOW).await.is_err());
    assert_eq!(console.last_seen, None);
    let notes = [(Note::ConsoleHere(id), later(5)), (Note::ConsoleHere(id), later(7))];
    store.write_down(&notes).await.expect("notes");
    let console = consoles.by_key(&key).await.expect("reads").expect("known");
    assert_eq!(console.last_seen, Some(later(7)));
    consoles.revoke(id, NOW).await.expect("revokes");
    let console = consoles.by_key(&key).await.expect("reads").expect("known");
    assert_eq!(console.usable(NOW), Err(ConsoleRefused::Revoked));
}

#[tokio::test]
async fn upkeep_removes_what_has_expired() {
    let db = Db::new(1).await;
    let store = db.open(1, 1).await;
    let ruth = operator(&store, "ruth", false).await;
    sign_in(&store, &ruth, "cookie").await;
    bearer(&store, &ruth, "script").await;
    let fence = store.fence("upkeep", NOW).await.expect("a fence");
    assert_eq!(fence.sweep(later(10)).await.expect("sweeps").sign_ins, 0);
    assert_eq!(fence.sweep(later(3600)).await.expect("sweeps").sign_ins, 2);
}

#[tokio::test]
async fn a_sign_in_lasts_longer_while_it_is_used_and_the_site_keeps_its_id() {
    let db = Db::new(1).await;
    let store = db.open(1, 1).await;
    let ruth = operator(&store, "ruth", false).await;
    let cookie = sign_in(&store, &ruth, "cookie").await;
    store.web_sessions().prolong(cookie, later(7200)).await.expect("prolongs");
    let seen = store.web_sessions().by_token(cookie, later(3601)).await.expect("reads");
    let seen = seen.expect("still in");
    assert_eq!((seen.created, seen.expires), (NOW, later(7200)));
    store.web_sessions().close(cookie).await.expect("closes");
    assert!(store.web_sessions().by_token(cookie, NOW).await.expect("reads").is_none());

    let other = db.open(1, 2).await;
    let (one, two) = tokio::join!(store.site_id(NOW), other.site_id(NOW));
    assert_eq!(one.expect("made"), two.expect("the same"));
}

#[tokio::test]
async fn the_audit_log_says_who_signed_in_and_from_where_people_act() {
    let db = Db::new(1).await;
    let store = db.open(1, 1).await;
    let ruth = operator(&store, "ruth", true).await;
    wrong(&store, "ruth", NOW).await;
    let accounts = store.operators();
    accounts.finish_login(&ruth, PasswordCheck::Right, "192.0.2.9:1", NOW).await.expect("noted");
    let acting = store.by(&caller(&ruth));
    let other = operator(&store, "jan", false).await;
    acting.operators().set_access(other.id, Access::Disabled, NOW).await.expect("disables");
    let wanted = AuditFilter { action: "operator.".to_owned(), ..AuditFilter::default() };
    let log = acting.audit().list(&wanted, 10, None).await.expect("reads");
    let line = |action: &str| {
        let found = log.iter().find(|line| line.action == action).expect("a line");
        (found.actor.clone(), found.subject.as_str(), found.peer.as_deref())
    };
    let named = Actor::Operator("ruth".to_owned());
    assert_eq!(line("operator.login-failed"), (Actor::Unknown, "ruth", Some("peer")));
    assert_eq!(line("operator.login"), (named.clone(), "ruth", Some("192.0.2.9:1")));
    assert_eq!(line("operator.disabled"), (named, "jan", Some("192.0.2.7:4711")));
}

#[tokio::test]
async fn the_audit_log_is_searched_by_person_subject_action_and_time() {
    let db = Db::new(1).await;
    let store = db.open(1, 1).await;
    let ruth = operator(&store, "ruth", true).await;
    let acting = store.by(&caller(&ruth));
    let note = |actor: &str, action, subject: &str, at: u64| {
        let entry = NewAudit {
            actor: Actor::Operator(actor.to_owned()),
            action,
            subject: subject.to_owned(),
            detail: serde_json::json!({ "endpoint": "web_1" }),
            peer: None,
        };
        let store = store.clone();
        async move { store.audit().append(entry, later(at)).await.expect("notes") }
    };
    note("jan", "session.opened", "0193", 100).await;
    note("Jan", "session.ended", "0193", 200).await;
    note("eve", "console.revoked", "laptop 100%", 300).await;
    let found = async |wanted: AuditFilter| {
        let wanted = AuditFilter { from: wanted.from.or(Some(later(50))), ..wanted };
        let rows = acting.audit().list(&wanted, 10, None).await.expect("reads");
        rows.into_iter().map(|row| row.action).collect::<Vec<_>>().join(" ")
    };
    let all = AuditFilter::default;
    let text = |text: &str| text.to_owned();
    let three = "console.revoked session.ended session.opened";
    assert_eq!(found(all()).await, three);
    assert_eq!(
        found(AuditFilter { actor: text(" JAN "), ..all() }).await,
        "session.ended session.opened"
    );
    assert_eq!(
        found(AuditFilter { about: text("0193"), ..all() }).await,
        "session.ended session.opened"
    );
    assert_eq!(found(AuditFilter { about: text("web_1"), ..all() }).await, three);
    assert_eq!(found(AuditFilter { about: text("webx1"), ..all() }).await, "", "no pattern");
    assert_eq!(found(AuditFilter { about: text("100%"), ..all() }).await, "console.revoked");
    assert_eq!(
        found(AuditFilter { action: text("session"), ..all() }).await,
        "session.ended session.opened"
    );
    assert_eq!(
        found(AuditFilter { from: Some(later(200)), ..all() }).await,
        "console.revoked session.ended"
    );
    let until = AuditFilter { until: Some(later(200)), ..all() };
    assert_eq!(found(until).await, "session.opened");
}

#[tokio::test]
async fn bearer_tokens_are_listed_and_withdrawn_by_their_owner_or_an_administrator() {
    let db = Db::new(1).await;
    let store = db.open(1, 1).await;
    let (ruth, jan) = (operator(&store, "ruth", true).await, operator(&store, "jan", false).await);
    let hash = bearer(&store, &ruth, "script").await;
    let mine = store.by(&caller(&jan));
    assert!(mine.api_tokens().list(NOW).await.expect("own").is_empty());
    let all = store.by(&caller(&ruth)).api_tokens().list(NOW).await.expect("lists");
    assert_eq!(all.iter().map(|token| token.operator_name.as_str()).collect::<Vec<_>>(), ["ruth"]);
    assert!(mine.api_tokens().revoke(all[0].id, NOW).await.is_err());
    assert!(store.api_tokens().operator_of(hash, NOW).await.expect("reads").is_some());
    let gone = store.by(&caller(&ruth)).api_tokens().revoke(all[0].id, NOW).await;
    assert_eq!(gone.expect("withdraws").name, all[0].name);
    assert!(store.api_tokens().operator_of(hash, NOW).await.expect("reads").is_none());
}
