use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;

use super::ApiMember;
use crate::health::{Check, well};
use crate::web::WebState;

/// What was found.
#[derive(Serialize)]
pub struct Health {
    ok: bool,
    version: String,
    checks: Vec<Check>,
    agents_connected: usize,
    consoles_connected: usize,
    sessions_live: usize,
}

/// `GET /check_health`, for load balancers: 200 or 500 and one word.
pub async fn plain(State(state): State<WebState>) -> (StatusCode, &'static str) {
    if well(&state.health.lately(state.now()).await) {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::INTERNAL_SERVER_ERROR, "failed\n")
    }
}

/// `GET /api/v1/check_health`: 200 or 500 with every check.
pub async fn health(member: ApiMember) -> (StatusCode, Json<Health>) {
    let state = &member.state;
    let checks = state.health.lately(state.now()).await;
    let counts = state.hub.counts();
    let ok = well(&checks);
    let status = if ok { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
    let health = Health {
        ok,
        version: state.release.to_string(),
        checks,
        agents_connected: counts.agents,
        consoles_connected: counts.consoles,
        sessions_live: counts.sessions,
    };
    (status, Json(health))
}
