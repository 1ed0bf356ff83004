//! The pages of `/login`.

mod about;
mod account;
mod assets;
mod audit;
mod clients;
mod consoles;
mod enrol;
mod form;
mod member;
mod recordings;
mod sessions;
mod sign_in;
mod tokens;
mod users;
mod visit;

use axum::Router;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use ui_kit::Flash;
use ui_kit::url::site as url;

use crate::web::{WebState, cookies};

use form::Posted;
use member::{Fault, Member};
use visit::Visit;

pub fn routes() -> Router<WebState> {
    Router::new()
        .route("/", get(root))
        .route(url::Home::ROUTE, get(sign_in::show))
        .route("/login/", get(root))
        .route(url::SignIn::ROUTE, post(sign_in::take).get(root))
        .route(url::SignOut::ROUTE, post(sign_in::out))
        .route(url::Password::ROUTE, get(account::password).post(account::change_password))
        .route(url::Account::ROUTE, get(account::show))
        .route(url::About::ROUTE, get(about::show))
        .route(url::Users::ROUTE, get(users::list))
        .route(url::UserAdd::ROUTE, get(users::add_form).post(users::add))
        .route(url::UserDisable::ROUTE, get(users::ask_disable).post(users::disable))
        .route(url::UserEnable::ROUTE, post(users::enable))
        .route(url::UserReset::ROUTE, get(users::ask_reset).post(users::reset))
        .route(url::Clients::ROUTE, get(clients::list))
        .route(url::ClientEnrol::ROUTE, get(enrol::form).post(enrol::make))
        .route(url::Client::ROUTE, get(clients::one))
        .route(url::ClientEdit::ROUTE, get(clients::edit_form).post(clients::edit))
        .route(url::ClientRemove::ROUTE, get(clients::ask_remove).post(clients::remove))
        .route(url::EnrolmentTokens::ROUTE, get(tokens::enrolment))
        .route(url::EnrolmentTokenRevoke::ROUTE, get(tokens::ask_withdraw).post(tokens::withdraw))
        .route(url::Consoles::ROUTE, get(consoles::list))
        .route(url::ConsoleRevoke::ROUTE, get(consoles::ask_revoke).post(consoles::revoke))
        .route(url::ApiTokens::ROUTE, get(tokens::list))
        .route(url::ApiTokenAdd::ROUTE, get(tokens::form).post(tokens::make))
        .route(url::ApiTokenRevoke::ROUTE, get(tokens::ask_revoke).post(tokens::revoke))
        .route(url::Audit::ROUTE, get(audit::list))
        .route(url::AuditFile::ROUTE, get(audit::file))
        .route(url::SessionEnd::ROUTE, get(sessions::ask_end).post(sessions::end))
        .route(url::Sessions::ROUTE, get(sessions::list))
        .route(url::Session::ROUTE, get(sessions::one))
        .route(url::Recordings::ROUTE, get(recordings::list))
        .route(url::Recording::ROUTE, get(recordings::download))
        .route(url::Style::ROUTE, get(assets::style))
        .route(url::Script::ROUTE, get(assets::script))
}

async fn root() -> Redirect {
    Redirect::to(url::Home::ROUTE)
}

/// What a handler of a page answers.
type Answer = Result<Response, Fault>;

/// What an address names, if it is an id at all.
type Named<T> = Result<Path<T>, PathRejection>;

/// To another page, by `GET`.
fn go(to: impl std::fmt::Display) -> Response {
    Redirect::to(&to.to_string()).into_response()
}

/// To another page, which says what was done.
fn done(to: impl std::fmt::Display, text: impl Into<String>) -> Response {
    let mut response = go(to);
    cookies::set(&mut response, cookies::FLASH, &Flash::done(text).to_cookie());
    response
}
