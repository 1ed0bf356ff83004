use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use model::{PublicKey, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Answer, ApiMember, Input, consoles};
use crate::web::WebState;
use crate::web::doing::sign_in;
use crate::web::origin::Peer;
use crate::web::problem::{ApiProblem, Problem};

#[derive(Deserialize)]
pub struct SignIn {
    name: String,
    password: String,
}

#[derive(Serialize)]
pub struct SignedIn {
    token: String,
    expires: Timestamp,
    must_change_password: bool,
    name: String,
    admin: bool,
    /// The site's identity, for a console to pin.
    identity: PublicKey,
}

/// `POST /login`: `{ name, password }` → a bearer token.
pub async fn sign_in(
    State(state): State<WebState>,
    Peer(peer): Peer,
    Input(input): Input<SignIn>,
) -> Answer<SignedIn> {
    let checked = sign_in::check(&state, &input.name, &input.password, &peer).await?;
    let operator = checked.map_err(|_| ApiProblem(not_let_in()))?;
    let (token, expires) = sign_in::give_bearer(&state, &operator).await?;
    Ok(Json(SignedIn {
        token,
        expires,
        must_change_password: operator.must_change_password,
        name: operator.name,
        admin: operator.admin,
        identity: state.identity,
    }))
}

fn not_let_in() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "You are not signed in",
        "Name or password are wrong, or the account takes no password for some minutes after several wrong ones.",
        "Check both. An administrator can reset a forgotten password.",
    )
}

/// `POST /logout`: the bearer token ends, or the console's registration when the link says who it is.
pub async fn sign_out(member: ApiMember) -> Answer<Value> {
    let state = &member.state;
    if let Some(token) = member.bearer {
        state.store.api_tokens().close(token).await?;
    } else if let Some(key) = member.link
        && let Some(console) = state.store.consoles().by_key(&key).await?
    {
        member.acting().consoles().revoke(console.id, state.now()).await?;
        consoles::let_go(&member, key);
    }
    Ok(Json(json!({})))
}
