use std::time::Duration;

use axum::Form;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use model::{AttemptId, PackageKind, SessionKind, Timestamp};
use release::plan::{Card, Status};
use serde::Deserialize;
use serde_json::Value;
use ui_appliance::{
    Blocked, CardFacts, CardStatus, Finding, FindingLevel, ImpactFacts, InstallConfirm,
    InstallInput, Installed, Level, Log, LogEntry, PlanStep, Progress, ProgressFacts,
    RollBackConfirm, RollBackInput, RunningSession, Tab, Updates, UpdatesFacts,
};
use ui_kit::url::appliance as url;
use ui_kit::{CsrfInput, Flash};

use super::viewer::{Viewer, done};
use crate::api::{Problem, allow_again, begin_install, begin_rollback, progress_now};
use crate::base::{Base, Shared};
use crate::{log, preflight, trust};

/// How long an install takes in all, and how long a session may stand still by it.
const EXPECTED: (Duration, Duration) = (Duration::from_secs(30), Duration::from_millis(250));

/// `GET /appliance/updates`
pub async fn list(State(base): State<Shared>, viewer: Viewer) -> Response {
    let checked = base.last_check.get();
    let progress = progress_now(&base, u64::MAX);
    let installed = [PackageKind::Base, PackageKind::Site].into_iter().filter_map(|kind| {
        let current = base.installed(kind)?.release;
        Some(Installed { kind, current, previous: base.kept(kind).map(|kept| kept.release) })
    });
    let page = Updates::new(
        UpdatesFacts {
            checked_at: checked.checked_at,
            check_failed: checked.failed,
            installing: (!progress.done)
                .then(|| format!("{}: {}", progress.subject, progress.text)),
            installed: installed.collect(),
            packages: checked.packages.iter().map(|each| card(&base, each)).collect(),
            plan: checked
                .plan
                .into_iter()
                .map(|step| PlanStep { target: step.target, text: step.text })
                .collect(),
            now: host::now(),
        },
        viewer.csrf(),
    );
    viewer.page(Tab::Updates, &page)
}

fn card(base: &Base, card: &Card) -> CardFacts {
    CardFacts {
        target: card.target.clone(),
        kind: card.kind,
        name: card.name.clone(),
        release: card.release(),
        hostname: card.hostname.as_ref().map(ToString::to_string),
        licenses: card.licenses,
        expires: card.expires,
        notes: card.notes.clone(),
        size: card.size,
        requires: card.requires.clone(),
        status: match (card.status, &card.blocked) {
            (status, _)
                if status != Status::Installed
                    && let Some(bad) = bad(base, card) =>
            {
                CardStatus::PutBack { at: bad.at, reason: bad.reason }
            }
            (Status::Installable, _) => CardStatus::Installable,
            (Status::Installed, _) => CardStatus::Installed,
            (_, Some(blocked)) => CardStatus::Blocked(Blocked {
                missing: blocked.missing.clone(),
                by: blocked.by.clone(),
                text: blocked.text.clone(),
            }),
            (_, None) => CardStatus::Blocked(Blocked {
                missing: String::new(),
                by: None,
                text: "Install the newest base software first.".into(),
            }),
        },
    }
}

/// What the ledger says against a package.
fn bad(base: &Base, card: &Card) -> Option<install::Bad> {
    base.ledger.read(|ledger| ledger.bad.get(&card.sha256.to_string()).cloned())
}

/// `POST /appliance/updates/retry`
pub async fn retry(
    State(base): State<Shared>,
    viewer: Viewer,
    Form(input): Form<InstallInput>,
) -> Result<Response, Response> {
    viewer.check(&input.csrf)?;
    if let Err(problem) = allow_again(&base, &input.target, &viewer.name) {
        return Ok(viewer.problem(&problem, url::Updates));
    }
    if base.installer.state().at_rest() {
        // Why it brought nothing stands on the page.
        let _ = trust::check(&base).await;
    }
    Ok(done(url::Updates, &Flash::done("It is offered again.")))
}

/// `POST /appliance/updates/check`
pub async fn check(
    State(base): State<Shared>,
    viewer: Viewer,
    Form(input): Form<CsrfInput>,
) -> Result<Response, Response> {
    viewer.check(&input.csrf)?;
    if base.installer.state().at_rest() {
        // Why it brought nothing stands on the page.
        let _ = trust::check(&base).await;
    }
    Ok(Redirect::to(&url::Updates.to_string()).into_response())
}

#[derive(Deserialize)]
pub struct Target {
    target: String,
}

#[derive(Deserialize)]
pub struct Kind {
    kind: PackageKind,
}

/// `GET /appliance/updates/install?target=…`
pub async fn install_ask(
    State(base): State<Shared>,
    viewer: Viewer,
    Query(Target { target }): Query<Target>,
) -> Response {
    let checked = base.last_check.get();
    let Some(found) = checked.packages.iter().find(|card| card.target == target) else {
        let problem = Problem::new(
            StatusCode::NOT_FOUND,
            format!("“{target}” is not offered to this appliance."),
            "Check for updates and choose from what is offered.",
        );
        return viewer.problem(&problem, url::Updates);
    };
    let impact = impact(&base, found.kind, found.size * 3).await;
    viewer.page(Tab::Updates, &InstallConfirm::new(card(&base, found), impact, viewer.csrf()))
}

/// `POST /appliance/updates/install`
pub async fn install(
    State(base): State<Shared>,
    viewer: Viewer,
    Form(input): Form<InstallInput>,
) -> Result<Response, Response> {
    viewer.check(&input.csrf)?;
    Ok(begun(&viewer, begin_install(&base, &input.target).await.map(drop)))
}

/// `GET /appliance/updates/rollback?kind=…`
pub async fn roll_back_ask(
    State(base): State<Shared>,
    viewer: Viewer,
    Query(Kind { kind }): Query<Kind>,
) -> Response {
    let (Some(current), Some(kept)) = (base.installed(kind), base.kept(kind)) else {
        let problem = Problem::conflict(
            format!("There is no kept version of the {kind} to go back to."),
            "Install another version from Updates.",
        );
        return viewer.problem(&problem, url::Updates);
    };
    let impact = impact(&base, kind, 0).await;
    let page = RollBackConfirm::new(&current.release, &kept.release, impact, viewer.csrf());
    viewer.page(Tab::Updates, &page)
}

/// `POST /appliance/updates/rollback`
pub async fn roll_back(
    State(base): State<Shared>,
    viewer: Viewer,
    Form(input): Form<RollBackInput>,
) -> Result<Response, Response> {
    viewer.check(&input.csrf)?;
    Ok(begun(&viewer, begin_rollback(&base, input.kind).await.map(drop)))
}

fn begun(viewer: &Viewer, result: Result<(), Problem>) -> Response {
    match result {
        Ok(()) => done(url::Progress, &Flash::done("It has begun.")),
        Err(problem) => viewer.problem(&problem, url::Updates),
    }
}

async fn impact(base: &Shared, kind: PackageKind, disk_needed: u64) -> ImpactFacts {
    let mut status = crate::site::Status::default();
    if let Some(active) = base.fleet.active() {
        status = active.status().await.unwrap_or_default();
    }
    ImpactFacts {
        kind,
        operators: status.operators,
        sessions: status.sessions.iter().map(session).collect(),
        duration: EXPECTED.0,
        stall: EXPECTED.1,
        disk_free: host::disk_free(&base.paths.data).unwrap_or_default(),
        disk_needed,
        findings: findings(base),
        now: host::now(),
    }
}

fn findings(base: &Base) -> Vec<Finding> {
    match preflight::machine(base) {
        Ok(()) => vec![],
        Err(fault) => {
            vec![Finding { level: FindingLevel::Refusal, text: fault.text, remedy: fault.remedy }]
        }
    }
}

/// One session as the site tells of it; what it leaves out is shown empty.
fn session(value: &Value) -> RunningSession {
    let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let started = &value["started"];
    RunningSession {
        operator: text("operator"),
        endpoint: text("endpoint"),
        kind: serde_json::from_value(value["kind"].clone()).unwrap_or(SessionKind::Shell),
        started: serde_json::from_value(started.clone())
            .ok()
            .or_else(|| Timestamp::parse_utc(started.as_str()?))
            .unwrap_or_default(),
    }
}

/// `GET /appliance/updates/progress`
pub async fn progress(State(base): State<Shared>, viewer: Viewer) -> Response {
    let now = progress_now(&base, 0);
    if now.attempt.is_none() && now.phase == "idle" {
        return viewer.page(Tab::Updates, &Progress::nothing());
    }
    let entries: Vec<_> = now
        .entries
        .into_iter()
        .map(|entry| (entry.at, entry.phase, level(entry.level), entry.text))
        .collect();
    let page = Progress::new(&ProgressFacts {
        subject: &now.subject,
        phase: now.phase,
        percent: now.percent,
        text: &now.text,
        next: now.next,
        done: now.done,
        entries: &entries,
    });
    viewer.page(Tab::Updates, &page)
}

/// `GET /appliance/updates/log`
pub async fn log(State(base): State<Shared>, viewer: Viewer) -> Response {
    let entries: Vec<_> = base
        .log
        .after(0)
        .into_iter()
        .map(|entry| LogEntry {
            // What happened outside of any attempt stands together.
            attempt: entry.attempt.unwrap_or(AttemptId::from_bytes([0; 16])),
            subject: entry.subject,
            at: entry.at,
            phase: entry.phase,
            level: level(entry.level),
            text: entry.text,
        })
        .collect();
    viewer.page(Tab::Updates, &Log::new(&entries))
}

fn level(level: log::Level) -> Level {
    match level {
        log::Level::Info => Level::Info,
        log::Level::Warning => Level::Warning,
        log::Level::Error => Level::Error,
    }
}
