//! What the pages of `/appliance` do, the command line does over the same link.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sluis_e2e::appliance::{Appliance, PASSWORD};
use sluis_e2e::rig::Profile;
use sluis_e2e::vendor::{Release, Vendor};

/// Runs `sluis --json …` and answers exit status, what it printed and what it said went wrong.
fn sluis(console: &Profile, arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut child = console
        .console()
        .arg("--json")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the console starts");
    // A command that asks nothing may be gone already.
    let _ = child.stdin.take().expect("input").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn answer(console: &Profile, arguments: &[&str]) -> Value {
    let (code, out, err) = sluis(console, arguments, "");
    assert_eq!(code, Some(0), "{arguments:?}: {out}{err}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{arguments:?}: {error} in {out}"))
}

/// A console of the old release brings itself to the site's at its next start.
// req: CLI-02
fn the_console_follows(vendor: &Vendor, console: &Profile, folder: &Path) {
    let old = vendor.client("console", "1.0.0", 1).expect("the old console was published");
    let program = folder.join("sluis");
    fs::copy(old, &program).expect("installed");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("made a program");
    let run = |program: &Path, arguments: &[&str]| {
        let output = Command::new(program)
            .arg("--home")
            .arg(console.home())
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("it starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(run(&program, &["--version"]).trim(), "sluis 1.0.0 (rev 1)");
    let about: Value = serde_json::from_str(&run(&program, &["--json", "about"])).expect("JSON");
    assert_eq!((&about["version"], &about["revision"]), (&json!("1.1.0"), &json!(2)), "{about}");
    assert_eq!(run(&program, &["--version"]).trim(), "sluis 1.1.0 (rev 2)");
    let kept = program.with_extension("old");
    assert_eq!(run(&kept, &["--version"]).trim(), "sluis 1.0.0 (rev 1)", "the old one is kept");
}

// req: UPD-13
#[test]
fn the_command_line_administers_the_appliance() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut vendor = Vendor::new(&folder.path().join("vendor")).expect("keys and a repository");
    let release = |version, revision, schema| Release {
        version,
        revision,
        schema,
        notes: "Two lines\nof notes.",
        site_requires: None,
        more: &["--level", "1"],
    };
    vendor.publish(&release("1.0.0", 1, 1)).expect("published");
    vendor.serve().expect("an update server");
    let appliance =
        Appliance::with_site(&folder.path().join("harbour"), &vendor).expect("an appliance");
    appliance.site_sign_in().expect("the site's first password is changed");
    let console = appliance.console("ada").expect("a console");
    vendor.publish(&release("1.1.0", 2, 2)).expect("published");

    let (code, _, error) = sluis(&console, &["appliance", "status"], "");
    assert_eq!(code, Some(255), "nobody has signed in to /appliance");
    assert!(error.contains("sluis appliance login"), "the way out is named: {error}");
    let login = ["appliance", "login", "--password-stdin"];
    assert_eq!(sluis(&console, &login, "wrong password\n").0, Some(255));
    assert_eq!(sluis(&console, &login, &format!("{PASSWORD}\n")).0, Some(0));

    let about = answer(&console, &["about"]);
    assert_eq!(about["site"]["version"], "1.0.0", "{about}");
    assert_eq!(about["site"]["revision"], 1);
    let status = answer(&console, &["appliance", "status"]);
    assert_eq!(status["hostname"], "localhost", "{status}");
    let found = answer(&console, &["appliance", "updates", "check"]);
    let cards = found["packages"].as_array().cloned().unwrap_or_default();
    let card = cards.iter().find(|card| card["kind"] == "site" && card["version"] == "1.1.0");
    let card = card.unwrap_or_else(|| panic!("1.1.0 is not in {found}"));
    assert_eq!(card["notes"], "Two lines\nof notes.");
    let target = card["target"].as_str().expect("a target").to_owned();

    let install = ["appliance", "updates", "install"];
    let none = [&install[..], &["site/none.pkg", "--yes"]].concat();
    assert_eq!(sluis(&console, &none, "").0, Some(255), "there is no such package");
    let unconfirmed = sluis(&console, &[&install[..], &[target.as_str()]].concat(), "n\n");
    assert_eq!(unconfirmed.0, Some(255), "no is no: {unconfirmed:?}");
    let installed = sluis(&console, &[&install[..], &[target.as_str(), "--yes"]].concat(), "");
    assert_eq!(installed.0, Some(0), "{installed:?}");
    assert_eq!(answer(&console, &["about"])["site"]["version"], "1.1.0");
    the_console_follows(&vendor, &console, folder.path());
    let back = sluis(&console, &["appliance", "updates", "rollback", "site", "--yes"], "");
    assert_eq!(back.0, Some(0), "{back:?}");
    assert_eq!(answer(&console, &["about"])["site"]["version"], "1.0.0");
    let log = answer(&console, &["appliance", "updates", "log"]);
    assert!(log["entries"].as_array().is_some_and(|entries| entries.len() > 5), "{log}");
}
