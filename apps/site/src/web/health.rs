//! Whether the site can do its work: for load balancers, and in detail for the API.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::web::WebState;

/// Anybody may ask, and a check writes to the disk: so one check serves all who ask within a second.
const FRESH: Duration = Duration::from_secs(1);

/// One thing that was checked.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// Whether it is well.
    pub ok: bool,
    /// What was found, in words.
    pub text: String,
}

/// The last check.
#[derive(Default)]
pub struct Health(Mutex<Option<(Instant, Vec<Check>)>>);

impl Health {
    /// What was found just now, or within the last second.
    pub async fn checks(&self, state: &WebState) -> Vec<Check> {
        let mut last = self.0.lock().await;
        if let Some((at, checks)) = last.as_ref()
            && at.elapsed() < FRESH
        {
            return checks.clone();
        }
        let checks = vec![database(state).await, recordings(state).await];
        for check in checks.iter().filter(|check| !check.ok) {
            tracing::error!(check = check.name, found = check.text, "The site is not well");
        }
        *last = Some((Instant::now(), checks.clone()));
        checks
    }
}

async fn database(state: &WebState) -> Check {
    let probed = state.store.probe_write(state.now()).await;
    let (ok, text) = match probed {
        Ok(took) => (true, format!("written and read in {} ms", took.as_millis())),
        Err(error) => (false, error.to_string()),
    };
    Check { name: "database", ok, text }
}

async fn recordings(state: &WebState) -> Check {
    let folder = &state.recordings;
    // One name for each generation: what a cut check leaves behind is overwritten by the next.
    let probe = folder.join(format!(".probe-{}", state.store.generation()));
    let written = tokio::fs::write(&probe, b"probe").await;
    let (ok, text) = match written {
        Ok(()) => (true, "writable".to_owned()),
        Err(error) => (false, format!("{} cannot be written: {error}", folder.display())),
    };
    if ok && let Err(error) = tokio::fs::remove_file(&probe).await {
        tracing::warn!(%error, file = %probe.display(), "Probe could not be removed");
    }
    Check { name: "recordings", ok, text }
}

/// `GET /check_health`: 200 or 500 and one word.
pub async fn plain(State(state): State<WebState>) -> (StatusCode, &'static str) {
    let checks = state.health().checks(&state).await;
    if checks.iter().all(|check| check.ok) {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::INTERNAL_SERVER_ERROR, "failed\n")
    }
}
