//! Bad releases: publishes one after the other, lets the appliance find out, and holds what must be
//! true afterwards. Moments are those that the appliance wrote into its log.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hyper::Method;
use serde_json::Value;

use crate::appliance::{Appliance, PASSWORD};
use crate::bins::program;
use crate::live::{Live, Noticed, Scale};
use crate::rig::Profile;
use crate::vendor::{Release, Vendor, run};
use crate::writing::Writing;

/// A crash is noticed when it happens, and what is put back for one serves again within this time.
pub const CRASH_MAX: Duration = Duration::from_secs(30);
/// Whatever it is that fails: the old version serves again within this time.
pub const PUT_BACK_MAX: Duration = Duration::from_mins(1);
/// A timer may be that late on a busy machine.
const LATE: Duration = Duration::from_secs(5);
/// The base answers a little before its deadline, to tell the reason.
const EARLY: Duration = Duration::from_secs(1);

/// The endpoints.
pub const CLIENTS: [&str; 2] = ["web-1", "db-1"];

/// When a fault must have been noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// When it happens: it crashes, or does harm.
    AtOnce,
    /// At the deadline of the phase, in seconds: nothing speaks of a fault but silence.
    AtDeadline(u64),
}

/// One way in which a site fails.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// As `sluis-faulty-site` knows it.
    pub name: &'static str,
    /// The schema level that its package asks for.
    pub schema: u32,
    /// The installer's phase in which it shows.
    pub phase: &'static str,
    /// When it must be noticed.
    pub notice: Notice,
    /// What the appliance says.
    pub reason: &'static str,
}

/// What became of one bad release.
#[derive(Debug, Clone)]
pub struct PutBack {
    fault: String,
    noticed_by: String,
    noticed: Duration,
    back: Duration,
}

/// An appliance at work while bad releases come.
pub struct Story {
    live: Option<Live>,
    writing: Option<Writing>,
    /// The appliance.
    pub appliance: Appliance,
    /// A console that is signed in to site and appliance.
    pub console: Profile,
    /// The API token of the site's administrator.
    pub token: String,
    /// The maintainers.
    pub vendor: Vendor,
    folder: PathBuf,
    releases: u32,
}

impl Story {
    /// An appliance with the site 1.0.0 and two Jump Clients, working.
    ///
    /// `limits` are those of `base.toml`; `agent_keeper` those of the agents' keepers.
    ///
    /// # Errors
    /// When a step of it fails.
    pub fn begin(folder: &Path, limits: &str, agent_keeper: &str) -> Result<Self> {
        let mut vendor = Vendor::new(&folder.join("vendor"))?;
        vendor.publish(&release("1.0.0", 1, 1, &["--level", "1"]))?;
        vendor.serve()?;
        let mut appliance = Appliance::with_site(&folder.join("harbour"), &vendor)?;
        appliance.stop();
        appliance.limits(limits)?;
        appliance.start()?;
        appliance.sign_in()?;
        let token = site_token(&appliance)?;
        let agent = folder.join("sluis-agent");
        std::fs::copy(vendor.client("agent", "1.0.0", 1)?, &agent)?;
        std::fs::set_permissions(&agent, std::fs::Permissions::from_mode(0o755))?;
        for name in CLIENTS {
            appliance.agent_with(name, &token, &agent, agent_keeper)?;
        }
        appliance.wait_clients(&token, CLIENTS.len(), None, Duration::from_mins(1))?;
        let console = appliance.console("ada")?;
        sluis(&console, &["appliance", "login", "--password-stdin"], &format!("{PASSWORD}\n"))?;
        let scale = Scale { ticking: 5, typing: 1 };
        let live = Some(Live::start(&appliance, &console, &CLIENTS, scale)?);
        let writing = Some(Writing::start(appliance.web.clone(), &token));
        let folder = folder.to_owned();
        Ok(Self { live, writing, appliance, console, token, vendor, folder, releases: 1 })
    }

    /// Publishes the next release; answers its version.
    ///
    /// # Errors
    /// When it cannot be published.
    pub fn publish(&mut self, schema: u32, more: &[&str]) -> Result<String> {
        self.releases += 1;
        let version = format!("1.{}.0", self.releases);
        let more = [&["--level", "1", "--only", "site,agent"], more].concat();
        self.vendor.publish(&release(&version, self.releases, schema, &more))?;
        Ok(version)
    }

    fn publish_fault(&mut self, fault: &Fault) -> Result<String> {
        let file = self.folder.join(format!("fault-{}", fault.name));
        std::fs::write(&file, fault.name)?;
        let site = format!("site={}", program("sluis-faulty-site").display());
        let with = format!("fault={}", file.display());
        self.publish(fault.schema, &["--binary", &site, "--with", &with])
    }

    /// Publishes a site that fails, has it installed, and holds that it is put back by itself.
    ///
    /// # Errors
    /// When anything of it is not so: with what.
    pub fn put_back(&mut self, fault: &Fault) -> Result<PutBack> {
        let version = self.publish_fault(fault)?;
        self.install_bad(&version, fault).with_context(|| format!("{}, {version}", fault.name))
    }

    /// Has a release that fails installed, and holds that it is put back by itself.
    ///
    /// # Errors
    /// When anything of it is not so: with what.
    pub fn install_bad(&self, version: &str, fault: &Fault) -> Result<PutBack> {
        let outcome = self.appliance.install("site", version)?;
        ensure!(outcome.phase == "rolled-back", "{outcome:?}\n{}", self.appliance.log());
        ensure!(
            outcome.text.contains(fault.reason),
            "“{}” is not in {}",
            fault.reason,
            outcome.text
        );
        let entries = self.log_of(version)?;
        // What fails at once may be dead before the phase is written down in which it was to show.
        let began =
            moment(&entries, fault.phase).or_else(|_| moment(&entries, "switching-over"))?;
        let after =
            |phase: &str| Ok::<_, anyhow::Error>(moment(&entries, phase)?.saturating_sub(began));
        let (noticed, back) = (after("rolling-back")?, after("rolled-back")?);
        let text = text_at(&entries, "rolling-back")?;
        ensure!(text.contains(fault.reason), "the log does not say why: {text}");
        in_time(fault.notice, noticed, back)?;
        self.serves_again()?;
        let why = self.is_blocked(version)?;
        ensure!(why.contains(fault.reason), "the check does not say why: {why}");
        let noticed_by = text.split_once(": ").map_or(text.as_str(), |(_, why)| why).to_owned();
        Ok(PutBack { fault: fault.name.to_owned(), noticed_by, noticed, back })
    }

    /// A site that passes its trial and keeps dying afterwards is put back as well.
    ///
    /// # Errors
    /// When it is not.
    pub fn put_back_after_commit(&mut self, fault: &Fault) -> Result<PutBack> {
        let version = self.publish_fault(fault)?;
        let outcome = self.appliance.install("site", &version)?;
        ensure!(outcome.phase == "contracted", "{outcome:?}\n{}", self.appliance.log());
        let began = Instant::now();
        while self.serves_again().is_err() || !self.is_at_rest() {
            ensure!(began.elapsed() < PUT_BACK_MAX, "it stays: {}", self.appliance.log());
            std::thread::sleep(Duration::from_millis(100));
        }
        let entries = self.log_of(&version)?;
        let why = entries.iter().find(|entry| text(entry).contains("is put back"));
        let why = why.with_context(|| format!("nobody says why: {entries:?}"))?;
        ensure!(text(why).contains(fault.reason), "{}", text(why));
        let committed = entries.iter().find(|entry| entry["phase"] == "contracted");
        let committed = millis(committed.context("it was not committed")?);
        let after = self.log_of("1.0.0")?;
        let back = after.iter().rev().find(|entry| entry["phase"] == "contracted");
        let back = millis(back.context("the old version does not serve again")?);
        let (noticed, back) =
            (millis(why).saturating_sub(committed), back.saturating_sub(committed));
        in_time(fault.notice, noticed, back)?;
        ensure!(self.is_blocked(&version)?.contains(fault.reason), "the check does not say why");
        Ok(PutBack { fault: fault.name.to_owned(), noticed_by: text(why), noticed, back })
    }

    fn is_at_rest(&self) -> bool {
        let progress = self.appliance.api(Method::GET, "/updates/progress", None);
        progress.is_ok_and(|progress| progress["done"] == true)
    }

    fn serves_again(&self) -> Result<()> {
        let status = self.appliance.api(Method::GET, "/status", None)?;
        ensure!(status["site"]["version"] == "1.0.0", "{status}");
        let about = self.appliance.web.call(Method::GET, "/api/v1/about", None, None)?;
        ensure!(about["version"] == "1.0.0", "{about}");
        Ok(())
    }

    /// The version is shown, is not offered, and the reason stands beside it; answers that.
    fn is_blocked(&self, version: &str) -> Result<String> {
        let card = self.appliance.offered("site", version)?;
        ensure!(card["status"] == "blocked", "it is offered again: {card}");
        let why = card["blocked"]["text"].as_str().unwrap_or_default().to_owned();
        ensure!(why.contains("It was put back on "), "{why}");
        let refused = self.appliance.install("site", version);
        let refused = refused.err().context("a bad version was installed again")?.to_string();
        ensure!(refused.contains("409"), "{refused}");
        Ok(why)
    }

    /// An administrator insists on a version that was put back: by `sluis`, and it is offered again.
    ///
    /// # Errors
    /// When it is not.
    pub fn insist(&self, version: &str) -> Result<()> {
        let target = self.appliance.offered("site", version)?["target"].clone();
        let target = target.as_str().context("no target")?;
        sluis(&self.console, &["appliance", "updates", "retry", target], "")?;
        let card = self.appliance.offered("site", version)?;
        ensure!(card["status"] == "installable", "{card}");
        Ok(())
    }

    /// The same on the Updates page, by its button.
    ///
    /// # Errors
    /// When it is not.
    pub fn insist_on_page(&self, version: &str) -> Result<()> {
        let target = self.appliance.offered("site", version)?["target"].clone();
        let page = self.page("/appliance/updates")?;
        let (_, card) = page
            .split_once(&format!("Site software {version} "))
            .with_context(|| format!("{version} is not on the page"))?;
        let (_, form) =
            card.split_once("action=\"/appliance/updates/retry\"").context("no button")?;
        let csrf =
            form.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
        let csrf = format!("csrf={}", csrf.context("no token")?);
        let target = format!("target={}", target.as_str().context("no target")?);
        self.curl(&["--data", &csrf, "--data-urlencode", &target], "/appliance/updates/retry")?;
        let card = self.appliance.offered("site", version)?;
        ensure!(card["status"] == "installable", "{card}");
        Ok(())
    }

    /// The entries of the log about a release of the site, as `sluis` prints them.
    ///
    /// # Errors
    /// When it does not.
    pub fn log_of(&self, version: &str) -> Result<Vec<Value>> {
        let said = sluis(&self.console, &["appliance", "updates", "log"], "")?;
        let log: Value = serde_json::from_str(&said)?;
        let entries = log["entries"].as_array().context("no entries")?;
        let subject = format!("site {version} ");
        let about = |entry: &&Value| {
            entry["subject"].as_str().is_some_and(|found| found.starts_with(&subject))
        };
        Ok(entries.iter().filter(about).cloned().collect())
    }

    /// A page of `/appliance`, as a browser gets it that signed in.
    ///
    /// # Errors
    /// When `curl` does not get it.
    pub fn page(&self, path: &str) -> Result<String> {
        let form = self.curl(&[], "/appliance")?;
        if let Some((_, rest)) = form.split_once("name=\"csrf\" value=\"")
            && form.contains("type=\"password\"")
        {
            let csrf = format!("csrf={}", rest.split('"').next().unwrap_or_default());
            let password = format!("password={PASSWORD}");
            let data = ["--data", &csrf, "--data", "name=admin", "--data-urlencode", &password];
            self.curl(&data, "/appliance/sign-in")?;
        }
        self.curl(&[], path)
    }

    fn curl(&self, more: &[&str], path: &str) -> Result<String> {
        let jar = self.folder.join("cookies").display().to_string();
        let url = format!("https://{}{path}", self.appliance.address);
        let fixed =
            ["--insecure", "--silent", "--show-error", "--location", "-b", &jar, "-c", &jar];
        run(Command::new("curl").args(fixed).args(more).arg(url))
    }

    /// Ends the work: no session may be lost and no byte, and what was written must be there.
    ///
    /// # Errors
    /// When anybody missed anything.
    pub fn end(&mut self) -> Result<(Noticed, usize)> {
        let written = self.writing.take().context("ended already")?.finish();
        let written = written.context("what was written meanwhile")?;
        let noticed = self.live.take().context("ended already")?.end()?;
        let recordings = crate::live::check_recordings(&self.appliance, Duration::from_secs(30));
        let recordings = recordings.context("the recordings")?;
        let sessions = noticed.sessions + usize::try_from(noticed.opened)?;
        ensure!(
            recordings >= sessions,
            "{recordings} recordings of {sessions} sessions\n{noticed}"
        );
        Ok((noticed, written))
    }
}

/// A token of the site's administrator; the site may just be starting.
fn site_token(appliance: &Appliance) -> Result<String> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match appliance.site_sign_in() {
            Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(100)),
            result => return result,
        }
    }
}

fn release<'a>(version: &'a str, revision: u32, schema: u32, more: &'a [&'a str]) -> Release<'a> {
    Release { version, revision, schema, notes: "", site_requires: None, more }
}

fn in_time(notice: Notice, noticed: Duration, back: Duration) -> Result<()> {
    match notice {
        Notice::AtOnce => {
            ensure!(back <= CRASH_MAX, "the old version served again only after {back:?}");
        }
        Notice::AtDeadline(seconds) => {
            let deadline = Duration::from_secs(seconds);
            ensure!(noticed + EARLY >= deadline, "noticed after {noticed:?}, before {deadline:?}");
            ensure!(noticed <= deadline + LATE, "noticed after {noticed:?}, not {deadline:?}");
        }
    }
    ensure!(back <= PUT_BACK_MAX, "the old version served again only after {back:?}");
    Ok(())
}

fn text(entry: &Value) -> String {
    entry["text"].as_str().unwrap_or_default().to_owned()
}

fn millis(entry: &Value) -> Duration {
    Duration::from_millis(entry["at"].as_u64().unwrap_or_default())
}

fn entry<'e>(entries: &'e [Value], phase: &str) -> Result<&'e Value> {
    let found = entries.iter().rev().find(|entry| entry["phase"] == phase);
    found.with_context(|| format!("no entry of {phase} in {entries:?}"))
}

fn moment(entries: &[Value], phase: &str) -> Result<Duration> {
    entry(entries, phase).map(millis)
}

fn text_at(entries: &[Value], phase: &str) -> Result<String> {
    entry(entries, phase).map(text)
}

/// Runs `sluis --json …` and answers what it printed.
///
/// # Errors
/// When it fails; with what it said.
pub fn sluis(console: &Profile, arguments: &[&str], input: &str) -> Result<String> {
    use std::io::Write;
    let mut child = console
        .console()
        .arg("--json")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // A command that asks nothing may be gone already.
    let _ = child.stdin.take().context("no input")?.write_all(input.as_bytes());
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// What a table of bad releases shows: the fault, what noticed it, when, and when the old version served.
pub fn table(rows: &[PutBack], sessions_lost: usize) -> String {
    let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
    let head = format!("{:20} {:>8} {:>8}  {:4}  noticed by\n", "fault", "noticed", "back", "lost");
    let line = |row: &PutBack| {
        let by: String = row.noticed_by.chars().take(110).collect();
        let (noticed, back) = (seconds(row.noticed), seconds(row.back));
        format!("{:20} {noticed:>8} {back:>8}  {sessions_lost:4}  {by}\n", row.fault)
    };
    head + &rows.iter().map(line).collect::<String>()
}

/// An agent program with that fault behind its last byte.
///
/// # Errors
/// When it cannot be written.
pub fn faulty_agent(folder: &Path, fault: &str) -> Result<PathBuf> {
    let path = folder.join(format!("agent-{fault}"));
    let mut bytes = std::fs::read(program("sluis-faulty-agent"))?;
    bytes.extend_from_slice(format!("sluis-fault={fault};").as_bytes());
    std::fs::write(&path, bytes)?;
    Ok(path)
}

/// What an agent's keeper judges by in the stories.
pub const KEEPER: &str = "prove_ms = 10000\nsilent_ms = 3000\nwatchdog_ms = 300000\nrestart_min_ms = 250\nrestart_max_ms = 1000\n";
