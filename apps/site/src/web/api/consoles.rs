use std::time::Duration;

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use model::{ConsoleId, PublicKey, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::Console;

use super::{Answer, ApiMember, Input};
use crate::web::problem::{ApiProblem, Problem};

/// How long a console works before its operator has to sign in again.
const LASTS: Duration = Duration::from_hours(30 * 24);

/// How long the link of a console that withdraws itself stays, for the answer.
const GOODBYE: Duration = Duration::from_millis(500);

/// A console.
#[derive(Serialize)]
pub struct View {
    id: ConsoleId,
    name: String,
    operator: String,
    key: PublicKey,
    created: Timestamp,
    expires: Timestamp,
    last_seen: Option<Timestamp>,
    revoked: bool,
}

impl From<Console> for View {
    fn from(console: Console) -> Self {
        Self {
            id: console.id,
            name: console.name,
            operator: console.operator.name,
            key: console.key,
            created: console.created,
            expires: console.expires,
            last_seen: console.last_seen,
            revoked: console.revoked,
        }
    }
}

/// `GET /consoles`: one's own; an administrator's list has all.
pub async fn list(member: ApiMember) -> Answer<Vec<View>> {
    let consoles = member.acting().consoles().list().await?;
    Ok(Json(consoles.into_iter().map(View::from).collect()))
}

#[derive(Deserialize)]
pub struct NewConsole {
    name: String,
    /// The console's key; when given it has to be that of the link.
    #[serde(default)]
    public_key: Option<PublicKey>,
}

/// `POST /consoles`: `{ name }` inside a link with a bearer token → from now on the link's key stands
/// for the operator, until `expires`.
///
/// Only inside a link, because the link proves that the key is the caller's own.
pub async fn register(
    member: ApiMember,
    Input(new): Input<NewConsole>,
) -> Result<(StatusCode, Json<Value>), ApiProblem> {
    let thing = "The console was not registered";
    let Some(key) = member.link else {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            thing,
            "This request did not come over a link, so it does not prove whose key it is.",
            "Run `sluis login`, which does it over a link.",
        )
        .into());
    };
    if new.public_key.is_some_and(|named| named != key) {
        let reason = "The key named is not the key of this link.";
        return Err(Problem::bad_request(thing, reason).into());
    }
    let now = member.state.now();
    let expires = now.plus(LASTS);
    let consoles = member.acting().consoles();
    let id = consoles.register(member.operator.id, &key, &new.name, expires, now).await?;
    let body = json!({ "id": id, "expires": expires, "operator": member.operator.name });
    Ok((StatusCode::CREATED, Json(body)))
}

/// `DELETE /consoles/{id}`; `self` is the console whose link this is.
pub async fn revoke(member: ApiMember, Path(named): Path<String>) -> Answer<Value> {
    let consoles = member.acting().consoles();
    let is_it = |console: &Console| match named.as_str() {
        "self" => Some(console.key) == member.link,
        id => id.parse() == Ok(console.id),
    };
    let known = consoles.list().await?.into_iter().find(is_it);
    let console = known.ok_or_else(|| Problem::not_found("The console"))?;
    let console = consoles.revoke(console.id, member.state.now()).await?;
    let_go(&member, console.key);
    Ok(Json(json!({})))
}

/// Ends the link of a console that was withdrawn: one's own a little later, so that the answer, which
/// travels on it, arrives.
pub fn let_go(member: &ApiMember, key: PublicKey) {
    let hub = member.state.hub.clone();
    if member.link != Some(key) {
        hub.console_revoked(key);
        return;
    }
    tokio::spawn(async move {
        tokio::time::sleep(GOODBYE).await;
        hub.console_revoked(key);
    });
}
