mod samples;

use askama::Template;
use askama::filters::HtmlSafe;
use model::Timestamp;
use ui_kit::{Badge, Body, Notice, Refresh, Tone, url::appliance as url};

use super::log::{Level, LogLine, Way};
use crate::text;

/// The phases that a person follows, in their order.
const PHASES: [&str; 9] = [
    "planned",
    "fetching",
    "verified",
    "staged",
    "preflight",
    "expanded",
    "switching-over",
    "trial",
    "committed",
];

/// How often a page that is looked at asks again, in seconds.
const LOOK_AGAIN_S: u32 = 1;

/// How one step of a plan stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepState {
    /// It is installed.
    Done,
    /// It is under way.
    Running,
    /// It failed, and the plan stopped there.
    Failed,
    /// It is not begun.
    Waiting,
}

/// The plan that an install is a step of.
#[derive(Debug, Clone)]
pub struct PlanFacts {
    /// The step that was begun last, from 1.
    pub step: usize,
    /// Each step: what it installs, and how it stands.
    pub steps: Vec<(String, StepState)>,
}

/// How far an install is, as the installer says it.
#[derive(Debug, Clone)]
pub struct ProgressFacts<'a> {
    /// The plan that it is a step of; none when it was asked for alone.
    pub plan: Option<&'a PlanFacts>,
    /// What is done, such as `Install site 1.1.0 (rev 2)`.
    pub subject: &'a str,
    /// The installer's state, such as `switching-over`.
    pub phase: &'a str,
    /// 0 to 100.
    pub percent: u8,
    /// What is being done, or why it ended as it did.
    pub text: &'a str,
    /// What comes next, or what to do now; may be empty.
    pub next: &'a str,
    /// Whether it is over.
    pub done: bool,
    /// What happened so far, oldest first.
    pub entries: &'a [(Timestamp, String, Level, String)],
}

/// How far the install is that runs, or how the last one ended.
///
/// The part that changes carries `data-live`: with JavaScript it is looked at again by itself,
/// without it the whole page is.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "updates/progress.html")]
pub struct Progress {
    subject: String,
    plan: Option<Plan>,
    bar: Option<ui_kit::Progress>,
    phases: Vec<Badge>,
    next: String,
    outcome: Option<Notice>,
    lines: Vec<LogLine>,
}

impl HtmlSafe for Progress {}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Plan {
    place: String,
    steps: Vec<(Badge, String)>,
}

impl Plan {
    fn new(facts: &PlanFacts) -> Self {
        let step = |(package, state): &(String, StepState)| {
            let tone = match state {
                StepState::Done => Tone::Good,
                StepState::Running => Tone::Busy,
                StepState::Failed => Tone::Bad,
                StepState::Waiting => Tone::Idle,
            };
            (Badge::new(tone, text::step_state(*state)), package.clone())
        };
        Self {
            place: text::plan_place(facts.step, facts.steps.len()),
            steps: facts.steps.iter().map(step).collect(),
        }
    }
}

impl Progress {
    /// The page while nothing was ever installed.
    pub fn nothing() -> Self {
        Self {
            subject: String::new(),
            plan: None,
            bar: None,
            phases: vec![],
            next: String::new(),
            outcome: Some(Notice::new(Tone::Idle, text::NOTHING_RUNS)),
            lines: vec![],
        }
    }

    /// The page in words.
    pub fn new(facts: &ProgressFacts<'_>) -> Self {
        let way = Way::of(facts.entries.first().map(|(_, phase, ..)| phase.as_str()));
        let doing = if facts.text.is_empty() {
            text::phase(facts.phase).unwrap_or(facts.phase)
        } else {
            facts.text
        };
        Self {
            subject: match way {
                Way::There => facts.subject.to_owned(),
                Way::Back => text::back_to(facts.subject),
            },
            plan: facts.plan.map(Plan::new),
            bar: (!facts.done).then(|| ui_kit::Progress::new(facts.percent, doing)),
            phases: if facts.done { vec![] } else { phases(facts.phase, way) },
            next: facts.next.to_owned(),
            outcome: facts.done.then(|| outcome(facts.phase, facts.text)),
            lines: facts
                .entries
                .iter()
                .rev()
                .map(|(at, phase, level, text)| LogLine::new(*at, phase, *level, text))
                .collect(),
        }
    }

    fn is_live(&self) -> bool {
        self.outcome.is_none()
    }
}

/// What is done, what is under way and what is still to come; only what is under way when a version
/// failed and is put back.
fn phases(now: &str, way: Way) -> Vec<Badge> {
    let word = |phase| text::phase(phase).unwrap_or(phase).to_owned();
    let begin = PHASES.iter().position(|phase| *phase == way.begin()).unwrap_or_default();
    let phases = &PHASES[begin..];
    let Some(here) = phases.iter().position(|phase| *phase == now) else {
        return vec![Badge::new(Tone::Busy, word(now))];
    };
    let badge = |(at, phase): (usize, &&'static str)| match at.cmp(&here) {
        std::cmp::Ordering::Less => Badge::new(Tone::Good, word(phase)),
        std::cmp::Ordering::Equal => Badge::new(Tone::Busy, word(phase)),
        std::cmp::Ordering::Greater => Badge::new(Tone::Idle, word(phase)),
    };
    phases.iter().enumerate().map(badge).collect()
}

fn outcome(phase: &str, why: &str) -> Notice {
    let or = |fallback: &str| if why.is_empty() { fallback.to_owned() } else { why.to_owned() };
    match phase {
        "contracted" => Notice::titled(Tone::Good, text::INSTALLED_TITLE, or(text::INSTALLED_TEXT)),
        "rolled-back" => Notice::titled(Tone::Warn, text::ROLLED_BACK_TITLE, why),
        "abandoned" => Notice::titled(Tone::Warn, text::ABANDONED_TITLE, why),
        "rescue" => Notice::titled(Tone::Bad, text::RESCUE_TITLE, why),
        other => Notice::new(Tone::Idle, or(text::phase(other).unwrap_or(other))),
    }
}

impl Body for Progress {
    fn title(&self) -> String {
        match &self.bar {
            Some(bar) => format!("{} % {}", bar.percent, self.subject),
            None => text::PROGRESS.to_owned(),
        }
    }

    fn refresh(&self) -> Option<Refresh> {
        self.is_live().then_some(Refresh::Parts(LOOK_AGAIN_S))
    }
}
