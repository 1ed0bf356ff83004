use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use install::{PlanRun, PlanState, StepState};
use model::{AttemptId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Caller;
use crate::base::Shared;
use crate::installer::{doing, percent};
use crate::log::{Entry, Level};
use crate::plan_words;

/// How long a request that waits is kept.
const WAIT: Duration = Duration::from_secs(20);

/// How far the attempt is that runs, or how the last one ended.
#[derive(Debug, Clone, Serialize)]
pub struct Progress {
    pub attempt: Option<AttemptId>,
    /// That attempt, and those of the same plan before it.
    pub attempts: Vec<AttemptId>,
    pub plan: Option<Standing>,
    pub subject: String,
    pub phase: &'static str,
    pub percent: u8,
    pub text: String,
    pub next: &'static str,
    pub done: bool,
    pub entries: Vec<Line>,
}

/// How a plan stands.
#[derive(Debug, Clone, Serialize)]
pub struct Standing {
    /// The step that was begun last, from 1.
    pub step: usize,
    pub of: usize,
    pub state: &'static str,
    pub steps: Vec<StepLine>,
}

/// One step of a plan.
#[derive(Debug, Clone, Serialize)]
pub struct StepLine {
    pub target: String,
    pub text: String,
    pub state: StepState,
}

impl From<&PlanRun> for Standing {
    fn from(plan: &PlanRun) -> Self {
        let (step, of) = plan.place();
        let state = match plan.state {
            PlanState::Running => "running",
            PlanState::Finished => "finished",
            PlanState::Stopped { .. } => "stopped",
        };
        let line = |(package, state): (&install::PackageRef, StepState)| StepLine {
            target: package.target.clone(),
            text: package.to_string(),
            state,
        };
        Self { step, of, state, steps: plan.standing().map(line).collect() }
    }
}

/// One entry of the log.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    pub n: u64,
    pub at: Timestamp,
    pub phase: String,
    pub level: Level,
    pub text: String,
}

impl From<Entry> for Line {
    fn from(entry: Entry) -> Self {
        let Entry { n, at, phase, level, text, .. } = entry;
        Self { n, at, phase, level, text }
    }
}

#[derive(Deserialize)]
pub struct Wanted {
    #[serde(default)]
    after: u64,
    #[serde(default)]
    wait: u8,
}

/// `GET /appliance/api/v1/updates/progress`
pub async fn progress(
    State(base): State<Shared>,
    _: Caller,
    Query(wanted): Query<Wanted>,
) -> Json<Progress> {
    if wanted.wait != 0 {
        wait(&base, wanted.after).await;
    }
    Json(progress_now(&base, wanted.after))
}

/// Waits until there is something after that entry or nothing is under way, for a while.
async fn wait(base: &Shared, after: u64) {
    let mut course = base.installer.watch();
    let mut last = base.log.watch();
    let mut closing = base.closing.subscribe();
    let more = async { last.wait_for(|last| *last > after).await.is_ok() };
    tokio::select! {
        _ = tokio::time::timeout(WAIT, more) => {}
        _ = course.wait_for(|course| course.at_rest()) => {}
        _ = closing.wait_for(|closing| *closing) => {}
    }
}

/// How far it is now.
pub fn progress_now(base: &Shared, after: u64) -> Progress {
    let course = base.installer.course();
    let (state, plan) = (&course.install, course.plan.as_ref());
    let saying = base.installer.saying();
    let attempt = state.attempt().map(|attempt| attempt.id);
    let attempts = plan.map_or_else(|| attempt.into_iter().collect(), |plan| plan.attempts.clone());
    let mut entries = base.log.after(after);
    if !attempts.is_empty() {
        entries.retain(|entry| entry.attempt.is_some_and(|attempt| attempts.contains(&attempt)));
    }
    let mut text = if saying.text.is_empty() { doing(state) } else { saying.text };
    if let Some((_, ended)) = plan.and_then(plan_words::ended) {
        text = format!("{text} {ended}");
    }
    let percent = percent(state, saying.fraction);
    Progress {
        attempt,
        attempts,
        plan: plan.map(Standing::from),
        subject: plan_words::subject(&course),
        phase: state.name(),
        percent: plan
            .filter(|plan| plan.is_running())
            .map_or(percent, |plan| overall(plan, percent)),
        text,
        next: next(state.name()),
        done: course.at_rest(),
        entries: entries.into_iter().map(Line::from).collect(),
    }
}

/// How far a plan is in percent, when its step under way is so far.
fn overall(plan: &PlanRun, percent: u8) -> u8 {
    let (step, of) = plan.place();
    let hundredths = step.saturating_sub(1) * 100 + usize::from(percent);
    // Between 0 and 100, as no step is beyond the last one.
    (hundredths / of.max(1)).min(100) as u8
}

/// What comes after a state, or what to do now.
fn next(phase: &str) -> &'static str {
    match phase {
        "planned" => "Then the package is downloaded.",
        "fetching" => "Then it is verified against its signatures and unpacked.",
        "verified" => "Then the appliance is looked at.",
        "staged" => "Then the database is expanded; the old version goes on serving.",
        "preflight" => "Then the new version is started beside the old one.",
        "expanded" => "Then it takes over, session by session.",
        "switching-over" => "Then it is watched, with the old version on standby.",
        "trial" => "Then the old version is let go.",
        "abandoned" => {
            "Put right what stood in the way and install again, or ask your vendor for the package by hand."
        }
        "rolled-back" => {
            "Wait for a newer version, or ask your vendor; this one is not tried again by itself."
        }
        "rescue" => "Roll back under Updates, or install a version that works.",
        _ => "",
    }
}

/// `GET /appliance/api/v1/updates/log`
pub async fn log(State(base): State<Shared>, _: Caller) -> Json<Value> {
    Json(json!({ "entries": base.log.after(0) }))
}
