//! Asks before something is installed or taken back, says what that meets, and begins it.

use axum::Form;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use model::{PackageKind, SessionKind, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use ui_appliance::{
    Estimate, Finding, FindingLevel, ImpactFacts, InstallConfirm, InstallInput, RollBackConfirm,
    RollBackInput, RunningSession, Tab, Wished,
};
use ui_kit::url::appliance as url;

use super::updates::card;
use super::viewer::Viewer;
use crate::api::{Problem, begin_rollback};
use crate::base::{Base, Shared};
use crate::past::{self, Past};
use crate::preflight;
use crate::way::{self, Way, Wish};

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
    ask(&base, &viewer, Wish::Package(target)).await
}

/// `GET /appliance/updates/install-all`
pub async fn install_all_ask(State(base): State<Shared>, viewer: Viewer) -> Response {
    ask(&base, &viewer, Wish::Newest).await
}

async fn ask(base: &Shared, viewer: &Viewer, wish: Wish) -> Response {
    let way = match Way::find(&base.offered(), &wish) {
        Ok(way) => way,
        Err(problem) => return viewer.problem(&problem, url::Updates),
    };
    let kinds: Vec<PackageKind> = way.cards.iter().map(|card| card.kind).collect();
    let disk = way.cards.iter().map(|card| card.size * 3).sum();
    let impact = impact(base, &kinds, past::Way::Install, disk).await;
    let wished = match wish {
        Wish::Package(_) => Wished::Last,
        Wish::Newest => Wished::Everything,
    };
    let cards = way.cards.iter().map(|each| card(base, each));
    let steps = cards.zip(way.texts).collect();
    viewer.page(Tab::Updates, &InstallConfirm::new(wished, steps, impact, viewer.csrf()))
}

/// `POST /appliance/updates/install`
pub async fn install(
    State(base): State<Shared>,
    viewer: Viewer,
    Form(input): Form<InstallInput>,
) -> Result<Response, Response> {
    viewer.check(&input.csrf)?;
    let wish = Wish::Package(input.target.clone());
    Ok(begun(&viewer, begin(&base, &wish, &input.steps()).await))
}

/// `POST /appliance/updates/install-all`
pub async fn install_all(
    State(base): State<Shared>,
    viewer: Viewer,
    Form(input): Form<InstallInput>,
) -> Result<Response, Response> {
    viewer.check(&input.csrf)?;
    Ok(begun(&viewer, begin(&base, &Wish::Newest, &input.steps()).await))
}

async fn begin(base: &Shared, wish: &Wish, shown: &[String]) -> Result<(), Problem> {
    let way = Way::find(&base.offered(), wish)?;
    way.agreed(shown)?;
    way.begin(base).await.map(drop)
}

/// `GET /appliance/updates/rollback?kind=…`
pub async fn roll_back_ask(
    State(base): State<Shared>,
    viewer: Viewer,
    Query(Kind { kind }): Query<Kind>,
) -> Response {
    let (kept, current) = match way::back(&base, kind) {
        Ok(found) => found,
        Err(problem) => return viewer.problem(&problem, url::Updates),
    };
    let impact = impact(&base, &[kind], past::Way::Back, 0).await;
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
        // The page says how far it is.
        Ok(()) => Redirect::to(&url::Progress.to_string()).into_response(),
        Err(problem) => viewer.problem(&problem, url::Updates),
    }
}

/// What it meets when these kinds change one after another.
async fn impact(
    base: &Shared,
    kinds: &[PackageKind],
    way: past::Way,
    disk_needed: u64,
) -> ImpactFacts {
    let mut status = crate::site::Status::default();
    if let Some(active) = base.fleet.active() {
        status = active.status().await.unwrap_or_default();
    }
    // The site is what somebody may notice.
    let site = kinds.iter().find(|kind| **kind == PackageKind::Site);
    let kind = site.or(kinds.last()).copied().unwrap_or(PackageKind::Unknown);
    let (duration, stall) = estimates(base, kinds, way);
    ImpactFacts {
        kind,
        operators: status.operators,
        sessions: status.sessions.iter().map(session).collect(),
        duration,
        stall,
        disk_free: host::disk_free(&base.paths.data).unwrap_or_default(),
        disk_needed,
        findings: findings(base),
        now: host::now(),
    }
}

/// How long it takes in all, and how long a session may stand still: by the appliance's own past where it has one.
fn estimates(base: &Shared, kinds: &[PackageKind], way: past::Way) -> (Estimate, Estimate) {
    let log = base.log.after(0);
    let steps = kinds.iter().map(|kind| Past::of(&log, *kind, way).length());
    let steps: Option<Vec<_>> = steps.collect();
    let steps_count = u32::try_from(kinds.len()).unwrap_or(u32::MAX);
    let duration = match steps {
        Some(steps) => Estimate {
            length: steps.iter().map(|(length, _)| *length).sum(),
            past: steps.iter().map(|(_, past)| *past).min().unwrap_or_default(),
        },
        None => Estimate { length: past::MEASURED.0 * steps_count, past: 0 },
    };
    let stall = Past::of(&log, PackageKind::Site, way).stall();
    let (length, past) = stall.unwrap_or((past::MEASURED.1, 0));
    (duration, Estimate { length, past })
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
