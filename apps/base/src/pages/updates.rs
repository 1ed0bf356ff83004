use axum::Form;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use model::{AttemptId, PackageKind};
use release::plan::{Card, Status};
use ui_appliance::{
    Blocked, CardFacts, CardStatus, InstallInput, Installed, Level, Log, LogEntry, PlanFacts,
    PlanStep, Progress, ProgressFacts, StepState, Tab, Updates, UpdatesFacts,
};
use ui_kit::url::appliance as url;
use ui_kit::{CsrfInput, Flash};

use super::viewer::{Viewer, done};
use crate::api::{Standing, allow_again, progress_now};
use crate::base::{Base, Shared};
use crate::{log, trust};

/// `GET /appliance/updates`
pub async fn list(State(base): State<Shared>, viewer: Viewer) -> Response {
    let checked = base.offered();
    let progress = progress_now(&base, u64::MAX);
    let kinds = [PackageKind::Base, PackageKind::Site, PackageKind::License];
    let installed = kinds.into_iter().filter_map(|kind| {
        let current = base.installed(kind)?.release;
        // A license is replaced, never rolled back.
        let kept = base.kept(kind).filter(|_| kind != PackageKind::License);
        Some(Installed { kind, current, previous: kept.map(|kept| kept.release) })
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

/// A card as the pages take it.
pub fn card(base: &Base, card: &Card) -> CardFacts {
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
        way: card.way.len(),
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
    if base.installer.course().at_rest() {
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
    if base.installer.course().at_rest() {
        // Why it brought nothing stands on the page.
        let _ = trust::check(&base).await;
    }
    Ok(Redirect::to(&url::Updates.to_string()).into_response())
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
    let plan = now.plan.as_ref().map(plan);
    let page = Progress::new(&ProgressFacts {
        plan: plan.as_ref(),
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

fn plan(standing: &Standing) -> PlanFacts {
    let state = |state| match state {
        install::StepState::Done => StepState::Done,
        install::StepState::Running => StepState::Running,
        install::StepState::Failed => StepState::Failed,
        install::StepState::Waiting => StepState::Waiting,
    };
    let steps = standing.steps.iter().map(|step| (step.text.clone(), state(step.state)));
    PlanFacts { step: standing.step, steps: steps.collect() }
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
