use askama::Template;
use askama::filters::HtmlSafe;
use model::{Release, Timestamp};
use ui_kit::{Badge, Body, Moment, Notice, Samples, Tone, size};

use crate::text;

/// What the server knows.
#[derive(Debug, Clone)]
pub struct OverviewFacts {
    /// The server's clock.
    pub now: Timestamp,
    /// What is published, in the order to show.
    pub releases: Vec<ReleaseFacts>,
    /// Why nothing can be offered, and what to do.
    pub problem: Option<(String, String)>,
    /// Holds, each with its scope (`all`, `customer:NAME`, `appliance:ID`) and reason.
    pub holds: Vec<(String, String)>,
    /// Enrolled appliances, in the order to show.
    pub appliances: Vec<ApplianceFacts>,
}

/// One published package or program.
#[derive(Debug, Clone)]
pub struct ReleaseFacts {
    /// `base`, `site`, `license`, `agent` or `console`.
    pub name: String,
    /// Version and revision.
    pub release: Release,
    /// Name of the TUF target.
    pub target: String,
    /// Length in bytes.
    pub size: u64,
    /// Why it is offered to nobody.
    pub blocked: Option<String>,
}

/// One enrolled appliance.
#[derive(Debug, Clone)]
pub struct ApplianceFacts {
    /// Primary hostname of its site.
    pub hostname: String,
    /// Customer that it belongs to.
    pub customer: String,
    /// What it ran at its last check.
    pub runs: Vec<(String, Release)>,
    /// When it last checked.
    pub last_check: Option<Timestamp>,
    /// What it reported last.
    pub report: Option<ReportFacts>,
}

/// What an appliance reported.
#[derive(Debug, Clone)]
pub struct ReportFacts {
    /// State of its installer.
    pub state: String,
    /// What happened.
    pub text: String,
    /// When, by its own clock.
    pub at: Timestamp,
}

/// Releases and appliances on one page.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "overview.html")]
pub struct Overview {
    notices: Vec<Notice>,
    releases: Vec<ReleaseRow>,
    appliances: Vec<ApplianceRow>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct ReleaseRow {
    label: String,
    target: String,
    size: String,
    state: Badge,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct ApplianceRow {
    hostname: String,
    customer: String,
    runs: Vec<String>,
    last_check: Option<Moment>,
    report: Option<(Badge, String, Moment)>,
}

impl HtmlSafe for Overview {}

impl Overview {
    /// The page in words.
    pub fn new(facts: &OverviewFacts) -> Self {
        let problem = facts.problem.iter().map(|(error, remedy)| {
            Notice::titled(Tone::Bad, text::PROBLEM, format!("{error}. {remedy}"))
        });
        let holds = facts
            .holds
            .iter()
            .map(|(scope, reason)| Notice::titled(Tone::Warn, text::hold(scope), reason.as_str()));
        Self {
            notices: problem.chain(holds).collect(),
            releases: facts.releases.iter().map(release_row).collect(),
            appliances: facts.appliances.iter().map(|a| appliance_row(a, facts.now)).collect(),
        }
    }
}

fn release_row(facts: &ReleaseFacts) -> ReleaseRow {
    let state = match &facts.blocked {
        Some(reason) => Badge::new(Tone::Bad, text::blocked(reason)),
        None => Badge::new(Tone::Good, text::OFFERED),
    };
    ReleaseRow {
        label: format!("{} {}", facts.name, facts.release),
        target: facts.target.clone(),
        size: size(facts.size),
        state,
    }
}

fn appliance_row(facts: &ApplianceFacts, now: Timestamp) -> ApplianceRow {
    let report = facts.report.as_ref().map(|report| {
        let badge = Badge::new(tone(&report.state), report.state.as_str());
        (badge, report.text.clone(), Moment::ago(report.at, now))
    });
    ApplianceRow {
        hostname: facts.hostname.clone(),
        customer: facts.customer.clone(),
        runs: facts.runs.iter().map(|(name, release)| format!("{name} {release}")).collect(),
        last_check: facts.last_check.map(|at| Moment::ago(at, now)),
        report,
    }
}

/// States of the installer, as far as one is good or bad news; a later state is neither.
fn tone(state: &str) -> Tone {
    match state.to_ascii_lowercase().replace(['-', '_', ' '], "").as_str() {
        "committed" | "contracted" | "idle" => Tone::Good,
        "rollingback" | "rolledback" | "abandoned" => Tone::Warn,
        "rescue" => Tone::Bad,
        _ => Tone::Busy,
    }
}

impl Body for Overview {
    fn title(&self) -> String {
        text::TITLE.to_owned()
    }
}

impl Samples for Overview {
    fn samples() -> Vec<(&'static str, Self)> {
        let now = Timestamp::from_secs(1_795_290_282);
        let empty = OverviewFacts {
            now,
            releases: vec![],
            problem: None,
            holds: vec![],
            appliances: vec![],
        };
        let typical = OverviewFacts {
            releases: vec![sample_release("site", 1, None), sample_release("base", 0, None)],
            appliances: vec![
                sample_appliance(now, Some(("Committed", "site 1.1.0 (rev 2) serves."))),
                sample_appliance(now, None),
            ],
            ..empty.clone()
        };
        let long = "a-department-with-a-long-name.".repeat(5) + "example.com";
        let mut stretched = typical.clone();
        stretched.appliances[0].hostname = long;
        stretched.releases[0].blocked = Some("It fills the disk of appliances. ".repeat(6));
        let failed = OverviewFacts {
            problem: Some((
                "the repository cannot be offered: the timestamp expired on 2026-11-01T00:00:00Z"
                    .into(),
                "Sign it anew with `sluis-release timestamp`.".into(),
            )),
            holds: vec![
                ("all".into(), "the data centre moves".into()),
                ("customer:Harbour & Sons".into(), "<they> asked".into()),
            ],
            appliances: vec![sample_appliance(
                now,
                Some(("RolledBack", "site 1.1.0 (rev 2) did not answer within 60 s.")),
            )],
            ..empty.clone()
        };
        vec![
            ("empty", Self::new(&empty)),
            ("typical", Self::new(&typical)),
            ("long", Self::new(&stretched)),
            ("failed", Self::new(&failed)),
        ]
    }
}

fn sample_release(name: &str, minor: u64, blocked: Option<String>) -> ReleaseFacts {
    let release = Release::new(1, minor, 0, 2);
    let target = format!("{name}/{name}-1.{minor}.0-r2-x86_64.pkg");
    ReleaseFacts { name: name.into(), release, target, size: 24_300_000, blocked }
}

fn sample_appliance(now: Timestamp, report: Option<(&str, &str)>) -> ApplianceFacts {
    let checked = Timestamp(now.0 - 250_000);
    let release = Release::new(1, 0, 0, 1);
    ApplianceFacts {
        hostname: "support.example.com".into(),
        customer: "Harbour & Sons".into(),
        runs: report.map_or_else(Vec::new, |_| {
            vec![("base".into(), release.clone()), ("site".into(), release)]
        }),
        last_check: report.map(|_| checked),
        report: report.map(|(state, text)| ReportFacts {
            state: state.into(),
            text: text.into(),
            at: checked,
        }),
    }
}
