use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Caller, Problem};
use crate::base::Shared;
use crate::secrets;

/// `GET /appliance/api/v1/users`
pub async fn list(State(base): State<Shared>, _: Caller) -> Json<Value> {
    let accounts = base.accounts.list().await;
    let users: Vec<Value> = accounts
        .into_iter()
        .map(|account| {
            json!({
                "name": account.name,
                "must_change_password": account.must_change_password,
                "locked_until": account.locked_until.filter(|until| *until > host::now()),
                "last_sign_in": account.last_sign_in,
            })
        })
        .collect();
    Json(json!({ "users": users }))
}

#[derive(Deserialize)]
pub struct Add {
    name: String,
}

/// `POST /appliance/api/v1/users`: answers the first password, this one time.
pub async fn add(
    State(base): State<Shared>,
    _: Caller,
    Json(input): Json<Add>,
) -> Result<Json<Value>, Problem> {
    let password = secrets::first_password();
    base.accounts.add(&input.name, &password).await?;
    Ok(Json(json!({ "name": input.name, "password": password })))
}

/// `POST /appliance/api/v1/users/{name}/reset`
pub async fn reset(
    State(base): State<Shared>,
    _: Caller,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    let password = secrets::first_password();
    base.accounts.reset(&name, &password).await?;
    base.signed_in.end_all(&name, None);
    Ok(Json(json!({ "name": name, "password": password })))
}

/// `DELETE /appliance/api/v1/users/{name}`
pub async fn remove(
    State(base): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    base.accounts.remove(&name, &caller.name).await?;
    base.signed_in.end_all(&name, None);
    Ok(Json(json!({})))
}
