use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ui_appliance::{
    Tab, UserAdd, UserAddInput, UserFacts, UserState, Users, remove_user, reset_user,
};
use ui_kit::account::FirstPassword;
use ui_kit::url::appliance as url;
use ui_kit::{CsrfInput, Flash, Link};

use super::viewer::{Viewer, done};
use crate::accounts::AccountError;
use crate::base::Shared;
use crate::secrets;

/// `GET /appliance/users`
pub async fn list(State(base): State<Shared>, viewer: Viewer) -> Response {
    let now = host::now();
    let users = base.accounts.list().await.into_iter().map(|account| UserFacts {
        state: match account.locked_until.filter(|until| *until > now) {
            Some(until) => UserState::Locked(until),
            None if account.must_change_password => UserState::FirstPassword,
            None => UserState::Active,
        },
        last_sign_in: account.last_sign_in,
        is_viewer: account.name == viewer.name,
        name: account.name,
    });
    viewer.page(Tab::Users, &Users::new(users.collect(), now))
}

/// `GET /appliance/users/add`
pub async fn add_form(viewer: Viewer) -> Response {
    viewer.page(Tab::Users, &UserAdd::new(viewer.csrf()))
}

/// `POST /appliance/users/add`
pub async fn add(
    State(base): State<Shared>,
    viewer: Viewer,
    Form(input): Form<UserAddInput>,
) -> Result<Response, Response> {
    viewer.check(&input.csrf)?;
    let password = secrets::first_password();
    match base.accounts.add(&input.name, &password).await {
        Ok(()) => Ok(first_password(&viewer, input.name, password)),
        Err(error @ (AccountError::Taken(_) | AccountError::BadName)) => {
            let page = UserAdd::new(viewer.csrf()).wrong(&input.name, error.to_string());
            let shown = viewer.page(Tab::Users, &page);
            Ok((StatusCode::UNPROCESSABLE_ENTITY, shown).into_response())
        }
        Err(error) => Ok(viewer.problem(&error.into(), url::Users)),
    }
}

fn first_password(viewer: &Viewer, name: String, password: String) -> Response {
    let done = Link { href: url::Users.to_string(), word: "Back to Users".into() };
    viewer.page(Tab::Users, &FirstPassword { name, password, done })
}

/// `GET /appliance/users/{name}/remove`
pub async fn remove_ask(viewer: Viewer, Path(name): Path<String>) -> Response {
    viewer.page(Tab::Users, &remove_user(&name, viewer.csrf()))
}

/// `POST /appliance/users/{name}/remove`
pub async fn remove(
    State(base): State<Shared>,
    viewer: Viewer,
    Path(name): Path<String>,
    Form(input): Form<CsrfInput>,
) -> Result<Response, Response> {
    viewer.check(&input.csrf)?;
    if let Err(error) = base.accounts.remove(&name, &viewer.name).await {
        return Ok(viewer.problem(&error.into(), url::Users));
    }
    base.signed_in.end_all(&name, None);
    Ok(done(url::Users, &Flash::done(format!("The user {name} was removed."))))
}

/// `GET /appliance/users/{name}/reset`
pub async fn reset_ask(viewer: Viewer, Path(name): Path<String>) -> Response {
    viewer.page(Tab::Users, &reset_user(&name, viewer.csrf()))
}

/// `POST /appliance/users/{name}/reset`
pub async fn reset(
    State(base): State<Shared>,
    viewer: Viewer,
    Path(name): Path<String>,
    Form(input): Form<CsrfInput>,
) -> Result<Response, Response> {
    viewer.check(&input.csrf)?;
    let password = secrets::first_password();
    if let Err(error) = base.accounts.reset(&name, &password).await {
        return Ok(viewer.problem(&error.into(), url::Users));
    }
    base.signed_in.end_all(&name, None);
    Ok(first_password(&viewer, name, password))
}
