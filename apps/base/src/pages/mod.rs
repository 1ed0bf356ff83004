//! The pages of `/appliance`: understand the request, ask the base, fill a page.

mod account;
mod install;
mod status;
mod updates;
mod users;
mod viewer;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tower_http::set_header::SetResponseHeaderLayer;
use ui_kit::CONTENT_SECURITY_POLICY;
use ui_kit::url::appliance as url;

use crate::base::Shared;

/// The routes of the pages.
pub fn routes() -> Router<Shared> {
    Router::new()
        .route(url::Home::ROUTE, get(account::home))
        .route(url::SignIn::ROUTE, post(account::sign_in))
        .route(url::SignOut::ROUTE, post(account::sign_out))
        .route(url::Password::ROUTE, get(account::password).post(account::change_password))
        .route(url::Status::ROUTE, get(status::status))
        .route(url::Users::ROUTE, get(users::list))
        .route(url::UserAdd::ROUTE, get(users::add_form).post(users::add))
        .route(url::UserRemove::ROUTE, get(users::remove_ask).post(users::remove))
        .route(url::UserReset::ROUTE, get(users::reset_ask).post(users::reset))
        .route(url::Updates::ROUTE, get(updates::list))
        .route(url::Check::ROUTE, post(updates::check))
        .route(url::Install::ROUTE, get(install::install_ask).post(install::install))
        .route(url::InstallAll::ROUTE, get(install::install_all_ask).post(install::install_all))
        .route(url::Retry::ROUTE, post(updates::retry))
        .route(url::RollBack::ROUTE, get(install::roll_back_ask).post(install::roll_back))
        .route(url::Progress::ROUTE, get(updates::progress))
        .route(url::Log::ROUTE, get(updates::log))
        .layer(fixed(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
        .layer(fixed(header::CACHE_CONTROL, "no-store"))
        .layer(fixed(header::REFERRER_POLICY, "same-origin"))
        .layer(fixed(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .route(url::Style::ROUTE, get(async || asset("text/css", ui_kit::css())))
        .route(url::Script::ROUTE, get(async || asset("text/javascript", ui_kit::script())))
}

fn fixed(name: header::HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value))
}

/// Its address changes with its bytes, so it may be kept.
fn asset(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    (headers, text).into_response()
}
