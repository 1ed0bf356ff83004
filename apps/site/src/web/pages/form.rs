use axum::Form;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use ui_kit::CsrfInput;

use super::{Member, Visit};
use crate::web::problem::Problem;
use crate::web::{WebState, secrets};

/// A form that was posted by somebody who is signed in, from a page of ours.
pub struct Posted<T>(pub Member, pub T);

impl<T: DeserializeOwned> FromRequest<WebState> for Posted<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &WebState) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let member = Member::from_request_parts(&mut parts, state).await?;
        let (csrf, input) =
            read(&parts, body).await.map_err(|p| member.fault(p).into_response())?;
        if !secrets::same(&csrf, &member.session.csrf) {
            return Err(member.fault(foreign()).into_response());
        }
        Ok(Self(member, input))
    }
}

/// The form for signing in: nobody is signed in yet, so a cookie of its own vouches for it.
pub struct PostedByVisitor<T> {
    /// The request.
    pub visit: Visit,
    /// What was typed.
    pub input: T,
    /// Whether the form came from our own page, shortly before.
    pub is_ours: bool,
}

impl<T: DeserializeOwned> FromRequest<WebState> for PostedByVisitor<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &WebState) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let Ok(visit) = Visit::from_request_parts(&mut parts, state).await;
        let (csrf, input) = read(&parts, body).await.map_err(|p| visit.problem(&p))?;
        let is_ours = visit.form_token.as_deref().is_some_and(|token| secrets::same(&csrf, token));
        Ok(Self { visit, input, is_ours })
    }
}

/// Reads a form and the token in it.
async fn read<T: DeserializeOwned>(parts: &Parts, body: Body) -> Result<(String, T), Problem> {
    let bytes = Bytes::from_request(again(parts, body), &())
        .await
        .map_err(|rejection| unreadable(rejection.status(), &rejection.body_text()))?;
    let form = async |body| Form::<CsrfInput>::from_request(again(parts, body), &()).await;
    let csrf = form(Body::from(bytes.clone())).await.map(|Form(input)| input.csrf);
    let csrf = csrf.unwrap_or_default();
    let input = Form::<T>::from_request(again(parts, Body::from(bytes)), &()).await;
    match input {
        Ok(Form(input)) => Ok((csrf, input)),
        Err(rejection) => Err(unreadable(rejection.status(), &rejection.body_text())),
    }
}

/// The same request with that body; the limit of its length is among the extensions.
fn again(parts: &Parts, body: Body) -> Request {
    let mut request = Request::new(body);
    *request.method_mut() = parts.method.clone();
    *request.headers_mut() = parts.headers.clone();
    *request.extensions_mut() = parts.extensions.clone();
    request
}

fn unreadable(status: StatusCode, reason: &str) -> Problem {
    let way_out = "Go back, load the page again, and send the form once more.";
    Problem::new(status, "The form could not be read", format!("{reason}."), way_out)
}

fn foreign() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "The form is not from this sign-in",
        "It was opened before you signed in again, or it comes from another web site.",
        "Go back, load the page again, and send the form once more. Nothing was changed.",
    )
}
