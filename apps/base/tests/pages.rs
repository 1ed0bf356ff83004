//! `/appliance` in a browser's hands, and the commands beside it: first sign-in, forced change, lockout, tokens, maintenance.

mod lab;

use std::collections::BTreeMap;

use hyper::Method;
use lab::{Lab, packages};
use model::Release;
use reqwest::{Response, StatusCode};
use serde_json::json;

/// A browser with a jar of cookies, on the base's own `https`.
struct Browser {
    client: reqwest::Client,
    origin: String,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    fn new(lab: &Lab) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = reqwest::Client::builder()
            .danger_accept_invalid_certs(true)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client");
        Self { client, origin: format!("https://{}", lab.address), cookies: BTreeMap::new() }
    }

    async fn send(&mut self, request: reqwest::RequestBuilder) -> (StatusCode, String, Response) {
        let cookies: Vec<_> = self.cookies.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let answer = request.header("cookie", cookies.join("; ")).send().await.expect("an answer");
        for cookie in answer.headers().get_all("set-cookie") {
            let cookie = cookie.to_str().expect("text");
            for flag in ["Secure", "HttpOnly", "SameSite=Strict", "Path=/appliance"] {
                assert!(cookie.contains(flag), "{cookie}");
            }
            let (name, rest) = cookie.split_once('=').expect("a cookie");
            let value = rest.split(';').next().unwrap_or_default();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        let location = answer.headers().get("location");
        let location = location.map(|l| l.to_str().expect("text").to_owned()).unwrap_or_default();
        (answer.status(), location, answer)
    }

    async fn get(&mut self, path: &str) -> (StatusCode, String) {
        let request = self.client.get(format!("{}{path}", self.origin));
        let (status, _, answer) = self.send(request).await;
        (status, answer.text().await.expect("a page"))
    }

    /// Posts a form with the token of the page that holds it; answers status and where it leads.
    async fn post(
        &mut self,
        page: &str,
        path: &str,
        form: &[(&str, &str)],
    ) -> (StatusCode, String) {
        let (_, html) = self.get(page).await;
        let token = html.split("name=\"csrf\" value=\"").nth(1).unwrap_or_default();
        let token = token.split('"').next().unwrap_or_default().to_owned();
        self.post_with(&token, path, form).await
    }

    async fn post_with(
        &mut self,
        csrf: &str,
        path: &str,
        form: &[(&str, &str)],
    ) -> (StatusCode, String) {
        let mut body = format!("csrf={csrf}");
        for (name, value) in form {
            body +=
                &["&", name, "=", &value.replace(' ', "+").replace('/', "%2F").replace(',', "%2C")]
                    .concat();
        }
        let request = self.client.post(format!("{}{path}", self.origin)).body(body);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let (status, location, _) = self.send(request).await;
        (status, location)
    }
}

async fn answering(lab: &Lab) -> Browser {
    let mut browser = Browser::new(lab);
    for _ in 0..100 {
        let ask = browser.client.get(format!("{}/appliance", browser.origin)).send().await;
        if ask.is_ok() {
            return browser;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    browser.get("/appliance").await;
    browser
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_appliance_forces_another_password_and_shows_its_pages() {
    // req: MIG-01
    let mut lab = Lab::set_up().await;
    lab.start();
    let mut browser = answering(&lab).await;
    let sign_in = [("name", "admin"), ("password", "password")];
    let (status, to) = browser.post("/appliance", "/appliance/sign-in", &sign_in).await;
    assert_eq!((status, to.as_str()), (StatusCode::SEE_OTHER, "/appliance/password"));
    // Nothing else is open before the password was changed.
    for path in ["/appliance/status", "/appliance/users", "/appliance/updates"] {
        let (status, _) = browser.get(path).await;
        assert_eq!(status, StatusCode::SEE_OTHER, "{path}");
    }
    let short = [("old", "password"), ("new", "short"), ("again", "short")];
    let (status, _) = browser.post("/appliance/password", "/appliance/password", &short).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let good = [("old", "password"), ("new", lab::PASSWORD), ("again", lab::PASSWORD)];
    let (status, to) = browser.post("/appliance/password", "/appliance/password", &good).await;
    assert_eq!((status, to.as_str()), (StatusCode::SEE_OTHER, "/appliance/status"));
    for (path, text) in [
        ("/appliance/status", "1.0.0 (rev 1)"),
        ("/appliance/users", "admin"),
        ("/appliance/updates", "1.0.0 (rev 1)"),
        ("/appliance/updates/log", "Log of installs"),
        ("/appliance/updates/progress", "Progress"),
    ] {
        let (status, html) = browser.get(path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {html}");
        assert!(html.contains(text), "{path} without {text}: {html}");
    }
    // A form without the token of this sign-in does nothing.
    let (status, _) = browser.post_with("forged", "/appliance/users/add", &[("name", "eve")]).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (status, _) =
        browser.post("/appliance/users/add", "/appliance/users/add", &[("name", "grace")]).await;
    assert_eq!(status, StatusCode::OK);
    let (_, html) = browser.get("/appliance/users").await;
    assert!(html.contains("grace") && !html.contains(">eve<"), "{html}");
    // Signing out ends it.
    let (status, _) = browser.post("/appliance/users", "/appliance/sign-out", &[]).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let (status, _) = browser.get("/appliance/status").await;
    assert_eq!(status, StatusCode::SEE_OTHER);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_lock_an_account_and_another_administrator_helps() {
    let lab = Lab::new().await;
    let grace = json!({ "name": "grace" });
    let made = lab.until_answer(Method::POST, "users", Some(&grace)).await;
    assert!(made["password"].as_str().is_some_and(|password| password.len() >= 20), "{made}");
    let mut refusals = vec![];
    let nobody = json!({ "name": "nobody", "password": "wrong" });
    refusals.push(lab.api(Method::POST, "login", Some(&nobody)).await.expect("an answer"));
    let wrong = json!({ "name": "grace", "password": "wrong" });
    for _ in 0..7 {
        refusals.push(lab.api(Method::POST, "login", Some(&wrong)).await.expect("an answer"));
    }
    // It is locked by now, and the right password waits too.
    let right = json!({ "name": "grace", "password": made["password"] });
    refusals.push(lab.api(Method::POST, "login", Some(&right)).await.expect("an answer"));
    // Unknown, wrong and locked answer the same.
    for refusal in &refusals {
        assert_eq!((refusal.0, refusal), (401, &refusals[0]));
    }
    let users = lab.until_answer(Method::GET, "users", None).await;
    assert!(users.to_string().contains("locked_until"), "an administrator sees it: {users}");
    let reset = lab.until_answer(Method::POST, "users/grace/reset", None).await;
    let right = json!({ "name": "grace", "password": reset["password"] });
    let (status, answer) = lab.api(Method::POST, "login", Some(&right)).await.expect("an answer");
    assert_eq!((status, answer["must_change_password"].as_bool()), (200, Some(true)));
    let (status, _) = lab.api(Method::DELETE, "users/admin", None).await.expect("an answer");
    assert_eq!(status, 409, "nobody removes their own account");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_site_there_is_a_maintenance_page_and_the_way_to_install_one() {
    let lab = Lab::new().await;
    let mut browser = answering(&lab).await;
    for path in ["/", "/login", "/api/v1/x", "/check_health"] {
        let request = browser.client.get(format!("{}{path}", browser.origin));
        let (status, _, answer) = browser.send(request).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(answer.headers().contains_key("retry-after"), "{path}");
        assert!(answer.text().await.expect("a page").contains("No site software is installed yet"));
    }
    let sign_in = [("name", "admin"), ("password", lab::PASSWORD)];
    browser.post("/appliance", "/appliance/sign-in", &sign_in).await;
    let site = packages::site(Release::new(1, 0, 0, 1), "");
    lab.world.publish(&site);
    let (status, _) = browser.post("/appliance/updates", "/appliance/updates/check", &[]).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let (_, html) = browser.get("/appliance/updates").await;
    // req: PREP-01
    assert!(html.contains("What is new in 1.0.0."), "release notes stand on the card: {html}");
    let ask = format!("/appliance/updates/install?target={}", site.target.replace('/', "%2F"));
    let (status, html) = browser.get(&ask).await;
    assert_eq!(status, StatusCode::OK, "{html}");
    assert!(html.contains("No figures from this appliance yet"), "{html}");
    let form = [("target", site.target.as_str()), ("steps", site.target.as_str())];
    let (status, to) = browser.post(&ask, "/appliance/updates/install", &form).await;
    assert_eq!((status, to.as_str()), (StatusCode::SEE_OTHER, "/appliance/updates/progress"));
    assert_eq!(lab.end().await, "contracted", "{}", lab.story().await);
    lab.until_generation().await;
    assert_eq!(lab.roll_back_refused().await, 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_button_installs_several_steps_and_the_page_says_which_one_it_is_at() {
    let lab = Lab::new().await;
    let mut browser = answering(&lab).await;
    let sign_in = [("name", "admin"), ("password", lab::PASSWORD)];
    browser.post("/appliance", "/appliance/sign-in", &sign_in).await;
    lab.world.publish(&packages::base(Release::new(1, 1, 0, 1), ""));
    let site = packages::site_that_needs(Release::new(1, 1, 0, 1), "", &["base >=1.1"]);
    lab.world.publish(&site);
    browser.post("/appliance/updates", "/appliance/updates/check", &[]).await;
    let (_, html) = browser.get("/appliance/updates").await;
    for words in
        ["Missing: base &#62;=1.1", "Install first: ", "Install in 2 Steps", "Install All 2 Steps"]
    {
        assert!(html.contains(words), "{words} is not in {html}");
    }
    let (_, ask) = browser.get("/appliance/updates/install-all").await;
    assert!(ask.contains("Install the newest of everything in 2 steps?"), "{ask}");
    let steps = ask.split("name=\"steps\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let steps = steps.expect("the steps that are agreed to").to_owned();
    let form = [("target", ""), ("steps", steps.as_str())];
    // Somebody else's check may have changed the steps; then nothing is begun.
    let stale = [("target", ""), ("steps", "base/other.pkg")];
    let (status, _) = browser
        .post("/appliance/updates/install-all", "/appliance/updates/install-all", &stale)
        .await;
    assert_eq!(status, StatusCode::CONFLICT);
    let (status, to) = browser
        .post("/appliance/updates/install-all", "/appliance/updates/install-all", &form)
        .await;
    assert_eq!((status, to.as_str()), (StatusCode::SEE_OTHER, "/appliance/updates/progress"));
    assert_eq!(lab.end().await, "contracted", "{}", lab.story().await);
    let now = lab.until_answer(Method::GET, "updates/progress", None).await;
    assert_eq!(now["subject"], "site 1.1.0 (rev 1), step 2 of 2", "{now}");
    assert!(now["text"].as_str().is_some_and(|text| text.contains("All 2 steps")), "{now}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_with_a_reason_and_harms_nobody() {
    let lab = Lab::new().await;
    for (method, path, body, expected) in [
        (Method::POST, "login", json!({}), 422),
        (Method::POST, "login", json!({ "name": 7, "password": [] }), 422),
        (Method::POST, "updates/install", json!({ "target": "../../etc/passwd" }), 404),
        (Method::POST, "updates/rollback", json!({ "kind": "site" }), 409),
        (Method::POST, "updates/cancel", json!({}), 409),
        (Method::POST, "users", json!({ "name": "<script>" }), 422),
        (Method::POST, "users", json!({ "name": "x".repeat(60_000) }), 422),
        (Method::POST, "users", json!({ "name": "x".repeat(200_000) }), 413),
        (Method::DELETE, "users/nobody", json!({}), 404),
        (Method::GET, "nothing/here", json!({}), 404),
    ] {
        let (status, answer) =
            lab.api(method, path, Some(&body)).await.unwrap_or_else(|e| panic!("{path}: {e}"));
        assert_eq!(status, expected, "{path}: {answer}");
    }
    let status = lab.until_answer(Method::GET, "status", None).await;
    assert_eq!(status["site_phase"], "missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_names_what_is_broken() {
    let lab = Lab::set_up().await;
    let doctor = || lab.command(&["doctor"]).output().expect("the doctor");
    let fine = doctor();
    let text = String::from_utf8_lossy(&fine.stdout).into_owned();
    assert!(fine.status.success() && !text.contains("WRONG"), "{text}");
    std::fs::write(lab.data().join("tls/key.pem"), "no key").expect("a file");
    std::fs::write(lab.data().join("ledger.json"), "{").expect("a file");
    let broken = doctor();
    let text = String::from_utf8_lossy(&broken.stdout).into_owned();
    assert!(!broken.status.success());
    for name in ["WRONG certificate", "WRONG ledger", "ok    base software: 1.0.0 (rev 1)"] {
        assert!(text.contains(name), "{name} is not in {text}");
    }
    std::fs::write(lab.data().join("base.toml"), "hostname = 7").expect("a file");
    let check = lab.command(&["config", "check"]).output().expect("the check");
    let text = String::from_utf8_lossy(&check.stderr).into_owned();
    assert!(!check.status.success() && text.contains("base.toml is wrong"), "{text}");
}
