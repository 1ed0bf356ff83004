use askama::Template;
use askama::filters::HtmlSafe;
use model::{AttemptId, Timestamp};
use ui_kit::{Badge, Body, Moment, Samples, Tone, url::appliance as url};

use super::impact::took;
use super::samples;
use crate::text;

/// How much an entry weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Info,
    /// Somebody should know.
    Warning,
    /// It went wrong.
    Error,
}

/// One entry of the log of installs.
#[derive(Debug, Clone)]
pub struct LogEntry {
    /// The try that it belongs to.
    pub attempt: AttemptId,
    /// What that try does, such as `Install site 1.1.0 (rev 2)`; may be empty.
    pub subject: String,
    /// When it was written.
    pub at: Timestamp,
    /// The installer's state, such as `switching-over`.
    pub phase: String,
    /// How much it weighs.
    pub level: Level,
    /// What happened.
    pub text: String,
}

/// Where a try leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// To another version.
    There,
    /// To the version that ran before, which is in its slot already.
    Back,
}

impl Way {
    /// The way of a try whose first entry has that phase.
    pub(super) fn of(first: Option<&str>) -> Self {
        if first == Some(Self::Back.begin()) { Self::Back } else { Self::There }
    }

    /// The phase in which it begins.
    pub(super) fn begin(self) -> &'static str {
        match self {
            Self::There => "planned",
            Self::Back => "expanded",
        }
    }
}

/// One line of a log, in words.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "updates/log_line.html")]
pub struct LogLine {
    at: Moment,
    phase: String,
    text: String,
    badge: Option<Badge>,
}

impl HtmlSafe for LogLine {}

impl LogLine {
    /// The entry in words.
    pub fn new(at: Timestamp, phase: &str, level: Level, text: &str) -> Self {
        let badge = match level {
            Level::Info => None,
            Level::Warning => Some(Badge::new(Tone::Warn, text)),
            Level::Error => Some(Badge::new(Tone::Bad, text)),
        };
        let phase = text::phase(phase).map_or_else(|| phase.to_owned(), str::to_owned);
        Self { at: Moment::at(at), phase, text: text.to_owned(), badge }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Attempt {
    title: String,
    outcome: Badge,
    started: Moment,
    took: String,
    lines: Vec<LogLine>,
    open: bool,
}

/// The log of installs, the newest try first.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "updates/log.html")]
pub struct Log {
    attempts: Vec<Attempt>,
}

impl HtmlSafe for Log {}

impl Log {
    /// The log in words; the entries come oldest first, those of one try together.
    pub fn new(entries: &[LogEntry]) -> Self {
        let mut attempts: Vec<Attempt> =
            entries.chunk_by(|a, b| a.attempt == b.attempt).map(attempt).collect();
        attempts.reverse();
        if let Some(newest) = attempts.first_mut() {
            newest.open = true;
        }
        Self { attempts }
    }
}

fn attempt(entries: &[LogEntry]) -> Attempt {
    // A chunk is never empty.
    let (first, last) = (&entries[0], &entries[entries.len() - 1]);
    let subject = entries.iter().map(|each| each.subject.as_str()).find(|name| !name.is_empty());
    let subject = subject.unwrap_or(text::UNNAMED_ATTEMPT);
    Attempt {
        title: match Way::of(Some(&first.phase)) {
            Way::There => subject.to_owned(),
            Way::Back => text::back_to(subject),
        },
        outcome: outcome(&last.phase),
        started: Moment::at(first.at),
        took: took(first.at, last.at),
        lines: entries
            .iter()
            .map(|each| LogLine::new(each.at, &each.phase, each.level, &each.text))
            .collect(),
        open: false,
    }
}

fn outcome(phase: &str) -> Badge {
    let tone = match phase {
        "contracted" => Tone::Good,
        "abandoned" | "rolled-back" => Tone::Warn,
        "rescue" => Tone::Bad,
        _ => Tone::Busy,
    };
    Badge::new(tone, text::phase(phase).unwrap_or(phase))
}

impl Body for Log {
    fn title(&self) -> String {
        text::LOG.to_owned()
    }
}

impl Samples for Log {
    fn samples() -> Vec<(&'static str, Self)> {
        let mut long = samples::log();
        for entry in &mut long {
            entry.text = "/srv/sluis/packages/0123456789abcdef/".repeat(6) + "<x>";
            entry.phase = String::from("a-phase-that-a-later-release-knows");
        }
        vec![
            ("empty", Self::new(&[])),
            ("typical", Self::new(&samples::log())),
            ("long", Self::new(&long)),
        ]
    }
}
