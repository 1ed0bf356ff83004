use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ui_kit::account::{SignIn, SignInInput, SignInRefused};
use ui_kit::url::site as url;
use ui_kit::{Csrf, CsrfInput, Variant};

use super::form::PostedByVisitor;
use super::{Answer, Posted, Visit, go};
use crate::web::doing::sign_in;
use crate::web::problem::Problem;
use crate::web::{cookies, secrets};

/// The form, or the first tab of who is signed in.
pub async fn show(visit: Visit) -> Response {
    let Some(token) = visit.token else { return form(&visit, None, StatusCode::OK) };
    match visit.state.store.web_sessions().by_token(token, visit.state.now()).await {
        Ok(Some(session)) if session.operator.must_change_password => go(url::Password),
        Ok(Some(_)) => go(url::Clients),
        Ok(None) => {
            let over = Some(("", SignInRefused::Over));
            let mut response = form(&visit, over, StatusCode::OK);
            cookies::remove(&mut response, cookies::SESSION);
            response
        }
        Err(error) => visit.problem(&error.into()),
    }
}

/// Takes the form.
pub async fn take(posted: PostedByVisitor<SignInInput>) -> Response {
    let PostedByVisitor { visit, input, is_ours } = posted;
    if !is_ours {
        return form(&visit, Some((&input.name, SignInRefused::Stale)), StatusCode::FORBIDDEN);
    }
    match sign_in::check(&visit.state, &input.name, &input.password, &visit.peer).await {
        Ok(Ok(operator)) => match sign_in::open_browser(&visit.state, &operator, &visit.peer).await
        {
            Ok(token) => entered(&token),
            Err(problem) => visit.problem(&problem),
        },
        Ok(Err(_)) => {
            let refused = Some((input.name.as_str(), SignInRefused::Wrong));
            form(&visit, refused, StatusCode::UNAUTHORIZED)
        }
        Err(problem) => visit.problem(&problem),
    }
}

fn entered(token: &str) -> Response {
    let mut response = go(url::Home);
    cookies::set(&mut response, cookies::SESSION, token);
    cookies::remove(&mut response, cookies::FORM);
    response
}

/// The form, with a fresh token unless the browser holds one: two tabs may show it.
fn form(visit: &Visit, refused: Option<(&str, SignInRefused)>, status: StatusCode) -> Response {
    let known = visit.form_token.clone().filter(|token| token.len() == 64);
    let token = known.unwrap_or_else(secrets::token);
    let mut page = SignIn::new(Variant::Site, Csrf(token.clone()));
    if let Some((name, why)) = refused {
        let name: String = name.chars().take(100).collect();
        page = page.refused(&name, why);
    }
    let mut response = (status, visit.alone(&page)).into_response();
    cookies::set(&mut response, cookies::FORM, &token);
    response
}

/// Ends the sign-in.
pub async fn out(Posted(member, _): Posted<CsrfInput>) -> Answer {
    let sessions = member.state().store.web_sessions();
    sessions.close(member.token).await.map_err(|error| member.fault(Problem::from(error)))?;
    let mut response = go(url::Home);
    cookies::remove(&mut response, cookies::SESSION);
    Ok(response)
}
