//! Every page, for those who may see it.

use std::time::Duration;

use axum::http::StatusCode;
use model::Release;
use store::{Leg, NewLeg, UpgradeStage};

use super::browser::Browser;
use super::fixture::{IDENTITY, NOW, Site};

const PAGES: [&str; 9] = [
    "/login/clients",
    "/login/clients/enrol",
    "/login/sessions",
    "/login/recordings",
    "/login/users",
    "/login/users/add",
    "/login/about",
    "/login/account",
    "/login/password",
];

#[tokio::test]
async fn every_page_opens_for_an_administrator_and_carries_its_headers() {
    let site = Site::new().await;
    site.person("ruth", true).await;
    let mut browser = Browser::signed_in(&site, "ruth").await;
    for path in PAGES {
        let page = browser.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.text());
        assert!(page.text().contains("</html>"), "{path}");
        let policy = page.header("content-security-policy");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert!(page.header("strict-transport-security").starts_with("max-age="));
        assert_eq!(page.header("cache-control"), "no-store");
    }
    for (path, kind) in [("/login/style.css", "text/css"), ("/login/script.js", "text/javascript")]
    {
        let asset = site.get(path).await;
        assert!(asset.header("content-type").starts_with(kind), "{path}");
        assert!(asset.header("cache-control").contains("immutable"), "{path}");
    }
    assert_eq!(site.get("/").await.header("location"), "/login");
}

#[tokio::test]
async fn nobody_sees_a_page_without_signing_in() {
    let site = Site::new().await;
    let id = "0193517c-9f1e-7000-8000-000000000000";
    let more = ["sessions", "recordings", "clients"].map(|list| format!("/login/{list}/{id}"));
    for path in PAGES.into_iter().map(str::to_owned).chain(more) {
        let answer = site.get(&path).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}");
        assert_eq!(answer.header("location"), "/login", "{path}");
    }
}

#[tokio::test]
async fn an_operator_sees_what_is_theirs() {
    let site = Site::new().await;
    let (root, ruth) = (site.person("root", true).await, site.person("ruth", false).await);
    let web = site.agent("web", 1).await;
    let (his, hers) =
        (site.session(&root, &web, b"his").await, site.session(&ruth, &web, b"hers").await);
    let mut browser = Browser::signed_in(&site, "ruth").await;
    for path in ["/login/users", "/login/users/add", "/login/clients/enrol"] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
        assert!(answer.text().contains("Ask an administrator"), "{path}");
    }
    let list = browser.get("/login/sessions").await.text();
    assert!(list.contains(&hers.to_string()) && !list.contains(&his.to_string()), "{list}");
    for what in ["sessions", "recordings"] {
        let foreign = browser.get(&format!("/login/{what}/{his}")).await;
        assert_eq!(foreign.status, StatusCode::NOT_FOUND, "{what}");
        let own = browser.get(&format!("/login/{what}/{hers}")).await;
        assert_eq!(own.status, StatusCode::OK, "{what}");
    }
    let refused = browser.fill("/login/account", "/login/users/add", &[("name", "x")]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let disable = format!("/login/users/{}/disable", root.id);
    assert_eq!(browser.fill("/login/account", &disable, &[]).await.status, StatusCode::FORBIDDEN);
}

// req: SES-06
#[tokio::test]
async fn an_administrator_adds_disables_and_resets_users() {
    let site = Site::new().await;
    let root = site.person("root", true).await;
    let mut browser = Browser::signed_in(&site, "root").await;
    let fields = [("name", "Ada"), ("display_name", "Ada Lovelace")];
    let page = browser.fill("/login/users/add", "/login/users/add", &fields).await.text();
    let ada = site.store.operators().by_name("ada").await.expect("reads").expect("made");
    assert!(ada.must_change_password && !ada.admin);
    assert!(page.contains("ada"), "{page}");
    let taken = browser.fill("/login/users/add", "/login/users/add", &fields).await;
    assert_eq!(taken.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(taken.text().contains("exists already"), "{}", taken.text());

    let disable = format!("/login/users/{}/disable", ada.id);
    let done = browser.fill(&disable, &disable, &[]).await;
    let page = browser.follow(&done).await.text();
    assert!(page.contains("ada was disabled"), "{page}");
    assert_eq!(site.hub.heard(), [format!("disabled {}", ada.id)]);
    let enable = format!("/login/users/{}/enable", ada.id);
    browser.fill("/login/users", &enable, &[]).await;
    let reset = format!("/login/users/{}/reset", ada.id);
    let page = browser.fill(&reset, &reset, &[]).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(!site.store.operators().by_id(ada.id).await.expect("reads").expect("there").disabled);

    let own = format!("/login/users/{}/disable", root.id);
    assert_eq!(browser.fill(&own, &own, &[]).await.status, StatusCode::CONFLICT);
}

// req: CLI-08
#[tokio::test]
async fn jump_clients_stand_there_with_state_version_and_revision() {
    let site = Site::new().await;
    site.person("ruth", false).await;
    let (old, new, off, bad) = (
        site.agent("old", 1).await,
        site.agent("new", 2).await,
        site.agent("off", 3).await,
        site.agent("bad", 4).await,
    );
    site.agent("fresh", 5).await;
    let (past, now) = (Release::new(1, 0, 0, 1), Release::new(1, 1, 0, 2));
    let agents = site.store.agents();
    agents.connected(old.id, &past, NOW).await.expect("connects");
    agents.connected(new.id, &now, NOW).await.expect("connects");
    agents.connected(off.id, &now, NOW).await.expect("connects");
    agents.disconnected(off.id, NOW).await.expect("falls");
    agents.connected(bad.id, &past, NOW).await.expect("connects");
    let failed = Some((UpgradeStage::Failed, "the new version did not start"));
    agents.set_upgrade(bad.id, failed, NOW).await.expect("notes");

    let mut browser = Browser::signed_in(&site, "ruth").await;
    let list = browser.get("/login/clients").await.text();
    for word in [
        "Upgrade Pending",
        "Position 4",
        "Online",
        "Offline",
        "Upgrade failed",
        "The new version did not start",
        "Never connected",
        "1.0.0 (rev 1)",
        "1.1.0 (rev 2)",
    ] {
        assert!(list.contains(word), "{word}: {list}");
    }
    let page = browser.get(&format!("/login/clients/{}", old.id)).await.text();
    for word in ["Upgrade Pending", "1.0.0 (rev 1)", "1.1.0 (rev 2)"] {
        assert!(page.contains(word), "{word}: {page}");
    }
}

#[tokio::test]
async fn a_token_from_the_page_enrols_a_jump_client() {
    let site = Site::new().await;
    site.person("root", true).await;
    let mut browser = Browser::signed_in(&site, "root").await;
    let fields =
        [("name", "rack 3"), ("group", "web"), ("mode", "passive"), ("uses", "2"), ("hours", "1")];
    let at = "/login/clients/enrol";
    let page = browser.fill(at, at, &fields).await.text();
    let (_, rest) = page.split_once(" --token ").expect("a token");
    let (token, rest) = rest.split_at(64);
    assert!(rest.starts_with(" --passive"), "{rest}");
    assert!(page.contains(" --site support.example.com:8443 "), "{page}");
    assert!(page.contains(&format!(" --site-key {IDENTITY} ")), "{page}");
    let enrolment = store::Enrolment {
        token: store::TokenHash::of(token),
        name: "web-1".to_owned(),
        key: model::PublicKey([9; 32]),
        os: "linux".to_owned(),
        arch: "x86_64".to_owned(),
        release: Release::new(1, 1, 0, 2),
    };
    let agent = site.store.agents().enrol(enrolment, NOW).await.expect("enrols");
    assert_eq!((agent.group.as_str(), agent.mode), ("web", store::AgentMode::Passive));

    for (uses, hours, name) in [("0", "1", "x"), ("1", "9999", "x"), ("1", "1", "")] {
        let fields = [("name", name), ("uses", uses), ("hours", hours)];
        let wrong = browser.fill(at, at, &fields).await;
        assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "{uses} {hours} {name}");
    }
}

#[tokio::test]
async fn the_page_of_a_session_shows_each_resume_and_its_stall() {
    let site = Site::new().await;
    let ruth = site.person("ruth", false).await;
    let web = site.agent("web", 1).await;
    let id = site.session(&ruth, &web, b"bytes").await;
    let leg = |resumed_from, millis| NewLeg {
        session: id,
        leg: Leg::Agent,
        resumed_from,
        stall: Duration::from_millis(millis),
        peer: Some("203.0.113.9:777".to_owned()),
    };
    site.store.sessions().leg_attached(leg(None, 0), NOW).await.expect("attaches");
    site.store.sessions().leg_attached(leg(Some(4096), 87), NOW).await.expect("resumes");
    let mut browser = Browser::signed_in(&site, "ruth").await;
    let page = browser.get(&format!("/login/sessions/{id}")).await.text();
    for word in ["Resumed at byte 4096", "Resumed once", "203.0.113.9:777", "uptime"] {
        assert!(page.contains(word), "{word}: {page}");
    }
}
