use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::web::WebState;

/// `GET /about`: what serves, for anybody.
///
/// The same stands in the hello of every link; nothing here helps whoever wants in.
pub async fn about(State(state): State<WebState>) -> Json<Value> {
    Json(json!({
        "site": state.site,
        "hostname": state.hostname,
        "version": state.release.version,
        "revision": state.release.revision,
        "release": state.release.to_string(),
        "identity": state.identity,
        "fingerprint": state.identity.fingerprint(),
        "generation": state.store.generation(),
        "schema": state.store.level(),
    }))
}
