use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use install::Event;
use model::{AttemptId, PackageKind};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Caller, Problem};
use crate::base::Shared;
use crate::installer::{attempt_id, count_attempt};
use crate::last_check::Checked;
use crate::trust;
use crate::way::{self, Way, Wish};

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
    answer(&base.offered())
}

/// `POST /appliance/api/v1/updates/check`
pub async fn check(State(base): State<Shared>, _: Caller) -> Result<Json<Value>, Problem> {
    if !base.installer.course().at_rest() {
        return Err(way::busy());
    }
    Ok(answer(&trust::check(&base).await?))
}

#[derive(Deserialize)]
pub struct Install {
    /// Name of the target to install, with what it needs first.
    target: Option<String>,
    /// The newest of everything instead.
    #[serde(default)]
    all: bool,
    /// The targets that the caller agreed to, in order; other ones are refused then.
    steps: Option<Vec<String>>,
}

/// `POST /appliance/api/v1/updates/install`
pub async fn install(
    State(base): State<Shared>,
    _: Caller,
    Json(input): Json<Install>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let wish = match input {
        Install { target: Some(target), all: false, .. } => Wish::Package(target),
        Install { target: None, all: true, .. } => Wish::Newest,
        _ => {
            return Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "Either one target or all is to be installed.",
                "Send `target` or `all`, and not both.",
            ));
        }
    };
    let way = Way::find(&base.offered(), &wish)?;
    if let Some(steps) = &input.steps {
        way.agreed(steps)?;
    }
    let steps: Vec<String> = way.targets().map(str::to_owned).collect();
    let attempt = way.begin(&base).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "attempt": attempt, "steps": steps }))))
}

#[derive(Deserialize)]
pub struct Target {
    target: String,
}

/// `POST /appliance/api/v1/updates/retry`
pub async fn retry(
    State(base): State<Shared>,
    caller: Caller,
    Json(input): Json<Target>,
) -> Result<Json<Value>, Problem> {
    if !base.installer.course().at_rest() {
        return Err(way::busy());
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
    let text = format!("{who} lets {package} be tried again, although it was put back.");
    base.warn(&package, text);
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

/// Begins to go back to the kept slot.
pub async fn begin_rollback(base: &Shared, kind: PackageKind) -> Result<Started, Problem> {
    let (to, from) = way::back(base, kind)?;
    let id = attempt_id();
    let begun = base.installer.ask(Event::GoBack { id, to, from }).await;
    begun.map_err(|_| way::refused(base))?;
    count_attempt(base);
    Ok(Started { attempt: id })
}
