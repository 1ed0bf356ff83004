//! `POST /v1/check`: what an appliance may install now, signed for this one request.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::Timestamp;
use release::Sha256;
use release::catalog::Catalog;
use release::offer::{CLOCK_SKEW_MAX, CheckRequest, OFFER_LIFETIME, OFFER_TYPE, Offer};
use release::plan::{Gate, Policy, plan};

use super::{App, Call, Refused, blocking};
use crate::clock;
use crate::store::{Appliance, Block, Entitlement};

/// Packages that one appliance may say it runs; there are three kinds today.
const INVENTORY_MAX: usize = 64;
/// Packages that may have failed on one appliance, and floors it may have.
const LEDGER_MAX: usize = 1024;

pub async fn check(State(app): State<Arc<App>>, call: Call) -> Result<Response, Refused> {
    let request: CheckRequest = call.parse()?;
    let appliance = call.demand_appliance(&app, request.appliance).await?;
    let now = clock::now();
    demand_clock(request.time, now)?;
    demand_bounds(&request)?;
    demand_nonce(&app, &request, now).await?;
    let catalog = catalog(&app).await?;
    let policy = policy(&app, &appliance, &request, &catalog, now).await?;
    let plan = plan(&request.inventory, &catalog.packages, &policy);
    let offer = Offer {
        kind: OFFER_TYPE.into(),
        appliance: appliance.id,
        nonce: request.nonce,
        issued: now,
        expires: now.plus(OFFER_LIFETIME),
        hostname: appliance.hostname,
        licenses: policy.licenses,
        license_expires: policy.expires,
        packages: plan.cards,
        plan: plan.steps,
        pins: app.pins.clone(),
    };
    let signed = offer.sign(&app.offer_key).map_err(anyhow::Error::from)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], signed).into_response())
}

/// A wrong clock lets old answers pass for new ones, so it is named before anything else.
fn demand_clock(theirs: Timestamp, ours: Timestamp) -> Result<(), Refused> {
    if theirs.since(ours).max(ours.since(theirs)) <= CLOCK_SKEW_MAX {
        return Ok(());
    }
    Err(Refused::new(
        StatusCode::CONFLICT,
        "clock",
        format!("the clocks differ: this appliance says {theirs}, the update server says {ours}"),
    )
    .remedy(
        "Compare both with a third clock. The appliance shows its time under Status > Basics; set its time server (NTP) under Networking > IP Configuration.",
    ))
}

fn demand_bounds(request: &CheckRequest) -> Result<(), Refused> {
    let counts = [
        ("inventory", request.inventory.len(), INVENTORY_MAX),
        ("floors", request.floors.len(), LEDGER_MAX),
        ("bad", request.bad.len(), LEDGER_MAX),
    ];
    match counts.iter().find(|(_, count, max)| count > max) {
        Some((name, count, max)) => Err(Refused::new(
            StatusCode::BAD_REQUEST,
            "request",
            format!("`{name}` has {count} entries, and {max} are allowed"),
        )),
        None => Ok(()),
    }
}

/// A request counts once: one that was overheard cannot be sent again.
async fn demand_nonce(app: &App, request: &CheckRequest, now: Timestamp) -> Result<(), Refused> {
    let inventory = serde_json::to_string(&request.inventory).map_err(anyhow::Error::from)?;
    let now = clock::to_db(now);
    // Older ones are refused by their time, however far the clocks are apart.
    let forget = now - 2 * i64::try_from(CLOCK_SKEW_MAX.as_millis()).unwrap_or(i64::MAX / 4) - 1;
    if app.store.check_noted(request.appliance, request.nonce, inventory, now, forget).await? {
        return Ok(());
    }
    Err(Refused::new(StatusCode::CONFLICT, "nonce", "this request was answered before")
        .remedy("Check again; each check needs a new nonce."))
}

async fn catalog(app: &App) -> Result<Arc<Catalog>, Refused> {
    let repository = Arc::clone(&app.repository);
    let read = blocking(move || repository.catalog()).await?;
    read.map_err(|why| {
        tracing::error!(error = why.error, "Repository is of no use");
        Refused::new(StatusCode::SERVICE_UNAVAILABLE, "repository", why.error).remedy(why.remedy)
    })
}

async fn policy(
    app: &App,
    appliance: &Appliance,
    request: &CheckRequest,
    catalog: &Catalog,
    now: Timestamp,
) -> Result<Policy, Refused> {
    let entitlement = app.store.entitlement_of(appliance).await?;
    let hold = app.store.hold_of(appliance).await?;
    let blocks = app.store.blocks().await?;
    let expires = |e: &Entitlement| e.expires_at.map(clock::from_db);
    Ok(Policy {
        arch: request.arch.clone(),
        hostname: Some(appliance.hostname.clone()),
        licenses: entitlement.as_ref().and_then(|e| e.licenses),
        expires: entitlement.as_ref().and_then(expires),
        gate: gate(hold, entitlement.as_ref(), now),
        bad: request.bad.iter().copied().collect(),
        floors: request.floors.iter().map(|f| (f.name.clone(), f.version.clone())).collect(),
        withdrawn: withdrawn(&blocks, catalog),
    })
}

fn gate(hold: Option<String>, entitlement: Option<&Entitlement>, now: Timestamp) -> Gate {
    match (hold, entitlement) {
        (Some(reason), _) => Gate::Held(reason),
        (None, None) => Gate::NotEntitled,
        (None, Some(entitlement)) => match entitlement.expires_at.map(clock::from_db) {
            Some(end) if end <= now => Gate::Ended(end),
            _ => Gate::Open,
        },
    }
}

fn withdrawn(blocks: &[Block], catalog: &Catalog) -> BTreeMap<Sha256, String> {
    let named = |target: &str| blocks.iter().find(|block| block.target == target);
    let packages = catalog.packages.iter();
    packages
        .filter_map(|package| Some((package.sha256, named(&package.target)?.reason.clone())))
        .collect()
}
