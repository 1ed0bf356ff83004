use std::time::Duration;

use askama::Template;
use askama::filters::HtmlSafe;
use model::{PackageKind, SessionKind, Timestamp};
use ui_kit::{Badge, Moment, Tone, count, duration, session_kind, size};

use crate::text;

/// One session that runs.
#[derive(Debug, Clone)]
pub struct RunningSession {
    /// Who is at work.
    pub operator: String,
    /// On which machine.
    pub endpoint: String,
    /// What it is.
    pub kind: SessionKind,
    /// Since when.
    pub started: Timestamp,
}

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindingLevel {
    /// As it should be.
    Fine,
    /// Goes on, and somebody should know.
    Warning,
    /// Nothing is installed while this holds.
    Refusal,
}

/// One thing that the preflight looked at.
#[derive(Debug, Clone)]
pub struct Finding {
    /// How much it weighs.
    pub level: FindingLevel,
    /// What was found.
    pub text: String,
    /// The way out; empty when nothing is to be done.
    pub remedy: String,
}

/// How long something takes, and how that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// How long.
    pub length: Duration,
    /// By how many past ones on this appliance; 0 when there are none, and it is what the project measured.
    pub past: usize,
}

/// Who and what a change of version meets.
#[derive(Debug, Clone)]
pub struct ImpactFacts {
    /// What is being changed.
    pub kind: PackageKind,
    /// Names of the operators who are signed in.
    pub operators: Vec<String>,
    /// The sessions that run.
    pub sessions: Vec<RunningSession>,
    /// How long it should take in all.
    pub duration: Estimate,
    /// How long a session may stand still.
    pub stall: Estimate,
    /// Bytes free where packages are unpacked.
    pub disk_free: u64,
    /// Bytes that it takes there; zero for going back.
    pub disk_needed: u64,
    /// What the preflight found.
    pub findings: Vec<Finding>,
    /// The appliance's clock.
    pub now: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct SessionRow {
    operator: String,
    endpoint: String,
    kind: &'static str,
    started: Moment,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FindingRow {
    badge: Badge,
    remedy: String,
}

/// What a change of version meets, before anybody presses the button.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "updates/impact.html")]
pub struct Impact {
    duration: String,
    interruption: String,
    disk: String,
    operators: Vec<String>,
    operator_count: String,
    sessions: Vec<SessionRow>,
    session_count: String,
    findings: Vec<FindingRow>,
    refused: bool,
}

impl HtmlSafe for Impact {}

impl Impact {
    /// The same in words.
    pub fn new(facts: ImpactFacts) -> Self {
        Self {
            duration: text::about(facts.duration),
            interruption: text::interruption(facts.kind, facts.stall),
            disk: text::disk_needed(
                &size(facts.disk_free),
                facts.disk_needed,
                &size(facts.disk_needed),
            ),
            operator_count: count(facts.operators.len(), "operator", "operators"),
            session_count: count(facts.sessions.len(), "session", "sessions"),
            refused: facts.findings.iter().any(|each| each.level == FindingLevel::Refusal),
            operators: facts.operators,
            sessions: facts.sessions.into_iter().map(|each| row(each, facts.now)).collect(),
            findings: facts.findings.into_iter().map(finding).collect(),
        }
    }

    /// Whether a finding forbids to go on.
    pub fn is_refused(&self) -> bool {
        self.refused
    }
}

fn row(session: RunningSession, now: Timestamp) -> SessionRow {
    SessionRow {
        operator: session.operator,
        endpoint: session.endpoint,
        kind: session_kind(session.kind),
        started: Moment::ago(session.started, now),
    }
}

fn finding(finding: Finding) -> FindingRow {
    let tone = match finding.level {
        FindingLevel::Fine => Tone::Good,
        FindingLevel::Warning => Tone::Warn,
        FindingLevel::Refusal => Tone::Bad,
    };
    FindingRow { badge: Badge::new(tone, finding.text), remedy: finding.remedy }
}

/// How long something took or will take, where it is shown alone.
pub(super) fn took(from: Timestamp, to: Timestamp) -> String {
    duration(to.since(from))
}
