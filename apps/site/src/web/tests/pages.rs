//! Every page, for those who may see it.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use model::{PublicKey, Release, SessionOutcome};
use serde_json::{Value, json};
use store::{Actor, Leg, NewAudit, NewLeg, SessionEnd, UpgradeStage};

use super::browser::Browser;
use super::fixture::{IDENTITY, NOW, Site};
use crate::web::UpgradeView;

const PAGES: [&str; 15] = [
    "/login/clients",
    "/login/clients/enrol",
    "/login/sessions",
    "/login/recordings",
    "/login/users",
    "/login/users/add",
    "/login/about",
    "/login/account",
    "/login/password",
    "/login/clients/tokens",
    "/login/consoles",
    "/login/tokens",
    "/login/tokens/add",
    "/login/audit",
    "/login/audit?actor=ruth&from=2026-11-01&until=2026-11-21&before=nonsense",
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
    let edit = format!("/login/clients/{}/edit", web.id);
    let remove = format!("/login/clients/{}/remove", web.id);
    for path in [
        "/login/users",
        "/login/users/add",
        "/login/clients/enrol",
        "/login/clients/tokens",
        "/login/audit",
        "/login/audit/file?format=csv",
        &edit,
        &remove,
    ] {
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

    let place = UpgradeView { position: Some((3, 17)), ..UpgradeView::default() };
    site.hub.queue.lock().expect("free").insert(old.id, place);
    let later =
        UpgradeView { next_try: Some(NOW.plus(Duration::from_hours(1))), ..UpgradeView::default() };
    site.hub.queue.lock().expect("free").insert(bad.id, later);

    let mut browser = Browser::signed_in(&site, "ruth").await;
    let list = browser.get("/login/clients").await.text();
    for word in [
        "Upgrade Pending",
        "3rd of 17 in the upgrade queue",
        "Next try at 2026-11-21 20:40:00 UTC",
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

#[tokio::test]
async fn a_jump_client_is_edited_and_removed_unless_somebody_works_on_it() {
    let site = Site::new().await;
    let root = site.person("root", true).await;
    let (web, mail) = (site.agent("web", 1).await, site.agent("mail", 2).await);
    let session = site.session(&root, &web, b"work").await;
    let mut browser = Browser::signed_in(&site, "root").await;
    let page = format!("/login/clients/{}", web.id);
    let (edit, remove) = (format!("{page}/edit"), format!("{page}/remove"));
    let taken = browser.fill(&edit, &edit, &[("name", "mail"), ("group", "Office")]).await;
    assert_eq!(taken.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(taken.text().contains("A Jump Client named mail exists already"), "{}", taken.text());
    let saved = browser.fill(&edit, &edit, &[("name", "web-1"), ("group", "Office")]).await;
    let shown = browser.follow(&saved).await.text();
    assert!(shown.contains("Saved.") && shown.contains("Office"), "{shown}");

    let refused = browser.fill(&remove, &remove, &[]).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.text().contains("end it first"), "{}", refused.text());
    let end = format!("/login/sessions/{session}/end");
    let ended = browser.fill(&end, &end, &[]).await;
    assert_eq!(ended.header("location"), format!("/login/sessions/{session}"));
    assert_eq!(site.hub.heard(), [format!("end {session} for root")]);
    let outcome = SessionOutcome::Closed;
    let over = SessionEnd { outcome, bytes_out: 0, bytes_in: 0 };
    site.store.sessions().ended(session, over, NOW).await.expect("ends");
    assert_eq!(browser.fill(&end, &end, &[]).await.status, StatusCode::CONFLICT, "it is over");

    let gone = browser.fill(&remove, &remove, &[]).await;
    let list = browser.follow(&gone).await.text();
    assert!(list.contains("web-1 was removed.") && list.contains(&mail.name), "{list}");
    assert_eq!(site.hub.heard().last(), Some(&format!("removed {}", web.id)));
    let past = browser.get(&format!("/login/sessions/{session}")).await;
    assert_eq!(past.status, StatusCode::OK, "its history stays");
}

#[tokio::test]
async fn consoles_and_tokens_are_listed_and_revoked_after_a_question() {
    let site = Site::new().await;
    let (ruth, eve) = (site.person("ruth", false).await, site.person("eve", false).await);
    let consoles = site.store.consoles();
    let (key, until) = (PublicKey([7; 32]), NOW.plus(Duration::from_hours(24)));
    let laptop = consoles.register(ruth.id, &key, "laptop", until, NOW).await.expect("registers");
    let hers = PublicKey([8; 32]);
    let other = consoles.register(eve.id, &hers, "tower", until, NOW).await.expect("registers");
    let mut browser = Browser::signed_in(&site, "ruth").await;
    let list = browser.get("/login/consoles").await.text();
    assert!(list.contains("laptop") && !list.contains("tower"), "{list}");
    let foreign = format!("/login/consoles/{other}/revoke");
    assert_eq!(browser.get(&foreign).await.status, StatusCode::NOT_FOUND);
    let revoke = format!("/login/consoles/{laptop}/revoke");
    assert!(browser.get(&revoke).await.text().contains("Revoke the console “laptop” of ruth?"));
    let gone = browser.fill(&revoke, &revoke, &[]).await;
    assert!(browser.follow(&gone).await.text().contains("laptop of ruth was revoked."));
    assert_eq!(site.hub.heard(), [format!("revoked {key}")]);

    let add = "/login/tokens/add";
    let fields = |hours| [("name", "script"), ("hours", hours)];
    let wrong = browser.fill(add, add, &fields("ever")).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let made = browser.fill(add, add, &fields("1")).await.text();
    let token = made.split("<pre>").nth(1).and_then(|rest| rest.split("</pre>").next());
    let token = token.expect("the token").to_owned();
    let own = site.api(Method::GET, "/account", &token, Value::Null).await;
    assert_eq!(own.json()["name"], "ruth");
    let list = browser.get("/login/tokens").await.text();
    assert!(list.contains("script") && !list.contains(&token), "{list}");
    let path = "/login/tokens/";
    let id = list.split(path).find_map(|rest| rest.split_once("/revoke")).expect("a way").0;
    let revoke = format!("{path}{id}/revoke");
    let gone = browser.fill(&revoke, &revoke, &[]).await;
    assert!(browser.follow(&gone).await.text().contains("The token “script” was revoked."));
    let refused = site.api(Method::GET, "/account", &token, Value::Null).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_enrolment_token_that_was_withdrawn_enrols_nobody() {
    let site = Site::new().await;
    site.person("root", true).await;
    let mut browser = Browser::signed_in(&site, "root").await;
    let enrol = "/login/clients/enrol";
    let fields = [("name", "rack 3"), ("uses", "2"), ("hours", "1")];
    browser.fill(enrol, enrol, &fields).await;
    let tokens = "/login/clients/tokens";
    let list = browser.get(tokens).await.text();
    assert!(list.contains("rack 3") && list.contains("2 Jump Clients"), "{list}");
    let split = format!("{tokens}/");
    let id = list.split(&split).find_map(|rest| rest.split_once("/revoke")).expect("a way").0;
    let withdraw = format!("{tokens}/{id}/revoke");
    assert!(browser.get(&withdraw).await.text().contains("Withdraw the enrolment token"));
    let gone = browser.fill(&withdraw, &withdraw, &[]).await;
    assert!(browser.follow(&gone).await.text().contains("The token “rack 3” was withdrawn."));
    assert!(site.store.enrolment_tokens().list(NOW).await.expect("reads").is_empty());
}

#[tokio::test]
async fn the_audit_log_is_filtered_paged_and_taken_along() {
    let site = Site::new().await;
    site.person("root", true).await;
    for n in 0..250_u64 {
        let entry = NewAudit {
            actor: Actor::Operator(if n % 2 == 0 { "ruth" } else { "jan" }.to_owned()),
            action: "session.opened",
            subject: format!("subject-{n:03}"),
            detail: json!({ "endpoint": "=web,1" }),
            peer: None,
        };
        let at = NOW.plus(Duration::from_secs(n));
        site.store.audit().append(entry, at).await.expect("notes");
    }
    let mut browser = Browser::signed_in(&site, "root").await;
    let mut path = "/login/audit?actor=ruth&about=web&action=session.".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = browser.get(&path).await.text();
        let found = page.split("subject-").skip(1).map(|rest| rest[..3].to_owned());
        seen.extend(found);
        let older = page.split("href=\"").filter_map(|rest| rest.split('"').next());
        let mut older = older.filter(|href| href.contains("before="));
        let Some(next) = older.next() else { break };
        path = next.replace("&#38;", "&");
    }
    assert_eq!((seen.len(), seen[0].as_str(), seen[124].as_str()), (125, "248", "000"));

    let csv = browser.get("/login/audit/file?format=csv&actor=jan&action=session.").await;
    assert!(csv.header("content-disposition").contains("audit.csv"));
    let csv = csv.text();
    assert_eq!(csv.lines().count(), 126, "a heading and every line");
    assert!(csv.contains(",session.opened,subject-249,\"endpoint =web,1\","), "{csv}");
    let whole = browser.get("/login/audit/file?format=json").await.text();
    let lines: Vec<Value> =
        whole.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(lines.len() > 250, "{}", lines.len());
    assert!(lines.iter().any(|line| line["action"] == "operator.login"));
    let odd = browser.get("/login/audit?from=yesterday").await;
    assert_eq!(odd.status, StatusCode::UNPROCESSABLE_ENTITY);
    let odd = browser.get("/login/audit/file?format=xml").await;
    assert_eq!(odd.status, StatusCode::BAD_REQUEST);
    let token = site.token("root").await;
    let path = "/audit?actor=jan&action=session.&limit=3";
    let list = site.api(Method::GET, path, &token, Value::Null).await.json();
    assert_eq!(list.as_array().map(Vec::len), Some(3));
    assert_eq!(list[0]["subject"], "subject-249");
    let file = site.api(Method::GET, "/audit/file?format=csv&actor=jan", &token, Value::Null).await;
    assert_eq!(file.text().lines().count(), 126);
}
