use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Problem;
use super::auth::AnyCaller;
use crate::accounts::Refused;
use crate::base::Shared;

#[derive(Deserialize)]
pub struct Login {
    name: String,
    password: String,
}

/// `POST /appliance/api/v1/login`
pub async fn login(
    State(base): State<Shared>,
    Json(input): Json<Login>,
) -> Result<Json<Value>, Problem> {
    let account = base.accounts.sign_in(&input.name, &input.password, host::now()).await;
    // One answer for all: that an account is locked would tell that there is one.
    let account = account.map_err(|Refused| {
        Problem::new(
            StatusCode::UNAUTHORIZED,
            "Name or password are wrong, or the account takes no password for some minutes after several wrong ones.",
            "Try again, or let another administrator reset the password.",
        )
    })?;
    let token = base.signed_in.begin(&account.name, host::now());
    Ok(Json(json!({ "token": token, "must_change_password": account.must_change_password })))
}

/// `POST /appliance/api/v1/logout`
pub async fn logout(State(base): State<Shared>, AnyCaller(caller): AnyCaller) -> Json<Value> {
    base.signed_in.end(&caller.token);
    Json(json!({}))
}

#[derive(Deserialize)]
pub struct Password {
    old: String,
    new: String,
}

/// `POST /appliance/api/v1/password`
pub async fn password(
    State(base): State<Shared>,
    AnyCaller(caller): AnyCaller,
    Json(input): Json<Password>,
) -> Result<Json<Value>, Problem> {
    base.accounts.change_password(&caller.name, &input.old, &input.new).await?;
    base.signed_in.end_all(&caller.name, Some(&caller.token));
    Ok(Json(json!({})))
}
