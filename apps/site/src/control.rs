//! The control socket: what the base and other generations ask of this one.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use model::SessionId;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::UnixListener;

use crate::clock::now;
use crate::health::well;
use crate::neighbours::Neighbours;
use crate::serve::{Phase, Site};
use crate::settings::Settings;
use crate::{drain, selftest};

/// Binds the control socket of this generation, over one that a dead process left.
pub fn bind(settings: &Settings) -> Result<UnixListener> {
    let path = Neighbours::socket(&settings.run, settings.generation);
    let _ = std::fs::remove_file(&path);
    UnixListener::bind(&path).with_context(|| format!("cannot listen on {}", path.display()))
}

/// Serves the control socket.
pub async fn serve(site: Arc<Site>, listener: UnixListener) {
    let router = Router::new()
        .route("/control/status", get(status))
        .route("/control/health", get(health))
        .route("/control/selftest", post(run_self_test))
        .route("/control/activate", post(activate))
        .route("/control/drain", post(start_drain))
        .route("/control/committed", post(committed))
        .route("/control/release", post(release))
        .route("/control/stop", post(stop))
        .with_state(site);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "Control socket failed");
    }
}

async fn status(State(site): State<Arc<Site>>) -> Json<Value> {
    let sessions = site.broker.live();
    let tally = site.tally();
    let phase = match *site.phase.borrow() {
        Phase::Standby => "standby",
        Phase::Active => "active",
        Phase::Draining if sessions.is_empty() && tally.links == 0 => "drained",
        Phase::Draining => "draining",
        Phase::Stopping => "stopping",
    };
    let sessions: Vec<Value> = sessions
        .iter()
        .map(|session| {
            let ticket = &session.ticket;
            json!({
                "id": ticket.session,
                "operator": ticket.operator_name,
                "endpoint": ticket.endpoint,
                "kind": if ticket.command.is_some() { "command" } else { "shell" },
                "started": ticket.opened,
            })
        })
        .collect();
    Json(json!({
        "generation": site.settings.generation,
        "identity": site.identity,
        "version": site.settings.release.version,
        "revision": site.settings.release.revision,
        "schema": site.settings.schema,
        "phase": phase,
        "agents_connected": tally.agents,
        "agents_settled": tally.settled,
        "consoles_connected": tally.consoles,
        "sessions_live": sessions.len(),
        "sessions": sessions,
        "operators": tally.operators,
        "stall_ms_max": site.broker.stall_ms_max.load(Ordering::Acquire),
    }))
}

async fn health(State(site): State<Arc<Site>>) -> (StatusCode, Json<Value>) {
    let checks = site.health.now(now()).await;
    let ok = well(&checks);
    (status_code(ok), Json(json!({ "ok": ok, "checks": checks })))
}

async fn run_self_test(State(site): State<Arc<Site>>) -> (StatusCode, Json<Value>) {
    let began = std::time::Instant::now();
    let (ok, text) = match selftest::run(&site).await {
        Ok(text) => (true, text),
        Err(error) => (false, format!("{error:#}")),
    };
    let millis = began.elapsed().as_millis();
    (status_code(ok), Json(json!({ "ok": ok, "millis": millis, "text": text })))
}

fn status_code(ok: bool) -> StatusCode {
    if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn activate(State(site): State<Arc<Site>>) -> Json<Value> {
    site.broker.closed.store(false, Ordering::Release);
    let before = site.phase.send_replace(Phase::Active);
    if before == Phase::Draining {
        for entry in site.hub.links() {
            entry.ready_to_move.store(false, Ordering::Release);
        }
    }
    tracing::info!(generation = site.settings.generation.0, ?before, "Generation is active");
    Json(json!({ "phase": "active" }))
}

async fn start_drain(State(site): State<Arc<Site>>) -> (StatusCode, Json<Value>) {
    site.broker.closed.store(true, Ordering::Release);
    let before = site.phase.send_replace(Phase::Draining);
    if before != Phase::Draining {
        tracing::info!(generation = site.settings.generation.0, "Generation drains");
        tokio::spawn(drain::drain(site.clone()));
    }
    (StatusCode::ACCEPTED, Json(json!({ "phase": "draining" })))
}

/// The version is here to stay: clients may follow.
async fn committed(State(site): State<Arc<Site>>) -> Json<Value> {
    site.broker.committed.store(true, Ordering::Release);
    site.upgrades.begin(&site);
    Json(json!({ "upgrades": true }))
}

#[derive(Deserialize)]
struct Release {
    sessions: Vec<SessionId>,
}

async fn release(State(site): State<Arc<Site>>, Json(ask): Json<Release>) -> Json<Value> {
    let count = ask.sessions.len();
    // Who asked may stop waiting; what was begun goes on, or the legs would not be told.
    let released = tokio::spawn(async move { site.broker.release_all(ask.sessions).await });
    let _ = released.await;
    Json(json!({ "released": count }))
}

async fn stop(State(site): State<Arc<Site>>) -> Json<Value> {
    site.phase.send_replace(Phase::Stopping);
    Json(json!({ "phase": "stopping" }))
}
