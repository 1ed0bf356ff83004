//! The API does what the pages do.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use model::{PublicKey, Release};
use serde_json::{Value, json};

use super::fixture::{IDENTITY, NOW, PASSWORD, Site};
use crate::health::well;
use crate::web::UpgradeView;

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const DELETE: Method = Method::DELETE;

// req: SES-06
#[tokio::test]
async fn a_bearer_token_opens_the_api_until_it_ends() {
    let site = Site::new().await;
    site.person("ruth", false).await;
    let wrong = site.api(POST, "/login", "", json!({ "name": "ruth", "password": "guess" })).await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert!(wrong.json()["remedy"].is_string());
    let token = site.token("ruth").await;
    let own = site.api(GET, "/account", &token, Value::Null).await.json();
    assert_eq!(own["name"], "ruth");
    for bad in ["", "0000", &token[1..]] {
        let answer = site.api(GET, "/account", bad, Value::Null).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert!(answer.json()["error"].as_str().expect("words").contains("not signed in"));
    }
    site.api(POST, "/logout", &token, Value::Null).await;
    let out = site.api(GET, "/account", &token, Value::Null).await;
    assert_eq!(out.status, StatusCode::UNAUTHORIZED);
    let token = site.token("ruth").await;
    site.pass(Duration::from_hours(12));
    let over = site.api(GET, "/account", &token, Value::Null).await;
    assert_eq!(over.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_first_password_has_to_be_changed_here_too() {
    let site = Site::new().await;
    site.person("root", true).await;
    let root = site.token("root").await;
    let made = site.api(POST, "/users", &root, json!({ "name": "ada" })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let first = made.json()["password"].as_str().expect("a password").to_owned();
    let body = json!({ "name": "ada", "password": first });
    let signed_in = site.api(POST, "/login", "", body).await.json();
    assert_eq!(signed_in["must_change_password"], true);
    let token = signed_in["token"].as_str().expect("a token");
    let early = site.api(GET, "/jump-clients", token, Value::Null).await;
    assert_eq!(early.status, StatusCode::FORBIDDEN);
    let short = json!({ "old": first, "new": "short" });
    let refused = site.api(POST, "/password", token, short).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let change = json!({ "old": first, "new": PASSWORD });
    let changed = site.api(POST, "/password", token, change).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text());
    site.token("ada").await;
}

#[tokio::test]
async fn about_is_for_anybody() {
    let site = Site::new().await;
    let about = site.api(GET, "/about", "", Value::Null).await.json();
    assert_eq!(about["version"], "1.1.0");
    assert_eq!(about["revision"], 2);
    assert_eq!(about["release"], "1.1.0 (rev 2)");
    assert_eq!(about["identity"], IDENTITY.to_string());
    assert_eq!((about["generation"].as_u64(), about["schema"].as_u64()), (Some(7), Some(2)));
}

#[tokio::test]
async fn users_are_managed_by_administrators_only() {
    let site = Site::new().await;
    let ruth = site.person("ruth", false).await;
    let root = site.person("root", true).await;
    let (admin, person) = (site.token("root").await, site.token("ruth").await);
    for (method, path) in [
        (GET, "/users".to_owned()),
        (POST, format!("/users/{}/disable", root.id)),
        (POST, format!("/users/{}/reset", root.id)),
        (GET, "/enrolment-tokens".to_owned()),
        (GET, "/audit".to_owned()),
    ] {
        let answer = site.api(method, &path, &person, Value::Null).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}: {}", answer.text());
    }
    let users = site.api(GET, "/users", &admin, Value::Null).await.json();
    assert_eq!(users.as_array().map(Vec::len), Some(2));
    let disable = format!("/users/{}/disable", ruth.id);
    assert_eq!(site.api(POST, &disable, &admin, Value::Null).await.json()["disabled"], true);
    let out = site.api(GET, "/account", &person, Value::Null).await;
    assert_eq!(out.status, StatusCode::UNAUTHORIZED);
    let own = format!("/users/{}/disable", root.id);
    assert_eq!(site.api(POST, &own, &admin, Value::Null).await.status, StatusCode::CONFLICT);
    let log = site.api(GET, "/audit?limit=1", &admin, Value::Null).await.json();
    assert_eq!(log[0]["action"], "operator.disabled");
    assert_eq!((&log[0]["actor"], &log[0]["subject"]), (&json!("root"), &json!("ruth")));
}

#[tokio::test]
async fn jump_clients_are_listed_found_and_removed() {
    let site = Site::new().await;
    site.person("root", true).await;
    let web = site.agent("web", 1).await;
    site.store.agents().connected(web.id, &Release::new(1, 0, 0, 1), NOW).await.expect("connects");
    let token = site.token("root").await;
    let list = site.api(GET, "/jump-clients", &token, Value::Null).await.json();
    assert_eq!(list[0]["state"], "upgrade-pending");
    assert_eq!((&list[0]["version"], &list[0]["revision"]), (&json!("1.0.0"), &json!(1)));
    assert_eq!(list[0]["position"], Value::Null);
    let place = UpgradeView { position: Some((4, 9)), ..UpgradeView::default() };
    site.hub.queue.lock().expect("free").insert(web.id, place);
    let list = site.api(GET, "/jump-clients", &token, Value::Null).await.json();
    assert_eq!((&list[0]["position"], &list[0]["waiting"]), (&json!(4), &json!(9)));
    for named in [web.id.to_string(), "web".to_owned()] {
        let path = format!("/jump-clients/{named}");
        let one = site.api(GET, &path, &token, Value::Null).await.json();
        assert_eq!(one["id"], web.id.to_string());
    }
    let path = format!("/jump-clients/{}", web.id);
    let new = json!({ "name": "web-2", "group": "Office" });
    let edited = site.api(POST, &path, &token, new).await.json();
    assert_eq!((&edited["name"], &edited["group"]), (&json!("web-2"), &json!("Office")));
    assert_eq!(site.api(DELETE, &path, &token, Value::Null).await.status, StatusCode::OK);
    assert_eq!(site.hub.heard(), [format!("removed {}", web.id)]);
    let gone = site.api(GET, "/jump-clients/web", &token, Value::Null).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn enrolment_tokens_are_made_listed_and_withdrawn() {
    let site = Site::new().await;
    site.person("root", true).await;
    let token = site.token("root").await;
    let new = json!({ "name": "rack 3", "uses": 5, "hours": 2 });
    let made = site.api(POST, "/enrolment-tokens", &token, new).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let made = made.json();
    let secret = made["token"].as_str().expect("a token");
    assert_eq!(made["site"], "support.example.com:8443");
    assert_eq!(made["site_key"], IDENTITY.to_string());
    let command = made["commands"][0]["lines"].as_str().expect("lines");
    assert!(command.contains(secret) && command.contains("/rescue/v1/targets/"), "{command}");
    let list = site.api(GET, "/enrolment-tokens", &token, Value::Null).await;
    assert_eq!(list.json()[0]["uses_left"], 5);
    assert!(!list.text().contains(secret), "the token itself is kept nowhere");
    let path = format!("/enrolment-tokens/{}", made["id"].as_str().expect("an id"));
    assert_eq!(site.api(DELETE, &path, &token, Value::Null).await.status, StatusCode::OK);
    assert_eq!(site.api(DELETE, &path, &token, Value::Null).await.status, StatusCode::NOT_FOUND);
    for bad in [
        json!({ "name": "x", "uses": 0 }),
        json!({ "name": "x", "hours": 0 }),
        json!({ "name": "" }),
    ] {
        let answer = site.api(POST, "/enrolment-tokens", &token, bad).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text());
    }
}

#[tokio::test]
async fn sessions_are_listed_shown_and_ended() {
    let site = Site::new().await;
    let (root, ruth) = (site.person("root", true).await, site.person("ruth", false).await);
    let web = site.agent("web", 1).await;
    let (his, hers) = (site.session(&root, &web, b"").await, site.session(&ruth, &web, b"").await);
    let (admin, person) = (site.token("root").await, site.token("ruth").await);
    let all = site.api(GET, "/sessions", &admin, Value::Null).await.json();
    assert_eq!(all["sessions"].as_array().map(Vec::len), Some(2));
    let own = site.api(GET, "/sessions", &person, Value::Null).await.json();
    assert_eq!(own["sessions"].as_array().map(Vec::len), Some(1));
    assert_eq!(own["sessions"][0]["id"], hers.to_string());
    assert_eq!(own["sessions"][0]["resume_count"], 0);
    let foreign = site.api(GET, &format!("/sessions/{his}"), &person, Value::Null).await;
    assert_eq!(foreign.status, StatusCode::NOT_FOUND);
    let end = format!("/sessions/{his}/end");
    let foreign = site.api(POST, &end, &person, Value::Null).await;
    assert_eq!(foreign.status, StatusCode::NOT_FOUND);
    assert_eq!(site.api(POST, &end, &admin, Value::Null).await.status, StatusCode::OK);
    assert_eq!(site.hub.heard(), [format!("end {his} for root")]);
    let log = site.api(GET, "/audit?limit=1", &admin, Value::Null).await.json();
    let said = ["action", "actor", "subject", "peer"].map(|field| log[0][field].clone());
    let his_text = his.to_string();
    assert_eq!(said, ["session.terminated", "root", &his_text, "192.0.2.7:40000"]);
    let end =
        store::SessionEnd { outcome: model::SessionOutcome::Exited(3), bytes_out: 9, bytes_in: 1 };
    site.store.sessions().ended(hers, end, NOW).await.expect("ends");
    let live = site.api(GET, "/sessions?past=0", &admin, Value::Null).await.json();
    assert_eq!(live["sessions"].as_array().map(Vec::len), Some(1));
    let past = site.api(GET, "/sessions?past=1", &person, Value::Null).await.json();
    assert_eq!(past["sessions"][0]["outcome"], json!({ "exited": 3 }));
    assert_eq!(past["older"], Value::Null);
}

#[tokio::test]
async fn a_console_is_registered_over_its_own_link_and_then_needs_no_token() {
    let site = Site::new().await;
    site.person("ruth", false).await;
    let token = site.token("ruth").await;
    let (mine, other) = (PublicKey([1; 32]), PublicKey([2; 32]));
    let body = || json!({ "name": "laptop" });
    let outside = site.api(POST, "/consoles", &token, body()).await;
    assert_eq!(outside.status, StatusCode::FORBIDDEN, "nothing proves the key");
    let stranger = site.over_link(mine, GET, "/account", "", Value::Null).await;
    assert_eq!(stranger.status, StatusCode::UNAUTHORIZED);
    let foreign = json!({ "name": "laptop", "public_key": other });
    let foreign = site.over_link(mine, POST, "/consoles", &token, foreign).await;
    assert_eq!(foreign.status, StatusCode::BAD_REQUEST);
    let made = site.over_link(mine, POST, "/consoles", &token, body()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let own = site.over_link(mine, GET, "/account", "", Value::Null).await.json();
    assert_eq!(own["name"], "ruth");
    let stranger = site.over_link(other, GET, "/account", "", Value::Null).await;
    assert_eq!(stranger.status, StatusCode::UNAUTHORIZED);

    let list = site.over_link(mine, GET, "/consoles", "", Value::Null).await.json();
    assert_eq!((&list[0]["name"], &list[0]["key"]), (&json!("laptop"), &json!(mine)));
    let outside = site.api(DELETE, "/consoles/self", &token, Value::Null).await;
    assert_eq!(outside.status, StatusCode::NOT_FOUND, "there it is nobody's own");
    let away = site.over_link(mine, DELETE, "/consoles/self", "", Value::Null).await;
    assert_eq!(away.status, StatusCode::OK, "{}", away.text());
    assert!(site.hub.heard().is_empty(), "the answer comes first");
    let ended = async {
        while site.hub.heard().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), ended).await.expect("then the link ends");
    assert_eq!(site.hub.heard(), [format!("revoked {mine}")]);
    let out = site.over_link(mine, GET, "/account", "", Value::Null).await;
    assert_eq!(out.status, StatusCode::UNAUTHORIZED);
    assert!(out.text().contains("withdrawn"), "{}", out.text());
    let again = site.over_link(mine, POST, "/consoles", &token, body()).await;
    assert_eq!(again.status, StatusCode::CREATED);
    site.pass(Duration::from_hours(30 * 24));
    let late = site.over_link(mine, GET, "/account", "", Value::Null).await;
    assert!(late.text().contains("expired"), "{}", late.text());
}

#[tokio::test]
async fn health_is_a_word_for_anybody_and_details_for_who_may_ask() {
    let site = Site::new().await;
    site.person("ruth", false).await;
    let token = site.token("ruth").await;
    assert_eq!(site.get("/check_health").await.status, StatusCode::OK);
    assert_eq!(site.get("/api/v1/check_health").await.status, StatusCode::UNAUTHORIZED);
    let health = site.api(GET, "/check_health", &token, Value::Null).await.json();
    assert_eq!((&health["ok"], &health["agents_connected"]), (&json!(true), &json!(3)));
    assert_eq!(health["checks"].as_array().map(Vec::len), Some(3));

    for needed in ["recordings", "cert.pem"] {
        let broken = Site::new().await;
        let path = broken.path(needed);
        let removed = std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path));
        removed.expect("removes");
        let plain = broken.get("/check_health").await;
        assert_eq!(plain.status, StatusCode::INTERNAL_SERVER_ERROR, "{needed}");
        let checks = broken.state.health.now(NOW).await;
        let ill: Vec<&str> = checks.iter().filter(|c| !c.ok).map(|c| c.text.as_str()).collect();
        assert_eq!(ill.len(), 1, "{ill:?}");
        assert!(ill[0].contains(needed), "{ill:?}");
    }
}

#[tokio::test]
async fn the_base_is_not_told_what_was_found_before() {
    let site = Site::new().await;
    assert!(well(&site.state.health.lately(NOW).await));
    std::fs::remove_dir_all(site.path("recordings")).expect("removes");
    assert!(!well(&site.state.health.now(NOW).await));
    assert!(!well(&site.state.health.lately(NOW).await));
}
