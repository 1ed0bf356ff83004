//! What the pages of `/appliance` do, the command line does over the same link.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sluis_e2e::appliance::{Appliance, PASSWORD};
use sluis_e2e::bins::client_program;
use sluis_e2e::control;
use sluis_e2e::live::{Live, Scale};
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

// req: UPD-13, PREP-01
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

// req: UPD-04
#[test]
fn one_command_installs_a_site_with_everything_that_goes_before_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut vendor = Vendor::new(&folder.path().join("vendor")).expect("keys and a repository");
    let release = |version, revision, site_requires, more| Release {
        version,
        revision,
        schema: 1,
        notes: "",
        site_requires,
        more,
    };
    vendor.publish(&release("1.0.0", 1, None, &["--level", "1"])).expect("published");
    vendor.serve().expect("an update server");
    let appliance =
        Appliance::with_site(&folder.path().join("harbour"), &vendor).expect("an appliance");
    appliance.site_sign_in().expect("the site's first password is changed");
    let console = appliance.console("ada").expect("a console");
    let login = ["appliance", "login", "--password-stdin"];
    assert_eq!(sluis(&console, &login, &format!("{PASSWORD}\n")).0, Some(0));
    // Each of them waits for one before it: base 1.1, site 1.1, base 1.2, site 1.2.
    let software = ["--level", "1", "--only", "base,site"];
    let middle = release("1.1.0", 2, Some("base >=1.1"), &software);
    vendor.publish(&middle).expect("published");
    let software = [&software[..], &["--base-requires", "site >=1.1"]].concat();
    vendor.publish(&release("1.2.0", 3, Some("base >=1.2"), &software)).expect("published");

    let found = answer(&console, &["appliance", "updates", "check"]);
    let cards = found["packages"].as_array().cloned().unwrap_or_default();
    let card = |kind: &str, version: &str| {
        let found = cards.iter().find(|card| card["kind"] == kind && card["version"] == version);
        found.unwrap_or_else(|| panic!("{kind} {version} is not in {cards:?}")).clone()
    };
    let last = card("site", "1.2.0");
    assert_eq!(last["status"], "blocked", "{last}");
    assert_eq!(last["blocked"]["by"], card("base", "1.1.0")["target"], "it says what goes first");
    let order = [("base", "1.1.0"), ("site", "1.1.0"), ("base", "1.2.0"), ("site", "1.2.0")];
    let order = order.map(|(kind, version)| card(kind, version)["target"].clone());
    let way: Vec<_> =
        last["way"].as_array().expect("a way").iter().map(|step| step["target"].clone()).collect();
    assert_eq!(way, order, "the whole path, in order");
    let alone = json!({ "target": last["target"], "steps": [last["target"]] });
    let refused = appliance.api(hyper::Method::POST, "/updates/install", Some(&alone));
    let refused = refused.expect_err("it cannot be installed alone").to_string();
    assert!(refused.contains("409"), "{refused}");

    let target = last["target"].as_str().expect("a target");
    let install = ["appliance", "updates", "install", target, "--yes"];
    let (code, out, err) = sluis(&console, &install, "");
    assert_eq!(code, Some(0), "{out}{err}");
    for step in ["Step 1 of 4. ", "Step 2 of 4. ", "Step 3 of 4. ", "Step 4 of 4. ", "All 4 steps"]
    {
        assert!(out.contains(step), "{step} is not in {out}");
    }
    let status = answer(&console, &["appliance", "status"]);
    assert_eq!(
        (&status["base"]["version"], &status["site"]["version"]),
        (&json!("1.2.0"), &json!("1.2.0")),
        "{status}"
    );
    let again = sluis(&console, &["appliance", "updates", "install", "--all", "--yes"], "");
    assert_eq!(again.0, Some(255), "there is nothing newer: {again:?}");
}

#[test]
fn an_update_server_with_another_key_is_told_from_one_whose_certificate_was_renewed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut vendor = Vendor::new(&folder.path().join("vendor")).expect("keys and a repository");
    let release = Release {
        version: "1.0.0",
        revision: 1,
        schema: 1,
        notes: "",
        site_requires: None,
        more: &["--level", "1", "--only", "base"],
    };
    vendor.publish(&release).expect("published");
    vendor.serve().expect("an update server");
    let text = vendor.customer("Harbour", "localhost").expect("a customer");
    assert_eq!(text.rsplit('#').next().map(|keys| keys.split('.').count()), Some(3), "{text}");
    let package = vendor.package("base", "1.0.0", 1).expect("a package");
    let path = folder.path().join("harbour");
    let mut appliance = Appliance::new(&path, &package, &vendor, &text).expect("an appliance");
    appliance.start().expect("a base");
    appliance.sign_in().expect("signed in");
    appliance.check().expect("the server is known by its pin");

    // Its certificate is made anew, with the same key.
    let (cert, key) =
        (vendor.update_data().join("tls-cert.pem"), vendor.update_data().join("tls-key.pem"));
    fs::remove_file(&cert).expect("a certificate");
    vendor.serve().expect("an update server");
    appliance.check().expect("a renewed certificate of the same key is fine");

    // Somebody else answers at its address.
    let kept = (fs::read(&cert).expect("a certificate"), fs::read(&key).expect("a key"));
    for file in [&cert, &key] {
        fs::remove_file(file).expect("a file");
    }
    vendor.serve().expect("another server");
    let refused = appliance.check().expect_err("another key is refused").to_string();
    for words in ["502", "somebody may be in between", "enrol again"] {
        assert!(refused.contains(words), "{words} is not in {refused}");
    }
    let text = vendor.enrolment_text("Harbour").expect("a code");
    let old = text.rsplit_once('.').map(|(old, _)| old).expect("a pin");
    let pinned_wrong = format!("{old}.{}", "ab".repeat(32));
    let refused = appliance.enrol(&vendor, &pinned_wrong).expect_err("a wrong pin").to_string();
    assert!(refused.contains("somebody may be in between"), "{refused}");

    // A text from before there were pins still works, and says what it lacks; the next offer brings the pin.
    let said = appliance.enrol(&vendor, old).expect("enrolled again");
    assert!(said.contains("names no pin"), "{said}");
    appliance.check().expect("the server is known");
    let saved = fs::read_to_string(appliance.data().join("enrolment.json")).expect("an enrolment");
    let pins = serde_json::from_str::<Value>(&saved).expect("JSON")["pins"].clone();
    assert_eq!(pins.as_array().map(Vec::len), Some(1), "{saved}");

    // The key is changed on purpose: announced first, then used.
    let next = folder.path().join("next.pem");
    fs::write(&next, &kept.0).expect("a file");
    vendor.serve_with(&["--pin", &next.display().to_string()]).expect("an update server");
    appliance.check().expect("it names the next key");
    fs::write(&cert, &kept.0).expect("a file");
    fs::write(&key, &kept.1).expect("a file");
    vendor.serve().expect("an update server");
    appliance.check().expect("the announced key is known");
}

/// The generations that run, each with what it says of itself.
fn generations(appliance: &Appliance) -> Vec<(String, u64, u64)> {
    let run = fs::read_dir(appliance.data().join("run")).expect("a folder");
    let sockets = run.flatten().map(|entry| entry.path()).filter(|path| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        name.starts_with("site-") && path.extension().is_some_and(|end| end == "sock")
    });
    sockets
        .map(|socket| {
            let (_, status) = control::request(&socket, "GET", "/control/status", None)
                .unwrap_or_else(|error| panic!("{}: {error}", socket.display()));
            let count = |name: &str| status[name].as_u64().unwrap_or_default();
            (socket.display().to_string(), count("agents_connected"), count("sessions_live"))
        })
        .collect()
}

/// An appliance with one Jump Client, and who asks it about its license.
struct Licensee {
    vendor: Vendor,
    appliance: Appliance,
    token: String,
}

impl Licensee {
    fn new(folder: &Path) -> Self {
        let mut vendor = Vendor::new(&folder.join("vendor")).expect("keys and a repository");
        let release = Release {
            version: "1.0.0",
            revision: 1,
            schema: 1,
            notes: "",
            site_requires: None,
            more: &["--level", "1"],
        };
        vendor.publish(&release).expect("published");
        vendor.serve().expect("an update server");
        let mut appliance =
            Appliance::with_site(&folder.join("harbour"), &vendor).expect("an appliance");
        let token = appliance.site_sign_in().expect("the site's first password is changed");
        appliance.agent("web-1", &token, &client_program("sluis-agent")).expect("an agent");
        let licensee = Self { vendor, appliance, token };
        licensee.client_is_online();
        licensee
    }

    fn client_is_online(&self) {
        let minute = std::time::Duration::from_mins(1);
        self.appliance.wait_clients(&self.token, 1, None, minute).expect("the agent is online");
    }

    fn of_site(&self) -> Value {
        let web = &self.appliance.web;
        let answer = web.call(hyper::Method::GET, "/api/v1/license", Some(&self.token), None);
        answer.expect("an answer")
    }

    fn of_base(&self) -> Value {
        self.appliance.api(hyper::Method::GET, "/status", None).expect("an answer")
    }

    /// Installs a license and holds what site and base say of it; answers its end.
    fn install(&self, revision: u32, users: u32, expires: &str) -> Value {
        self.vendor.license("localhost", revision, users, expires).expect("published");
        let done = self.appliance.install("license", "1.0.0").expect("it is installed");
        assert_eq!(done.phase, "contracted", "{}", done.text);
        for phase in ["expanded", "switching-over", "trial"] {
            assert!(done.phases.iter().all(|(_, passed)| passed != phase), "{:?}", done.phases);
        }
        let (site, base) = (self.of_site(), self.of_base());
        for (who, found) in [("site", &site["license"]), ("base", &base["license"])] {
            let said = (&found["users"], &found["hostname"]);
            assert_eq!(said, (&json!(users), &json!("localhost")), "{who}: {found}");
            assert_eq!(found["release"]["revision"], revision, "{who}: {found}");
            assert_eq!(found["expires"], site["license"]["expires"], "{who}: {found}");
        }
        assert_eq!((&site["state"], &base["license"]["state"]), (&json!("valid"), &json!("valid")));
        site["license"]["expires"].clone()
    }

    /// Another site's license is not even offered, and one that ended is refused.
    fn refuses_what_does_not_hold(&self) {
        self.vendor.license("other.example.com", 3, 99, "2090-12-31").expect("published");
        self.vendor.license("localhost", 4, 99, "2020-12-31").expect("published");
        let found = self.appliance.check().expect("a check").to_string();
        assert!(!found.contains("other.example.com"), "{found}");
        let ended = self.appliance.install("license", "1.0.0").expect("it is tried");
        assert_eq!(ended.phase, "abandoned", "{}", ended.text);
        assert!(ended.text.contains("the license ended on 2020-12-31"), "{}", ended.text);
    }
}

// req: UPD-06
#[test]
fn a_license_changes_what_is_licensed_and_neither_software_nor_clients() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut licensee = Licensee::new(folder.path());
    let console = licensee.appliance.console("ada").expect("a console");
    assert_eq!(licensee.of_site()["license"], Value::Null);
    assert_eq!(licensee.of_base()["license"], Value::Null);

    let scale = Scale { ticking: 2, typing: 1 };
    let live = Live::start(&licensee.appliance, &console, &["web-1"], scale).expect("sessions");
    let before = generations(&licensee.appliance);
    let software = |base: &Value| (base["base"].clone(), base["site"].clone());
    let unlicensed = software(&licensee.of_base());
    let ends = [licensee.install(1, 10, "2089-12-31"), licensee.install(2, 40, "2090-12-31")];
    assert_ne!(ends[0], ends[1]);
    assert_eq!(software(&licensee.of_base()), unlicensed, "no software changed");
    let after = generations(&licensee.appliance);
    let names = |all: &[(String, u64, u64)]| {
        all.iter().map(|(name, agents, _)| (name.clone(), *agents)).collect::<Vec<_>>()
    };
    assert_eq!(names(&after), names(&before), "the same generation, with the same clients");
    println!("{}", live.finish().expect("nobody missed anything"));

    licensee.refuses_what_does_not_hold();
    // It is still told after everything was started anew.
    licensee.appliance.stop();
    licensee.appliance.start().expect("a base");
    licensee.client_is_online();
    assert_eq!(licensee.of_site()["license"]["users"], 40);
}
