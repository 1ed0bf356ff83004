use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};

use super::Problem;
use crate::base::{Base, Shared};
use crate::signed_in::Session;

/// Who sends a request, proven by a bearer token, with a password of their own.
pub struct Caller {
    pub name: String,
    pub token: String,
}

/// The same, also with a first password that has to be changed.
pub struct AnyCaller(pub Caller);

impl FromRequestParts<Shared> for AnyCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, base: &Shared) -> Result<Self, Problem> {
        let token = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let found = token.and_then(|token| Some((token, find(base, token)?)));
        let Some((token, session)) = found else {
            return Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "The request carries no valid sign-in.",
                "Sign in again.",
            ));
        };
        Ok(Self(Caller { name: session.name, token: token.to_owned() }))
    }
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, base: &Shared) -> Result<Self, Problem> {
        let AnyCaller(caller) = AnyCaller::from_request_parts(parts, base).await?;
        if must_change(base, &caller.name).await {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "The first password has to be changed before anything else.",
                "Choose a password of your own.",
            ));
        }
        Ok(caller)
    }
}

fn find(base: &Base, token: &str) -> Option<Session> {
    base.signed_in.find(token, host::now())
}

/// Whether the account has a first password; an account that is gone has nothing else to do either.
pub async fn must_change(base: &Base, name: &str) -> bool {
    let accounts = base.accounts.list().await;
    accounts.iter().find(|account| account.name == name).is_none_or(|a| a.must_change_password)
}
