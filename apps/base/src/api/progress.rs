use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use model::{AttemptId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Caller;
use crate::base::Shared;
use crate::installer::{doing, percent};
use crate::log::{Entry, Level};

/// How long a request that waits is kept.
const WAIT: Duration = Duration::from_secs(20);

/// How far the attempt is that runs, or how the last one ended.
#[derive(Debug, Clone, Serialize)]
pub struct Progress {
    pub attempt: Option<AttemptId>,
    pub subject: String,
    pub phase: &'static str,
    pub percent: u8,
    pub text: String,
    pub next: &'static str,
    pub done: bool,
    pub entries: Vec<Line>,
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

/// Waits until there is something after that entry, for a while.
async fn wait(base: &Shared, after: u64) {
    let mut last = base.log.watch();
    let mut closing = base.closing.subscribe();
    let more = async { last.wait_for(|last| *last > after).await.is_ok() };
    tokio::select! {
        _ = tokio::time::timeout(WAIT, more) => {}
        _ = closing.wait_for(|closing| *closing) => {}
    }
}

/// How far it is now.
pub fn progress_now(base: &Shared, after: u64) -> Progress {
    let state = base.installer.state();
    let saying = base.installer.saying();
    let attempt = state.attempt().map(|attempt| attempt.id);
    let mut entries = base.log.after(after);
    if attempt.is_some() {
        entries.retain(|entry| entry.attempt == attempt);
    }
    Progress {
        attempt,
        subject: state.package().map(|package| package.to_string()).unwrap_or_default(),
        phase: state.name(),
        percent: percent(&state, saying.fraction),
        text: if saying.text.is_empty() { doing(&state) } else { saying.text },
        next: next(state.name()),
        done: state.at_rest(),
        entries: entries.into_iter().map(Line::from).collect(),
    }
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
