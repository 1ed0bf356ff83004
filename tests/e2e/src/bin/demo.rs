//! `cargo xtask demo`: an update server, an appliance and three Jump Clients, updated under live
//! sessions, with a timeline of what happened and what anybody noticed.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use sluis_e2e::appliance::{Appliance, Outcome, PASSWORD};
use sluis_e2e::bins::client_program;
use sluis_e2e::live::{Live, Noticed, Scale, check_recordings};
use sluis_e2e::rig::Profile;
use sluis_e2e::vendor::{Release, Vendor};

/// Starts a whole Sluis on this machine and updates it while it works.
#[derive(Parser)]
struct Arguments {
    /// End when the timeline is printed, instead of staying up for a person to try
    #[arg(long)]
    exit: bool,
    /// Operator sessions that run during the updates
    #[arg(long, default_value_t = 12)]
    sessions: usize,
    /// Keep everything in this folder instead of a temporary one
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

const CLIENTS: [&str; 3] = ["web-1", "db-1", "mail-1"];

/// How long the sessions run before anything changes: what the machine does by itself, to compare with.
const QUIET: std::time::Duration = std::time::Duration::from_secs(2);

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let (folder, _guard) = folder(&arguments)?;
    let mut timeline = Timeline::new();
    let (vendor, updates) = start_vendor(&folder, &mut timeline)?;
    let mut appliance = start_appliance(&folder, &vendor, &mut timeline)?;
    let (token, console) = enrol_clients(&mut appliance, &mut timeline)?;
    publish_update(&vendor, &mut timeline)?;
    let noticed = update(&appliance, (&token, &console), scale(arguments.sessions), &mut timeline)?;
    let recordings = check_recordings(&appliance, Duration::from_secs(20))?;
    timeline.print();
    println!("\n{noticed}");
    println!("recordings      {recordings} checked from end to end, each in one piece");
    if arguments.exit {
        return Ok(());
    }
    stay(&vendor, &appliance, &updates, &folder)
}

/// Where everything lies, and what removes it at the end.
fn folder(arguments: &Arguments) -> Result<(PathBuf, Option<tempfile::TempDir>)> {
    if let Some(dir) = &arguments.dir {
        return Ok((dir.clone(), None));
    }
    let made = tempfile::TempDir::with_prefix("sluis-demo-")?;
    Ok((made.path().to_owned(), Some(made)))
}

/// Publishes the first release; answers also where the update server is.
fn start_vendor(folder: &Path, timeline: &mut Timeline) -> Result<(Vendor, String)> {
    let mut vendor = Vendor::new(&folder.join("vendor"))?;
    timeline.note("keys made: root and targets 2 of 3, delegations base, site, agent");
    vendor.publish(&Release {
        version: "1.0.0",
        revision: 1,
        schema: 1,
        notes: "The first release.",
        site_requires: None,
        more: &[],
    })?;
    let updates = vendor.serve()?;
    timeline.note(&format!("1.0.0 (rev 1) published, update server at {updates}"));
    Ok((vendor, updates))
}

/// Sets an appliance up and installs its first site.
fn start_appliance(folder: &Path, vendor: &Vendor, timeline: &mut Timeline) -> Result<Appliance> {
    let enrolment = vendor.customer("Harbour", "localhost")?;
    let package = vendor.package("base", "1.0.0", 1)?;
    let mut appliance = Appliance::new(&folder.join("harbour"), &package, vendor, &enrolment)?;
    appliance.start()?;
    appliance.sign_in()?;
    timeline.note(&format!("appliance at https://{}, without a site yet", appliance.address));
    let outcome = appliance.install("site", "1.0.0")?;
    good(&outcome, &appliance)?;
    timeline.installed("site 1.0.0 (rev 1), the first", &outcome);
    Ok(appliance)
}

/// Enrols the Jump Clients and signs a console in; answers a token of the API and the console.
fn enrol_clients(appliance: &mut Appliance, timeline: &mut Timeline) -> Result<(String, Profile)> {
    let token = appliance.site_sign_in()?;
    for name in CLIENTS {
        appliance.agent(name, &token, &client_program("sluis-agent"))?;
    }
    appliance.wait_clients(&token, CLIENTS.len(), None, Duration::from_secs(30))?;
    let console = appliance.console("ada")?;
    timeline.note("three Jump Clients enrolled, a console signed in");
    Ok((token, console))
}

fn publish_update(vendor: &Vendor, timeline: &mut Timeline) -> Result<()> {
    vendor.publish(&Release {
        version: "1.1.0",
        revision: 2,
        schema: 2,
        notes: "Each session's page lists its legs: when it moved, and how long it stood still.\nAuditors asked for it.",
        site_requires: Some("base >=1.1"),
        more: &[],
    })?;
    timeline.note("1.1.0 (rev 2) published: new base, new site with a schema change, new agents");
    Ok(())
}

fn scale(sessions: usize) -> Scale {
    Scale { ticking: sessions, typing: (sessions / 4).max(1) }
}

/// Updates base, site and agents under live sessions; answers what anybody noticed.
fn update(
    appliance: &Appliance,
    (token, console): (&str, &Profile),
    scale: Scale,
    timeline: &mut Timeline,
) -> Result<Noticed> {
    let mut live = Live::start(appliance, console, &CLIENTS, scale)?;
    timeline.note(&format!(
        "{} sessions print a line every 10 ms, {} are typed into, others open and end, HTTP requests run",
        scale.ticking, scale.typing
    ));
    std::thread::sleep(QUIET);
    for (kind, label) in [("base", "base 1.1.0 (rev 2)"), ("site", "site 1.1.0 (rev 2)")] {
        live.mark(&format!("{kind} is updated"));
        let outcome = appliance.install(kind, "1.1.0")?;
        good(&outcome, appliance)?;
        timeline.installed(label, &outcome);
    }
    live.mark("agents are updated");
    let limit = Duration::from_mins(2);
    let after = appliance.wait_clients(token, CLIENTS.len(), Some("1.1.0"), limit)?;
    timeline.note(&format!(
        "all Jump Clients run 1.1.0, {:.1} s after the site, under their sessions",
        after.as_secs_f64()
    ));
    live.finish()
}

/// Fails with what the appliance says when an install did not end well.
fn good(outcome: &Outcome, appliance: &Appliance) -> Result<()> {
    let committed = matches!(outcome.phase.as_str(), "committed" | "contracted" | "idle");
    ensure!(
        committed,
        "the install ended in {}: {}\n{}",
        outcome.phase,
        outcome.text,
        appliance.log()
    );
    Ok(())
}

fn stay(vendor: &Vendor, appliance: &Appliance, updates: &str, folder: &Path) -> Result<()> {
    vendor.publish(&Release {
        version: "1.2.0",
        revision: 3,
        schema: 2,
        notes: "Install me by hand: /appliance > Updates > Check for Updates.",
        site_requires: Some("base >=1.2"),
        more: &[],
    })?;
    println!();
    println!(
        "It stays up until you press Ctrl-C. 1.2.0 (rev 3) is published: install it yourself."
    );
    println!();
    println!("  appliance   https://{}/appliance   admin / {PASSWORD}", appliance.address);
    println!("  site        https://{}/login       admin / {PASSWORD}", appliance.address);
    println!(
        "  updates     {updates}   admin / see {}",
        folder.join("vendor/update/page.password").display()
    );
    println!(
        "  console     {} --home {} jump web-1",
        client_program("sluis").display(),
        folder.join("harbour/console-ada").display()
    );
    println!();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(tokio::signal::ctrl_c()).context("Ctrl-C cannot be waited for")
}

struct Timeline {
    began: Instant,
    lines: Vec<(Duration, String)>,
}

impl Timeline {
    fn new() -> Self {
        Self { began: Instant::now(), lines: Vec::new() }
    }

    /// Notes an event, and says it at once: the demo takes minutes.
    fn note(&mut self, text: &str) {
        self.at(self.began.elapsed(), text.to_owned());
    }

    fn at(&mut self, at: Duration, text: String) {
        eprintln!("{:7.1} s  {text}", at.as_secs_f64());
        self.lines.push((at, text));
    }

    fn installed(&mut self, what: &str, outcome: &Outcome) {
        let end = self.began.elapsed();
        let begin = end.saturating_sub(outcome.took);
        for (at, phase) in &outcome.phases {
            self.lines.push((begin + *at, format!("  {what}: {phase}")));
        }
        self.at(end, format!("{what} installed in {:.1} s", outcome.took.as_secs_f64()));
    }

    fn print(&self) {
        println!();
        println!("Timeline");
        let mut lines = self.lines.clone();
        lines.sort_by_key(|(at, _)| *at);
        for (at, text) in lines {
            println!("{:7.1} s  {text}", at.as_secs_f64());
        }
    }
}
