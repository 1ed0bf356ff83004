//! Every page and every sample of it, as it goes to the browser.

#[path = "../../kit/tests/golden/mod.rs"]
mod golden;

use std::path::Path;

use model::{AgentId, ConsoleId, OperatorId};
use sluis_ui_site::{
    About, Account, ApiTokenAdd, ApiTokenMade, ApiTokens, Audit, Client, ClientEdit, Clients,
    Consoles, Enrol, Enrolled, EnrolmentTokens, Recordings, Session, Sessions, Tab, UserAdd, Users,
    disable_user, remove_client, reset_user, revoke_api_token, revoke_console,
    withdraw_enrolment_token,
};
use ui_kit::account::FirstPassword;
use ui_kit::{Body, Csrf, ErrorPage, Flash, Samples, Shell, SignedIn};

fn csrf() -> Csrf {
    Csrf("5f1d".into())
}

fn shell() -> Shell {
    Shell {
        host: "support.example.com".into(),
        who: Some(SignedIn { name: "admin".into(), admin: true, csrf: csrf() }),
        flash: None,
    }
}

fn pages<B: Body + Samples>(name: &str, tab: Tab) -> Vec<(String, String)> {
    let pages = B::samples().into_iter();
    pages.map(|(sample, body)| (format!("{name}.{sample}"), shell().page(tab, &body))).collect()
}

fn sample<B: Body + Samples>(name: &str) -> B {
    B::samples().into_iter().find(|(each, _)| *each == name).expect("a sample of this name").1
}

#[test]
fn every_page_looks_as_agreed() {
    let mut all = pages::<Clients>("clients", Tab::Clients);
    all.extend(pages::<Client>("client", Tab::Clients));
    all.extend(pages::<Enrol>("enrol", Tab::Clients));
    all.extend(pages::<Enrolled>("enrolled", Tab::Clients));
    all.extend(pages::<Sessions>("sessions", Tab::Sessions));
    all.extend(pages::<Session>("session", Tab::Sessions));
    all.extend(pages::<Recordings>("recordings", Tab::Recordings));
    all.extend(pages::<Users>("users", Tab::Users));
    all.extend(pages::<UserAdd>("user-add", Tab::Users));
    all.extend(pages::<FirstPassword>("first-password", Tab::Users));
    all.extend(pages::<ClientEdit>("client-edit", Tab::Clients));
    all.extend(pages::<EnrolmentTokens>("enrolment-tokens", Tab::Clients));
    all.extend(pages::<Consoles>("consoles", Tab::Consoles));
    all.extend(pages::<ApiTokens>("api-tokens", Tab::Tokens));
    all.extend(pages::<ApiTokenAdd>("api-token-add", Tab::Tokens));
    all.extend(pages::<ApiTokenMade>("api-token-made", Tab::Tokens));
    all.extend(pages::<Audit>("audit", Tab::Audit));
    all.extend(pages::<About>("about", Tab::About));
    all.extend(
        Account::samples()
            .into_iter()
            .map(|(name, body)| (format!("account.{name}"), shell().aside::<Tab>(&body))),
    );
    let id = OperatorId::from_bytes([2; 16]);
    all.push(("user-disable".into(), shell().page(Tab::Users, &disable_user(id, "ada", csrf()))));
    all.push(("user-reset".into(), shell().page(Tab::Users, &reset_user(id, "ada", csrf()))));
    let confirm = |name: &str, tab, body: &ui_kit::Confirm| (name.into(), shell().page(tab, body));
    let (agent, console) = (AgentId::from_bytes([1; 16]), ConsoleId::from_bytes([3; 16]));
    all.push(confirm("client-remove", Tab::Clients, &remove_client(agent, "kiosk-3", csrf())));
    let asked = revoke_console(console, "ada-laptop", "ada", csrf());
    all.push(confirm("console-revoke", Tab::Consoles, &asked));
    all.push(confirm("api-token-revoke", Tab::Tokens, &revoke_api_token("id", "script", csrf())));
    let asked = withdraw_enrolment_token("id", "web servers", csrf());
    all.push(confirm("enrolment-token-withdraw", Tab::Clients, &asked));
    let mut operator = shell();
    operator.who = Some(SignedIn { name: "ada".into(), admin: false, csrf: csrf() });
    operator.flash = Some(Flash::failed("This page is for administrators. Ask one for leave."));
    all.push(("error.operator".into(), operator.aside::<Tab>(&sample::<ErrorPage>("typical"))));
    golden::check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("golden"), &all);
}

#[test]
fn who_is_no_administrator_has_no_users_tab() {
    let mut shell = shell();
    let page = sample::<About>("typical");
    assert!(shell.page(Tab::About, &page).contains("href=\"/login/users\""));
    shell.who = Some(SignedIn { name: "ada".into(), admin: false, csrf: csrf() });
    assert!(!shell.page(Tab::About, &page).contains("href=\"/login/users\""));
}

#[test]
fn a_person_can_tell_the_states_of_clients_apart() {
    let html = sample::<Clients>("typical").to_string();
    for words in [
        "Online",
        "Offline",
        "Lost",
        "Disabled by its user",
        "Uninstalled",
        "Upgrade Pending",
        "3rd of 17 in the upgrade queue",
        "Upgrading",
        "42 % of 3.1 MB",
        "Upgrade failed",
        "was put back. Next try at 2026-11-21 20:44:42 UTC",
        "Never connected",
    ] {
        assert!(html.contains(words), "{words}");
    }
}

#[test]
fn only_a_client_that_is_online_can_be_jumped_to() {
    for (name, page) in Client::samples() {
        let reachable = ["online", "typical", "long"].contains(&name);
        assert_eq!(page.to_string().contains("sluis jump"), reachable, "{name}");
    }
}

#[test]
fn a_session_shows_its_recording_and_each_time_a_leg_attached() {
    let html = sample::<Session>("typical").to_string();
    assert!(html.contains("Download recording"), "{html}");
    assert!(html.contains("Resumed at byte 120400") && html.contains("84 ms"), "{html}");
}

#[test]
fn names_never_reach_a_page_unescaped() {
    for html in [
        sample::<Clients>("long").to_string(),
        sample::<Client>("long").to_string(),
        sample::<Sessions>("long").to_string(),
        sample::<Session>("long").to_string(),
        sample::<Recordings>("long").to_string(),
        sample::<Users>("long").to_string(),
        sample::<Enrolled>("long").to_string(),
        sample::<Account>("long").to_string(),
        sample::<Consoles>("long").to_string(),
        sample::<ApiTokens>("long").to_string(),
        sample::<EnrolmentTokens>("long").to_string(),
        sample::<Audit>("long").to_string(),
    ] {
        assert!(!html.contains("<b>") && !html.contains("-\"east\"-"), "{html}");
        assert!(html.contains("&#60;b&#62;&#38;amp;"), "{html}");
    }
}
