//! Signing in, the first password, the lock, and forms from elsewhere.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use serde_json::json;

use super::browser::Browser;
use super::fixture::{NOW, PASSWORD, Site};
use crate::web::password::first_account;

// req: SES-06
#[tokio::test]
async fn the_first_account_has_to_change_its_password_before_anything_else() {
    let site = Site::new().await;
    let data = site.folder.path();
    let first = first_account(&site.store, data, NOW).await.expect("ran").expect("made");
    assert!(first_account(&site.store, data, NOW).await.expect("ran").is_none());
    let given = std::fs::read_to_string(&first.file).expect("a password");

    let mut browser = Browser::new(&site);
    let answer = browser.sign_in(first.name, &given).await;
    let page = browser.follow(&answer).await.text();
    assert!(page.contains("action=\"/login/password\""), "{page}");
    let elsewhere = browser.get("/login/clients").await;
    assert_eq!(elsewhere.header("location"), "/login/password");

    let change = |new: &'static str, again: &'static str| {
        [("old", given.clone()), ("new", new.to_owned()), ("again", again.to_owned())]
    };
    let form = async |browser: &mut Browser<'_>, fields: [(&str, String); 3]| {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        browser.fill("/login/password", "/login/password", &fields).await
    };
    for (new, again) in
        [("short", "short"), ("my-admin-word", "my-admin-word"), ("a-good-one-1", "b")]
    {
        let refused = form(&mut browser, change(new, again)).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{new}");
    }
    let changed = form(&mut browser, change("harbour-lantern", "harbour-lantern")).await;
    let page = browser.follow(&changed).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text().contains("Your password was changed"), "{}", page.text());
    // It is said once.
    assert!(!browser.get("/login/clients").await.text().contains("Your password was changed"));

    first_account(&site.store, data, NOW).await.expect("ran");
    assert!(!first.file.exists(), "nobody needs it any more");

    let mut other = Browser::new(&site);
    assert_eq!(other.sign_in("admin", &given).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(other.sign_in("admin", "harbour-lantern").await.header("location"), "/login");
}

// req: SES-06
#[tokio::test]
async fn wrong_passwords_lock_the_account_and_a_stranger_learns_nothing_about_it() {
    let site = Site::new().await;
    site.person("ruth", true).await;
    let mut browser = Browser::new(&site);
    let compared = || site.state.passwords().compared.load(Ordering::Relaxed);
    let mut seen = BTreeSet::new();
    let tries = [("ruth", "a guess"); store::LOGIN_TRIES as usize];
    let locked = [("ruth", PASSWORD), ("ruth", "a guess")];
    for (name, password) in tries.into_iter().chain(locked).chain([("nobody", PASSWORD)]) {
        let before = compared();
        let answer = browser.sign_in(name, password).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", answer.text());
        assert_eq!(compared(), before + 1, "{name} is as much work as anybody");
        seen.insert(answer.text().replace(&format!("value=\"{name}\""), ""));
        let body = json!({ "name": name, "password": password });
        let answer = site.api(Method::POST, "/login", "", body).await;
        seen.insert(answer.text());
    }
    assert_eq!(seen.len(), 2, "one page and one answer of the API for all: {seen:?}");
    site.pass(Duration::from_secs(61));
    assert_eq!(browser.sign_in("ruth", PASSWORD).await.header("location"), "/login");
}

#[tokio::test]
async fn a_form_from_elsewhere_changes_nothing() {
    let site = Site::new().await;
    site.person("ruth", true).await;
    let mut browser = Browser::signed_in(&site, "ruth").await;
    for form in ["", "csrf=", "csrf=0000", "csrf=%ff"] {
        let forged = format!("{form}&name=mallory&admin=on");
        let answer = browser.post("/login/users/add", &forged).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{form}: {}", answer.text());
    }
    assert_eq!(site.store.operators().list().await.expect("reads").len(), 1);
    // Signing somebody in with a foreign form is no way either.
    let mut fresh = Browser::new(&site);
    let form = format!("csrf=abc&name=ruth&password={PASSWORD}");
    assert_eq!(fresh.post("/login/sign-in", &form).await.status, StatusCode::FORBIDDEN);
    assert!(!fresh.cookies.contains_key("__Host-sluis-site"));
}

#[tokio::test]
async fn a_sign_in_ends_by_signing_out_by_idling_and_at_the_latest_after_a_working_day() {
    let site = Site::new().await;
    site.person("ruth", true).await;
    let mut browser = Browser::signed_in(&site, "ruth").await;
    let mut copy = Browser::new(&site);
    copy.cookies = browser.cookies.clone();
    browser.fill("/login/account", "/login/sign-out", &[]).await;
    assert!(!browser.cookies.contains_key("__Host-sluis-site"));
    assert_eq!(copy.get("/login/clients").await.header("location"), "/login", "a copy is dead too");

    let mut idle = Browser::signed_in(&site, "ruth").await;
    site.pass(Duration::from_mins(61));
    let answer = idle.get("/login/clients").await;
    assert_eq!(answer.header("location"), "/login");

    let mut busy = Browser::signed_in(&site, "ruth").await;
    let mut half_hours = 0;
    while busy.get("/login/clients").await.status == StatusCode::OK {
        site.pass(Duration::from_mins(30));
        half_hours += 1;
        assert!(half_hours < 50, "it never ends");
    }
    assert_eq!(half_hours, 24);
}

#[tokio::test]
async fn a_start_that_is_cut_short_leaves_a_password_that_works() {
    // Cut between the file and the account, and while the file was written.
    for (left, works) in [("tidal-copper-hinge-4471", true), ("tid", false)] {
        let site = Site::new().await;
        std::fs::write(site.path("first-password"), left).expect("writes");
        let made = first_account(&site.store, site.folder.path(), NOW).await.expect("ran");
        let file = made.expect("made").file;
        let given = std::fs::read_to_string(file).expect("a password");
        assert_eq!(given == left, works, "{left}");
        let mut browser = Browser::new(&site);
        assert_eq!(browser.sign_in("admin", &given).await.header("location"), "/login");
    }
}
