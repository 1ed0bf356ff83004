use std::time::Duration;

use askama::Template;
use askama::filters::HtmlSafe;
use model::{AgentId, SessionId, SessionKind, SessionOutcome, Timestamp};
use ui_kit::{Badge, Moment, Tone, duration, session_kind, shorten, url::site as url};

use crate::text;

/// How often a session went on after a break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stalls {
    /// How often a leg came back.
    pub resumes: u64,
    /// The longest that its bytes stood still for it.
    pub longest: Duration,
}

/// One session.
#[derive(Debug, Clone)]
pub struct SessionFacts {
    /// Its id.
    pub id: SessionId,
    /// Who worked.
    pub operator: String,
    /// The Jump Client of the endpoint.
    pub client: AgentId,
    /// The name of the endpoint.
    pub endpoint: String,
    /// What it is.
    pub kind: SessionKind,
    /// The command, for a session of that kind.
    pub command: Option<String>,
    /// When it was asked for.
    pub started: Timestamp,
    /// When it ended; `None` while it lives.
    pub ended: Option<Timestamp>,
    /// How it ended.
    pub outcome: Option<SessionOutcome>,
    /// Its interruptions; `None` when they were not counted.
    pub stalls: Option<Stalls>,
    /// Whether it is recorded.
    pub recorded: bool,
    /// Bytes to the endpoint, known at the end.
    pub bytes_in: u64,
    /// Bytes from the endpoint, known at the end.
    pub bytes_out: u64,
}

/// A longer command is cut in the table; the page of its session shows all of it.
const KIND_CHARS_MAX: usize = 80;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    href: String,
    operator: String,
    client: String,
    endpoint: String,
    kind: String,
    started: Moment,
    duration: String,
    outcome: Badge,
    interruptions: String,
}

/// A table of sessions, live or past.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "session_table.html")]
pub struct SessionTable {
    rows: Vec<Row>,
}

impl HtmlSafe for SessionTable {}

impl SessionTable {
    /// The table, in the order given.
    pub fn new(sessions: Vec<SessionFacts>, now: Timestamp) -> Self {
        Self { rows: sessions.into_iter().map(|session| row(session, now)).collect() }
    }
}

fn row(session: SessionFacts, now: Timestamp) -> Row {
    Row {
        href: url::Session(session.id).to_string(),
        client: url::Client(session.client).to_string(),
        kind: shorten(&kind(&session), KIND_CHARS_MAX),
        started: Moment::at(session.started),
        duration: duration(session.ended.unwrap_or(now).since(session.started)),
        outcome: outcome(session.outcome.as_ref(), session.ended.is_some()),
        interruptions: interruptions(session.stalls),
        operator: session.operator,
        endpoint: session.endpoint,
    }
}

/// `Shell`, or `Command: apt-get upgrade`.
pub(crate) fn kind(session: &SessionFacts) -> String {
    match &session.command {
        Some(command) => format!("{}: {command}", session_kind(session.kind)),
        None => session_kind(session.kind).to_owned(),
    }
}

/// How a session ended, or that it lives.
pub(crate) fn outcome(outcome: Option<&SessionOutcome>, over: bool) -> Badge {
    let tone = match outcome {
        None if over => Tone::Idle,
        None | Some(SessionOutcome::Exited(0)) => Tone::Good,
        Some(SessionOutcome::Exited(_) | SessionOutcome::Signalled(_)) => Tone::Warn,
        Some(SessionOutcome::Closed) => Tone::Idle,
        Some(SessionOutcome::Failed(_)) => Tone::Bad,
    };
    Badge::new(tone, text::outcome(outcome, over))
}

/// How often it was interrupted and for how long at most.
pub(crate) fn interruptions(stalls: Option<Stalls>) -> String {
    match stalls {
        None => text::NOT_COUNTED.to_owned(),
        Some(Stalls { resumes: 0, .. }) => text::NONE.to_owned(),
        Some(stalls) => text::resumed(stalls.resumes, &duration(stalls.longest)),
    }
}
