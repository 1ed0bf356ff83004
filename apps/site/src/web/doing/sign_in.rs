use std::time::Duration;

use model::Timestamp;
use store::{LoginTry, NewApiToken, NewWebSession, Operator, PasswordCheck, TokenHash};

use crate::web::problem::Problem;
use crate::web::{WebState, secrets};

/// How long a browser's sign-in lasts without being used.
pub const IDLE: Duration = Duration::from_hours(1);
/// How long it lasts at most.
pub const LONGEST: Duration = Duration::from_hours(12);
/// How long a bearer token lasts.
pub const BEARER: Duration = Duration::from_hours(12);

/// Why name and password let nobody in.
///
/// A stranger is told one and the same for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Name or password are wrong, or the account is disabled.
    Wrong,
    /// The password was wrong too often; after this time one is taken again.
    Locked(Duration),
}

/// Checks name and password.
///
/// It takes as long for a name that nobody has and for an account that is locked.
pub async fn check(
    state: &WebState,
    name: &str,
    password: &str,
    peer: &str,
) -> Result<Result<Operator, Refused>, Problem> {
    let operators = state.store.operators();
    let now = state.now();
    let name: String = name.chars().take(100).collect();
    let (operator, hash) = match operators.begin_login(&name, now).await? {
        LoginTry::Locked { until } => {
            state.passwords().fits(password, None).await?;
            return Ok(Err(Refused::Locked(until.since(now))));
        }
        LoginTry::Nobody => (None, None),
        LoginTry::Check { operator, password_hash } => (Some(operator), Some(password_hash)),
    };
    let right = state.passwords().fits(password, hash).await?;
    let Some(operator) = operator else { return Ok(Err(Refused::Wrong)) };
    let check = if right { PasswordCheck::Right } else { PasswordCheck::Wrong };
    operators.finish_login(&operator, check, peer, state.now()).await?;
    Ok(if right { Ok(operator) } else { Err(Refused::Wrong) })
}

/// Opens a browser session; answers the value of its cookie.
pub async fn open_browser(
    state: &WebState,
    operator: &Operator,
    peer: &str,
) -> Result<String, Problem> {
    let token = secrets::token();
    let now = state.now();
    let new = NewWebSession {
        token: TokenHash::of(&token),
        csrf: secrets::token(),
        operator: operator.id,
        peer: peer.to_owned(),
        expires: now.plus(IDLE),
    };
    state.store.web_sessions().open(new, now).await?;
    Ok(token)
}

/// Gives out a bearer token; answers it and its end.
pub async fn give_bearer(
    state: &WebState,
    operator: &Operator,
) -> Result<(String, Timestamp), Problem> {
    let token = secrets::token();
    let now = state.now();
    let expires = now.plus(BEARER);
    let new = NewApiToken {
        token: TokenHash::of(&token),
        operator: operator.id,
        name: "signed in through the API".to_owned(),
        expires,
    };
    state.store.api_tokens().issue(new, now).await?;
    Ok((token, expires))
}
