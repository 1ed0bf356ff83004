//! `/`: what is published and who asks for it, for the operator of the server.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use ui_kit::{Frame, Page, Variant};
use ui_update::{ApplianceFacts, Overview, OverviewFacts, ReleaseFacts, ReportFacts};

use super::{App, Refused, blocking};
use crate::clock;
use crate::store::Appliance;

pub async fn home(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Refused> {
    if !may_see(&app, &headers) {
        return Ok(sign_in());
    }
    let overview = overview(&app).await?;
    let frame = Frame::bare(Variant::Update, app.host.as_str());
    let html = Page::new(&frame, &overview).html();
    let policy = (header::CONTENT_SECURITY_POLICY, ui_kit::CONTENT_SECURITY_POLICY);
    Ok(([policy, (header::CACHE_CONTROL, "no-store")], Html(html)).into_response())
}

pub async fn style() -> Response {
    asset("text/css; charset=utf-8", ui_kit::css())
}

pub async fn script() -> Response {
    asset("text/javascript; charset=utf-8", ui_kit::script())
}

/// Their addresses change with their bytes.
fn asset(kind: &'static str, content: &'static str) -> Response {
    let cache = (header::CACHE_CONTROL, "public, max-age=31536000, immutable");
    ([(header::CONTENT_TYPE, kind), cache], content).into_response()
}

/// Compares in constant time, so that a password cannot be guessed letter by letter.
fn may_see(app: &App, headers: &HeaderMap) -> bool {
    let given = headers.get(header::AUTHORIZATION).map_or(&[][..], |value| value.as_bytes());
    aws_lc_rs::constant_time::verify_slices_are_equal(given, app.page_login.as_bytes()).is_ok()
}

fn sign_in() -> Response {
    let ask = (header::WWW_AUTHENTICATE, "Basic realm=\"Sluis update server\", charset=\"UTF-8\"");
    let text = "The name is admin; the password stands in page.password in the data directory.\n";
    (StatusCode::UNAUTHORIZED, [ask], text).into_response()
}

async fn overview(app: &App) -> Result<Overview, Refused> {
    let repository = Arc::clone(&app.repository);
    let catalog = blocking(move || repository.catalog()).await?;
    let blocks = app.store.blocks().await?;
    let holds = app.store.holds().await?;
    let mut releases = Vec::new();
    if let Ok(catalog) = &catalog {
        let packages = catalog
            .packages
            .iter()
            .map(|p| (p.manifest.name.clone(), p.manifest.release(), p.target.clone(), p.length));
        let clients = catalog
            .clients
            .iter()
            .map(|c| (c.build.kind.to_string(), c.build.release(), c.target.clone(), c.length));
        for (name, release, target, size) in packages.chain(clients) {
            let blocked = blocks.iter().find(|b| b.target == target).map(|b| b.reason.clone());
            releases.push(ReleaseFacts { name, release, target, size, blocked });
        }
    }
    releases.sort_by(|a, b| b.release.cmp(&a.release).then(a.target.cmp(&b.target)));
    let mut appliances = Vec::new();
    for appliance in app.store.appliances().await? {
        appliances.push(appliance_facts(app, appliance).await?);
    }
    Ok(Overview::new(&OverviewFacts {
        now: clock::now(),
        releases,
        problem: catalog.err().map(|why| (why.error, why.remedy)),
        holds: holds.into_iter().map(|hold| (hold.scope, hold.reason)).collect(),
        appliances,
    }))
}

async fn appliance_facts(app: &App, appliance: Appliance) -> Result<ApplianceFacts, Refused> {
    let report = app.store.last_report(appliance.id).await?;
    let inventory: Vec<release::plan::Installed> = appliance
        .inventory
        .as_deref()
        .and_then(|json| serde_json::from_str(json).ok())
        .unwrap_or_default();
    Ok(ApplianceFacts {
        hostname: appliance.hostname.to_string(),
        customer: appliance.customer,
        runs: inventory.iter().map(|item| (item.name.clone(), item.release())).collect(),
        last_check: appliance.last_check_at.map(clock::from_db),
        report: report.map(|report| ReportFacts {
            state: report.state,
            text: report.text,
            at: clock::from_db(report.at),
        }),
    })
}
