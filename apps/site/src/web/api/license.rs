use axum::Json;
use serde_json::{Value, json};

use super::ApiMember;
use crate::web::license;

/// `GET /license`: what the site is licensed for, and whether that holds.
pub async fn license(member: ApiMember) -> Json<Value> {
    let found = license::standing(&member.state);
    Json(match found {
        Some((license, state)) => json!({ "license": license, "state": state }),
        None => json!({ "license": null }),
    })
}
