//! Every page and every sample of it, as it goes to the browser.

#[path = "../../kit/tests/golden/mod.rs"]
mod golden;

use std::path::Path;

use sluis_ui_appliance::{
    InstallConfirm, Log, Progress, RollBackConfirm, Status, Tab, Updates, UserAdd, Users,
    remove_user, reset_user,
};
use ui_kit::{Body, Csrf, Flash, Samples, Shell, SignedIn, Tabs};

fn shell() -> Shell {
    Shell {
        host: "support.example.com".into(),
        who: Some(SignedIn { name: "admin".into(), admin: true, csrf: Csrf("5f1d".into()) }),
        flash: None,
    }
}

fn pages<B: Body + Samples>(name: &str, tab: Tab) -> Vec<(String, String)> {
    let pages = B::samples().into_iter();
    pages.map(|(sample, body)| (format!("{name}.{sample}"), shell().page(tab, &body))).collect()
}

#[test]
fn every_page_looks_as_agreed() {
    let mut all = pages::<Status>("status", Tab::Status);
    all.extend(pages::<Users>("users", Tab::Users));
    all.extend(pages::<UserAdd>("user-add", Tab::Users));
    all.extend(pages::<Updates>("updates", Tab::Updates));
    all.extend(pages::<InstallConfirm>("install", Tab::Updates));
    all.extend(pages::<RollBackConfirm>("roll-back", Tab::Updates));
    all.extend(pages::<Progress>("progress", Tab::Updates));
    all.extend(pages::<Log>("log", Tab::Updates));
    let csrf = || Csrf("5f1d".into());
    let mut after = shell();
    after.flash = Some(Flash::done("The user grace was removed."));
    let (_, users) = Users::samples().remove(0);
    all.push(("users.flash".into(), after.page(Tab::Users, &users)));
    all.push(("user-remove".into(), shell().page(Tab::Users, &remove_user("gr/ace", csrf()))));
    all.push(("user-reset".into(), shell().page(Tab::Users, &reset_user("grace", csrf()))));
    golden::check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("golden"), &all);
}

#[test]
fn what_has_no_function_has_no_tab() {
    let words: Vec<_> = Tab::ALL.iter().map(|tab| tab.word()).collect();
    assert_eq!(words, ["Status", "Users", "Updates"]);
}

fn sample<B: Body + Samples>(name: &str) -> String {
    let found = B::samples().into_iter().find(|(each, _)| *each == name);
    found.expect("a sample of this name").1.to_string()
}

#[test]
fn a_card_names_package_hostname_licenses_expiry_and_notes() {
    let html = sample::<Updates>("typical");
    for word in [
        "Base software 1.1.0 (rev 2)",
        "support.example.com",
        "25 concurrent operators",
        "2028-01-01",
        "Sessions move to the new version",
    ] {
        assert!(html.contains(word), "{word}");
    }
}

#[test]
fn a_blocked_package_says_what_to_install_first_and_has_no_button() {
    let html = sample::<Updates>("typical");
    let card = html.split("<article").find(|card| card.contains("Cannot be installed yet"));
    let card = card.expect("a blocked card");
    assert!(card.contains("Missing: base &#62;=1.1"), "{card}");
    assert!(card.contains("href=\"#base-base-1.1.0-r2-x86-64.pkg\""), "{card}");
    assert!(html.contains("id=\"base-base-1.1.0-r2-x86-64.pkg\""), "the link leads somewhere");
    assert!(!card.contains("Install This Update"), "{card}");
}

#[test]
fn what_was_put_back_says_why_and_is_offered_again_only_when_asked_for() {
    let html = sample::<Updates>("put-back");
    let card = html.split("<article").find(|card| card.contains("was put back"));
    let card = card.expect("such a card");
    assert!(card.contains("it exited with status 3"), "{card}");
    assert!(card.contains("action=\"/appliance/updates/retry\""), "{card}");
    assert!(!card.contains("Install This Update"), "{card}");
}

#[test]
fn nothing_can_be_installed_while_something_is() {
    let html = sample::<Updates>("installing");
    assert!(!html.contains("Install This Update") && !html.contains("Roll Back"), "{html}");
}

#[test]
fn a_refused_install_has_no_form() {
    for html in [sample::<InstallConfirm>("refused"), sample::<RollBackConfirm>("refused")] {
        assert!(!html.contains("<form") && html.contains("84 MB"), "{html}");
    }
    assert!(sample::<InstallConfirm>("typical").contains("<form method=\"post\""));
}

#[test]
fn several_steps_are_asked_for_with_one_button_that_names_them_all() {
    let card = sample::<Updates>("typical");
    assert!(card.contains("Install in 2 Steps") && card.contains("Install All 2 Steps"), "{card}");
    let ask = sample::<InstallConfirm>("steps");
    for words in [
        "Install site software 1.2.0 (rev 2) in 3 steps?",
        "<li>Install base 1.2.0 (rev 2), which site 1.1.0 (rev 2) needs.</li>",
        "name=\"steps\" value=\"base/base-1.2.0-r2-x86_64.pkg,site/site-1.1.0-r2-x86_64.pkg,site/site-1.2.0-r2-x86_64.pkg\"",
        "Install All 3 Steps</button>",
    ] {
        assert!(ask.contains(words), "{words} is not in {ask}");
    }
    assert!(
        sample::<InstallConfirm>("everything")
            .contains("action=\"/appliance/updates/install-all\"")
    );
    assert!(!sample::<InstallConfirm>("steps-refused").contains("<form"));
}

#[test]
fn a_plan_shows_where_it_is_and_where_it_stopped() {
    assert!(sample::<Progress>("step").contains("Step 2 of 3"));
    let stopped = sample::<Progress>("plan-stopped");
    for word in ["Installed", "Failed", "Not begun"] {
        assert!(stopped.contains(word), "{word} is not in {stopped}");
    }
}

#[test]
fn progress_looks_again_only_until_it_is_over() {
    for (_, page) in Progress::samples() {
        let html = page.to_string();
        assert_eq!(html.contains("data-live"), page.refresh().is_some(), "{html}");
    }
    assert!(sample::<Progress>("fetching").contains("value=\"42\""));
    assert!(!sample::<Progress>("rolled-back").contains("data-live"));
}

#[test]
fn going_back_shows_only_what_it_does() {
    let html = sample::<Progress>("back-on-request");
    assert!(html.contains("<h1>Roll back to site 1.0.0 (rev 1)</h1>"), "{html}");
    let (_, phases) = html.split_once("aria-label=\"Phases\"").expect("phases");
    let phases = phases.split("</ol>").next().expect("an end");
    for (word, is_there) in [("Download", false), ("Expand", false), ("Prove", true)] {
        assert_eq!(phases.contains(word), is_there, "{word}: {phases}");
    }
    assert!(sample::<Log>("typical").contains("<h2>Roll back to site 1.0.0 (rev 1)</h2>"));
}
