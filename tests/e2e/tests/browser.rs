//! An administrator and an operator at `/login` and `/appliance`, in a browser.
//!
//! Each page is looked over at the width of a desktop and of a telephone on the way: that it fits,
//! that every field has its label, that the keyboard's place shows, that the browser complains of nothing.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hyper::Method;
use sluis_e2e::appliance::{Appliance, PASSWORD};
use sluis_e2e::bins::program;
use sluis_e2e::browser::{Browser, ENTER, Scripts, TAB};
use sluis_e2e::rig::Profile;
use sluis_e2e::vendor::{Release, Vendor};

/// What the first sign-in at `/login` demands, and everything an administrator finds behind it.
#[test]
fn an_administrator_finds_the_way_around_the_site_and_the_appliance() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut vendor = Vendor::new(&folder.path().join("vendor"))?;
    vendor.publish(&release("1.0.0", 1, 1))?;
    vendor.serve()?;
    let appliance = Appliance::with_site(&folder.path().join("harbour"), &vendor)?;
    let told = story(&appliance, &vendor, folder.path());
    if told.is_err() {
        eprintln!("{}", appliance.log());
    }
    told
}

fn story(appliance: &Appliance, vendor: &Vendor, folder: &Path) -> Result<()> {
    let browser = Browser::open(&format!("https://{}", appliance.address), folder)?;
    std::thread::scope(|scope| {
        // Maintainers publish while the administrator looks around.
        let published = scope.spawn(|| vendor.publish(&release("1.1.0", 2, 2)));
        login_pages(&browser, appliance, folder)?;
        published.join().expect("publishing does not panic")
    })?;
    appliance_pages(&browser)?;
    updates(&browser)
}

fn login_pages(browser: &Browser, appliance: &Appliance, folder: &Path) -> Result<()> {
    first_sign_in(browser, appliance)?;
    users(browser)?;
    let _agent = jump_clients(browser, appliance, folder)?;
    let console = appliance.console("ada")?;
    sessions(browser, &console)?;
    recordings(browser)?;
    consoles_and_tokens(browser, appliance)?;
    edit_and_remove(browser, &console)?;
    audit_log(browser)?;
    sign_out(browser)?;
    without_scripts(browser)
}

fn release(version: &str, revision: u32, schema: u32) -> Release<'_> {
    let notes = "Each session’s page lists its legs.\nAuditors asked for it.";
    Release { version, revision, schema, notes, site_requires: None, more: &["--level", "1"] }
}

fn first_sign_in(browser: &Browser, appliance: &Appliance) -> Result<()> {
    let first = appliance.site_password()?;
    browser.go("/")?;
    browser.expect("Sign in")?;
    browser.look_over("login-sign-in")?;
    ensure!(browser.focused()? == "name", "the cursor is not in the first field");
    browser.fill("Name", "admin")?;
    browser.fill("Password", "not the password")?;
    browser.press("Sign in")?;
    browser.expect("Check both")?;
    ensure!(browser.complaints()?.iter().all(|said| said.contains("401")), "a refusal is a 401");
    browser.look_over("login-wrong")?;
    browser.fill("Password", &first)?;
    browser.keys(ENTER)?;
    browser.expect("Choose your password")?;
    browser.look_over("login-first-password")?;
    // Nothing else can be reached before.
    browser.go("/login/users")?;
    browser.expect("Choose your password")?;
    browser.fill("Current password", &first)?;
    browser.fill("New password", "short")?;
    browser.fill("New password again", "short")?;
    browser.press("Change password")?;
    browser.expect("This password is too short")?;
    browser.complaints()?;
    browser.look_over("login-password-short")?;
    browser.fill("Current password", &first)?;
    browser.fill("New password", PASSWORD)?;
    browser.fill("New password again", PASSWORD)?;
    browser.press("Change password")?;
    browser.expect("Your password was changed")?;
    browser.look_over("clients-empty")
}

fn users(browser: &Browser) -> Result<()> {
    browser.press("Users")?;
    browser.expect("(you)")?;
    browser.press("Add user")?;
    browser.expect("The account gets a first password")?;
    browser.look_over("user-add")?;
    browser.fill("Name", "ada lovelace")?;
    browser.press("Add user")?;
    browser.expect("may hold letters, digits")?;
    browser.complaints()?;
    browser.look_over("user-add-wrong")?;
    browser.fill("Name", "ada")?;
    browser.fill("Display name", "Ada Lovelace")?;
    browser.press("Add user")?;
    browser.expect("First password of ada")?;
    browser.look_over("user-first-password")?;
    browser.press("Back to Users")?;
    browser.expect("Has not signed in")?;
    browser.look_over("users")?;
    browser.press_in("ada", "Disable")?;
    browser.expect("Disable the user ada?")?;
    browser.look_over("user-disable")?;
    browser.press("Cancel")?;
    browser.expect("Has not signed in")?;
    browser.press_in("ada", "Disable")?;
    browser.press("Disable")?;
    browser.expect("ada was disabled")?;
    browser.look_over("user-disabled")?;
    browser.press_in("ada", "Enable")?;
    browser.expect("ada can sign in again")
}

/// Enrols an agent with the very words of the page and sees it come online.
fn jump_clients(browser: &Browser, appliance: &Appliance, folder: &Path) -> Result<Running> {
    browser.press("Jump Clients")?;
    browser.press("Add Jump Clients")?;
    browser.expect("An enrolment token lets agents join")?;
    browser.look_over("enrol")?;
    browser.fill("What it is for", "the web server")?;
    browser.fill("Group", "Web")?;
    browser.fill("Number of Jump Clients", "none")?;
    browser.press("Create enrolment token")?;
    browser.expect("This is not a number of Jump Clients")?;
    browser.complaints()?;
    browser.fill("Number of Jump Clients", "1")?;
    browser.press("Create enrolment token")?;
    browser.expect("Copy it now")?;
    browser.look_over("enrolled")?;
    let agent = Running::enrolled_by(&browser.text_of("pre")?, appliance, folder)?;
    browser.press("Back to Jump Clients")?;
    browser.expect("web-1")?;
    browser.expect("Online")?;
    browser.look_over("clients")?;
    browser.press("web-1")?;
    browser.expect("sluis jump web-1")?;
    browser.look_over("client")?;
    Ok(agent)
}

/// Sees a session while it runs and after it ended.
fn sessions(browser: &Browser, console: &Profile) -> Result<()> {
    browser.press("Sessions")?;
    browser.expect("No sessions")?;
    browser.look_over("sessions-empty")?;
    let mut session = Running::session(console, "web-1", "cat")?;
    // The page looks again by itself.
    browser.expect("Live")?;
    browser.expect("web-1")?;
    browser.look_over("sessions-live")?;
    browser.press_in("admin", "Details")?;
    browser.expect("admin on web-1")?;
    browser.look_over("session-live")?;
    session.end_input();
    let ended = session.child.wait()?;
    ensure!(ended.success(), "the session ended with {ended}");
    browser.press("Sessions")?;
    browser.expect("Exited with 0")?;
    browser.look_over("sessions-past")?;
    browser.press_in("admin", "Details")?;
    browser.expect("Head of its chain")?;
    browser.look_over("session-past")
}

fn recordings(browser: &Browser) -> Result<()> {
    browser.press("Recordings")?;
    browser.expect("Complete")?;
    browser.look_over("recordings")?;
    browser.download_in("admin", "Download")?;
    let saved = browser.saved(1)?;
    let text = std::fs::read_to_string(&saved[0])?;
    ensure!(text.starts_with("{\"version\":2") || text.starts_with("{\"version\": 2"), "{text}");
    Ok(())
}

/// Makes an API token and takes it back; revokes the console of a person who lost it.
fn consoles_and_tokens(browser: &Browser, appliance: &Appliance) -> Result<()> {
    appliance.console("lost")?;
    browser.press("Consoles")?;
    browser.expect("Valid")?;
    browser.look_over("consoles")?;
    browser.press_in("lost", "Revoke")?;
    browser.expect("It is disconnected at once")?;
    browser.look_over("console-revoke")?;
    browser.press("Revoke")?;
    browser.expect("was revoked")?;
    browser.press("API tokens")?;
    browser.press("Create API token")?;
    browser.fill("What it is for", "night report")?;
    browser.look_over("token-add")?;
    browser.press("Create API token")?;
    browser.expect("Copy it now")?;
    browser.look_over("token-made")?;
    let token = browser.text_of("pre")?;
    let own = appliance.web.call(Method::GET, "/api/v1/account", Some(&token), None)?;
    ensure!(own["name"] == "admin", "{own}");
    browser.press("Back to API tokens")?;
    browser.look_over("tokens")?;
    browser.press_in("night report", "Revoke")?;
    browser.look_over("token-revoke")?;
    browser.press("Revoke")?;
    browser.expect("The token “night report” was revoked")?;
    let refused = appliance.web.call(Method::GET, "/api/v1/account", Some(&token), None);
    ensure!(refused.is_err(), "a revoked token opens nothing");
    Ok(())
}

/// Renames the Jump Client, and removes it: not while somebody works on it, and then for good.
fn edit_and_remove(browser: &Browser, console: &Profile) -> Result<()> {
    browser.press("Jump Clients")?;
    browser.press("web-1")?;
    browser.press("Edit")?;
    browser.look_over("client-edit")?;
    browser.fill("Name", "web-two")?;
    browser.press("Save")?;
    browser.expect("Saved.")?;
    let mut session = Running::session(console, "web-two", "cat")?;
    browser.press("Remove")?;
    browser.expect("This cannot be undone")?;
    browser.look_over("client-remove")?;
    browser.press("Remove")?;
    browser.expect("end it first")?;
    ensure!(browser.complaints()?.iter().all(|said| said.contains("409")), "a refusal is a 409");
    browser.look_over("client-remove-refused")?;
    browser.press("Back to the Jump Client")?;
    browser.press("Details of the session of admin on web-two")?;
    browser.press("End session")?;
    browser.expect("Its recording stays")?;
    browser.look_over("session-end")?;
    browser.press("End session")?;
    // The page looks again by itself until it is over.
    browser.expect("Head of its chain")?;
    ensure!(!session.child.wait()?.success(), "the remote command was ended");
    browser.press("web-two")?;
    browser.press("Remove")?;
    browser.press("Remove")?;
    browser.expect("web-two was removed.")?;
    browser.expect("No Jump Client is enrolled yet")
}

fn audit_log(browser: &Browser) -> Result<()> {
    browser.press("Audit log")?;
    browser.expect("Removed a Jump Client")?;
    browser.expect("Ended a session")?;
    browser.look_over("audit")?;
    browser.fill("Who", "admin")?;
    browser.fill("About", "web-two")?;
    browser.press("Show")?;
    browser.expect("Opened a session")?;
    browser.expect_not("Added a user")?;
    browser.look_over("audit-filtered")?;
    browser.download("Download as CSV")?;
    let saved = browser.saved(2)?;
    let csv = saved.iter().find(|path| path.extension().is_some_and(|kind| kind == "csv"));
    let text = std::fs::read_to_string(csv.context("no audit.csv")?)?;
    ensure!(text.contains("jump-client.removed,web-two"), "{text}");
    ensure!(!text.contains("operator.created"), "only what was asked for: {text}");
    Ok(())
}

/// Signing in, adding a user and following a live page need no JavaScript.
fn without_scripts(browser: &Browser) -> Result<()> {
    browser.scripts(Scripts::Off)?;
    browser.go("/login")?;
    browser.fill("Name", "admin")?;
    browser.fill("Password", PASSWORD)?;
    browser.press("Sign in")?;
    browser.press("Users")?;
    browser.press("Add user")?;
    browser.fill("Name", "plain")?;
    browser.press("Add user")?;
    browser.expect("First password of plain")?;
    browser.press("Back to Users")?;
    browser.press_in("plain", "Disable")?;
    browser.press("Disable")?;
    browser.expect("plain was disabled")?;
    browser.press("Audit log")?;
    browser.fill("About", "plain")?;
    browser.press("Show")?;
    browser.expect("Disabled a user")?;
    browser.press("Sign out")?;
    browser.expect("With an account of this site")?;
    browser.scripts(Scripts::Run)
}

fn sign_out(browser: &Browser) -> Result<()> {
    browser.press("About")?;
    browser.expect("Identity in full")?;
    browser.look_over("about")?;
    browser.press("admin")?;
    browser.expect("My Account")?;
    browser.look_over("account")?;
    browser.press("Sign out")?;
    browser.expect("Sign in")?;
    browser.go("/login/users")?;
    browser.expect("With an account of this site")
}

fn appliance_pages(browser: &Browser) -> Result<()> {
    browser.go("/appliance")?;
    browser.expect("With an account of this appliance")?;
    browser.look_over("appliance-sign-in")?;
    browser.fill("Name", "admin")?;
    browser.keys(TAB)?;
    browser.keys(PASSWORD)?;
    browser.keys(ENTER)?;
    browser.expect("Base software")?;
    browser.look_over("appliance-status")?;
    browser.press("Users")?;
    browser.press("Add user")?;
    browser.fill("Name", "grace")?;
    browser.press("Add user")?;
    browser.expect("First password of grace")?;
    browser.look_over("appliance-first-password")?;
    browser.press("Back to Users")?;
    browser.look_over("appliance-users")?;
    browser.press_in("grace", "Remove")?;
    browser.expect("Remove the user grace?")?;
    browser.look_over("appliance-user-remove")?;
    browser.press("Remove")?;
    browser.expect("grace was removed")
}

/// Finds an update, installs it, follows it over the hand-over and takes it back.
fn updates(browser: &Browser) -> Result<()> {
    browser.press("Updates")?;
    browser.expect("Installed")?;
    browser.press("Check for Updates")?;
    browser.expect("1.1.0 (rev 2)")?;
    browser.look_over("updates")?;
    browser.go("/appliance/updates")?;
    browser.press("Install This Update: Site software 1.1.0 (rev 2)")?;
    browser.expect("What to expect")?;
    browser.look_over("install")?;
    browser.press("Install This Update")?;
    // The page follows by itself, also over the hand-over of the site that passes it on.
    browser
        .expect_within(Duration::from_mins(1), "Installed.\nsite 1.1.0 (rev 2) is installed.")?;
    browser.look_over("installed")?;
    browser.press("Log of installs")?;
    browser.expect("Entries")?;
    browser.look_over("log")?;
    browser.press("Updates")?;
    browser.press_in("Site software", "Roll Back")?;
    browser.expect("runs now and is kept")?;
    browser.look_over("roll-back")?;
    browser.press("Roll Back")?;
    browser.expect("Roll back to site 1.0.0 (rev 1)")?;
    browser.expect_not("Download")?;
    browser
        .expect_within(Duration::from_mins(1), "Installed.\nsite 1.0.0 (rev 1) is installed.")?;
    browser.look_over("rolled-back")?;
    browser.press("Log of installs")?;
    browser.expect("Roll back to site 1.0.0 (rev 1)")
}

/// A program that is stopped when it is dropped.
struct Running {
    child: Child,
}

impl Running {
    /// Enrols with the arguments that the page shows for `sluis-agent enrol`, and runs the agent.
    fn enrolled_by(lines: &str, appliance: &Appliance, folder: &Path) -> Result<Self> {
        let (_, words) = lines.split_once("sluis-agent enrol ").context("no command to enrol")?;
        let words = words.lines().next().unwrap_or_default().trim_end_matches("&&");
        let data = folder.join("agent-web-1");
        let agent = program("sluis-agent");
        let enrolled = Command::new(&agent)
            .arg("enrol")
            .args(words.split_whitespace())
            .args(["--name", "web-1", "--data"])
            .arg(&data)
            .output()?;
        let said = String::from_utf8_lossy(&enrolled.stderr);
        ensure!(enrolled.status.success(), "{words}: {said}\n{}", appliance.log());
        let mut run = Command::new(&agent);
        run.arg("run").arg("--data").arg(&data).stdin(Stdio::null());
        Ok(Self { child: run.stdout(Stdio::null()).stderr(Stdio::null()).spawn()? })
    }

    /// Runs a command on the endpoint that echoes its input, which stays open; answers when it did.
    fn session(console: &Profile, name: &str, command: &str) -> Result<Self> {
        let mut exec = console.console();
        exec.args(["exec", name, "--", command]).stdin(Stdio::piped());
        let mut child = exec.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?;
        let input = child.stdin.as_mut().context("input")?;
        input.write_all(b"quiet water\n")?;
        let mut echo = [0; 12];
        child.stdout.as_mut().context("output")?.read_exact(&mut echo)?;
        ensure!(&echo == b"quiet water\n", "{echo:?}");
        Ok(Self { child })
    }

    fn end_input(&mut self) {
        drop(self.child.stdin.take());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended already is left alone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
