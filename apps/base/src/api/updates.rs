use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use install::{Event, PackageRef};
use model::{AttemptId, PackageKind};
use release::plan::{Card, Status};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Caller, Problem};
use crate::base::Shared;
use crate::installer::attempt_id;
use crate::last_check::Checked;
use crate::log::{Entry, Level};
use crate::trust;

/// An attempt has begun.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Started {
    pub attempt: AttemptId,
}

fn answer(checked: &Checked) -> Json<Value> {
    Json(json!({
        "checked_at": checked.checked_at,
        "packages": checked.packages,
        "plan": checked.plan,
        "failed": checked.failed,
    }))
}

/// `GET /appliance/api/v1/updates`
pub async fn last(State(base): State<Shared>, _: Caller) -> Json<Value> {
    answer(&base.last_check.get())
}

/// `POST /appliance/api/v1/updates/check`
pub async fn check(State(base): State<Shared>, _: Caller) -> Result<Json<Value>, Problem> {
    if !base.installer.state().at_rest() {
        return Err(busy());
    }
    Ok(answer(&trust::check(&base).await?))
}

#[derive(Deserialize)]
pub struct Install {
    target: String,
}

/// `POST /appliance/api/v1/updates/install`
pub async fn install(
    State(base): State<Shared>,
    _: Caller,
    Json(input): Json<Install>,
) -> Result<(StatusCode, Json<Started>), Problem> {
    Ok((StatusCode::ACCEPTED, Json(begin_install(&base, &input.target).await?)))
}

/// `POST /appliance/api/v1/updates/retry`
pub async fn retry(
    State(base): State<Shared>,
    caller: Caller,
    Json(input): Json<Install>,
) -> Result<Json<Value>, Problem> {
    if !base.installer.state().at_rest() {
        return Err(busy());
    }
    allow_again(&base, &input.target, &caller.name)?;
    Ok(answer(&trust::check(&base).await?))
}

/// Lets a version that was put back be offered again, as somebody insists.
pub fn allow_again(base: &Shared, target: &str, who: &str) -> Result<(), Problem> {
    let bad = base.ledger.read(|ledger| {
        ledger.bad.values().find(|bad| bad.package.target == target).map(|bad| bad.package.clone())
    });
    let package = bad.ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            format!("“{target}” was not put back on this appliance."),
            "Check for updates: what is installable needs no second permission.",
        )
    })?;
    base.ledger.change(|ledger| ledger.unpin(&package)).map_err(|error| {
        Problem::conflict(
            format!("That {package} may be tried again cannot be written down: {error}."),
            "Mend the disk, then try again.",
        )
    })?;
    base.log.add(Entry {
        n: 0,
        at: host::now(),
        attempt: None,
        subject: package.to_string(),
        phase: base.installer.state().name().to_owned(),
        level: Level::Warning,
        text: format!("{who} lets {package} be tried again, although it was put back."),
    });
    Ok(())
}

#[derive(Deserialize)]
pub struct Rollback {
    kind: PackageKind,
}

/// `POST /appliance/api/v1/updates/rollback`
pub async fn rollback(
    State(base): State<Shared>,
    _: Caller,
    Json(input): Json<Rollback>,
) -> Result<(StatusCode, Json<Started>), Problem> {
    Ok((StatusCode::ACCEPTED, Json(begin_rollback(&base, input.kind).await?)))
}

/// `POST /appliance/api/v1/updates/cancel`
pub async fn cancel(State(base): State<Shared>, _: Caller) -> Result<Json<Value>, Problem> {
    let result = base.installer.ask(Event::Cancelled).await;
    result.map_err(|refused| {
        Problem::conflict(refused.to_string(), "There is nothing to call off.")
    })?;
    Ok(Json(json!({})))
}

fn busy() -> Problem {
    Problem::conflict("Another install is running.", "Wait until it has ended, then try again.")
}

/// Begins to install what the last check offered under that name.
pub async fn begin_install(base: &Shared, target: &str) -> Result<Started, Problem> {
    let checked = base.last_check.get();
    let card = checked.packages.iter().find(|card| card.target == target).ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            format!("“{target}” is not offered to this appliance."),
            "Check for updates and choose from what is offered.",
        )
    })?;
    if card.status != Status::Installable {
        return Err(not_installable(card));
    }
    let package = PackageRef {
        kind: card.kind,
        name: card.name.clone(),
        release: card.release(),
        sha256: card.sha256,
        target: card.target.clone(),
    };
    let from = base.installed(card.kind);
    let id = attempt_id();
    begin(base, Event::Chosen { id, package, from }).await?;
    Ok(Started { attempt: id })
}

fn not_installable(card: &Card) -> Problem {
    match (&card.status, &card.blocked) {
        (Status::Installed, _) => {
            Problem::conflict(format!("{} {} is installed.", card.name, card.release()), "")
        }
        (_, Some(blocked)) => {
            let first = blocked.by.as_ref().map(|by| format!("Install {by} first."));
            Problem::conflict(blocked.text.clone(), first.unwrap_or_default())
        }
        _ => Problem::conflict("It cannot be installed.", "Check for updates again."),
    }
}

/// Begins to go back to the kept slot.
pub async fn begin_rollback(base: &Shared, kind: PackageKind) -> Result<Started, Problem> {
    let (Some(to), Some(from)) = (base.kept(kind), base.installed(kind)) else {
        return Err(Problem::conflict(
            format!("There is no kept version of the {kind} to go back to."),
            "Install another version from Updates.",
        ));
    };
    let id = attempt_id();
    begin(base, Event::GoBack { id, to, from }).await?;
    Ok(Started { attempt: id })
}

async fn begin(base: &Shared, event: crate::installer::Happened) -> Result<(), Problem> {
    base.installer.ask(event).await.map_err(|_| match &*base.installer.state() {
        // At rest and still refused: there is no journal to write the attempt into.
        install::Install::Rescue { reason, .. } => Problem::conflict(
            reason.clone(),
            "Stop the appliance, put this right, and start it again.",
        ),
        _ => busy(),
    })?;
    let counted = base.ledger.change(install::Ledger::attempt_begun);
    if let Err(error) = counted {
        tracing::warn!(%error, "Attempt cannot be counted");
    }
    Ok(())
}
