use std::time::Duration;

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use model::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::ApiToken;
use uuid::Uuid;

use super::{Answer, ApiMember, Input, Named};
use crate::web::doing::tokens::{self, HOURS_MOST};
use crate::web::problem::{ApiProblem, Problem};

/// A bearer token, without its text.
#[derive(Serialize)]
pub struct Token {
    id: Uuid,
    name: String,
    operator: String,
    created: Timestamp,
    expires: Timestamp,
}

impl From<ApiToken> for Token {
    fn from(token: ApiToken) -> Self {
        Self {
            id: token.id,
            name: token.name,
            operator: token.operator_name,
            created: token.created,
            expires: token.expires,
        }
    }
}

/// `GET /api-tokens`: one's own; an administrator's list has all.
pub async fn list(member: ApiMember) -> Answer<Vec<Token>> {
    let tokens = member.acting().api_tokens().list(member.state.now()).await?;
    Ok(Json(tokens.into_iter().map(Token::from).collect()))
}

#[derive(Deserialize)]
pub struct NewToken {
    name: String,
    #[serde(default = "a_month")]
    hours: u64,
}

fn a_month() -> u64 {
    720
}

/// A token with its text, which is shown this one time.
#[derive(Serialize)]
pub struct MadeToken {
    #[serde(flatten)]
    kept: Token,
    token: String,
}

/// `POST /api-tokens`: `{ name, hours }` → a token of one's own account.
pub async fn make(
    member: ApiMember,
    Input(new): Input<NewToken>,
) -> Result<(StatusCode, Json<MadeToken>), ApiProblem> {
    if new.hours == 0 || new.hours > HOURS_MOST {
        let reason = format!("{} is not a number of hours from 1 to {HOURS_MOST}.", new.hours);
        return Err(Problem::bad_request("No API token was made", reason).into());
    }
    let (valid_for, owner) = (Duration::from_hours(new.hours), member.operator.id);
    let acting = member.acting();
    let (kept, token) = tokens::make(&member.state, &acting, owner, &new.name, valid_for).await?;
    Ok((StatusCode::CREATED, Json(MadeToken { kept: kept.into(), token })))
}

/// `DELETE /api-tokens/{id}`
pub async fn revoke(member: ApiMember, id: Named<Uuid>) -> Answer<Value> {
    let Path(id) = id.map_err(|_| Problem::not_found("The API token"))?;
    member.acting().api_tokens().revoke(id, member.state.now()).await?;
    Ok(Json(json!({})))
}
