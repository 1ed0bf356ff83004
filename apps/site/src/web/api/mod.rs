//! The JSON API below `/api/v1`: over TLS with a bearer token, inside a link with the link's proof.
//!
//! An answer that is no success is `{ error, remedy }`. Moments are milliseconds since 1970.
//!
//! | request | answer |
//! |---|---|
//! | `POST login` `{ name, password }` | `{ token, expires, must_change_password, name, admin, identity }` |
//! | `POST logout` | `{}`; ends the token, or the console's registration inside its link |
//! | `POST password` `{ old, new }` | `{}`; every token of the account ends |
//! | `GET account`, `GET about` | who asks; what serves |
//! | `GET license` | `{ license, state }`: what the site is licensed for, `null` where no license is known |
//! | `GET users`, `POST users` `{ name, display_name, admin }` | accounts; the new one with its first password |
//! | `POST users/{id}/disable`, `…/enable`, `…/reset` | the account; after a reset with its first password |
//! | `GET jump-clients`, `GET jump-clients/{id or name}` | Jump Clients with state, version, revision, place in the upgrade queue |
//! | `POST jump-clients/{id}` `{ name, group }`, `DELETE …/{id}` | the Jump Client; `{}`, or 409 while a session of it runs |
//! | `GET enrolment-tokens`, `POST` `{ name, group, mode, uses, hours }`, `DELETE …/{id}` | `{ …, token, site, site_key, commands }` for a new one |
//! | `GET sessions?past=N&before=ID`, `GET sessions/{id}`, `POST sessions/{id}/end` | `{ sessions, older }`; one with its `legs` |
//! | `GET recordings?before=ID&limit=N`, `GET recordings/{session}` | `{ recordings, older }`; the asciicast file, also in part |
//! | `GET consoles`, `POST consoles` `{ name }` inside a link, `DELETE consoles/{id or self}` | `{ id, expires, operator }` for a new one |
//! | `GET api-tokens`, `POST` `{ name, hours }`, `DELETE …/{id}` | bearer tokens; the new one with its `token` |
//! | `GET audit?actor=&about=&action=&from=&until=&before=ID&limit=N` | the audit log, newest first; `from` and `until` are moments |
//! | `GET audit/file?format=csv or json&…` | the same, all of it, as a file |
//! | `GET check_health` | `{ ok, version, checks, … }` with 200 or 500 |

mod about;
mod accounts;
mod api_tokens;
mod audit;
mod consoles;
pub(super) mod health;
mod jump_clients;
mod license;
mod member;
mod recordings;
mod sessions;
mod sign_in;

use axum::Router;
use axum::extract::Request;
use axum::http::Method;
use axum::response::Response;
use axum::routing::{delete, get, post};

use crate::web::WebState;
use crate::web::problem::{ApiProblem, Problem};

use member::{ApiMember, Input, Named};

/// What a handler of the API answers.
type Answer<T> = Result<axum::Json<T>, ApiProblem>;

pub fn routes() -> Router<WebState> {
    Router::new()
        .route("/login", post(sign_in::sign_in))
        .route("/logout", post(sign_in::sign_out))
        .route("/password", post(accounts::password))
        .route("/account", get(accounts::own))
        .route("/about", get(about::about))
        .route("/license", get(license::license))
        .route("/users", get(accounts::list).post(accounts::add))
        .route("/users/{id}/disable", post(accounts::disable))
        .route("/users/{id}/enable", post(accounts::enable))
        .route("/users/{id}/reset", post(accounts::reset))
        .route("/jump-clients", get(jump_clients::list))
        .route(
            "/jump-clients/{id}",
            get(jump_clients::one).post(jump_clients::edit).delete(jump_clients::remove),
        )
        .route("/enrolment-tokens", get(jump_clients::tokens).post(jump_clients::make_token))
        .route("/enrolment-tokens/{id}", delete(jump_clients::revoke_token))
        .route("/sessions", get(sessions::list))
        .route("/sessions/{id}", get(sessions::one))
        .route("/sessions/{id}/end", post(sessions::end))
        .route("/recordings", get(recordings::list))
        .route("/recordings/{id}", get(recordings::download))
        .route("/consoles", get(consoles::list).post(consoles::register))
        .route("/consoles/{id}", delete(consoles::revoke))
        .route("/api-tokens", get(api_tokens::list).post(api_tokens::make))
        .route("/api-tokens/{id}", delete(api_tokens::revoke))
        .route("/audit", get(audit::list))
        .route("/audit/file", get(audit::file))
        .route("/check_health", get(health::health))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
}

async fn not_found(request: Request) -> Response {
    let path: String = request.uri().path().chars().take(200).collect();
    Problem::not_found(format!("/api/v1{path}")).json()
}

async fn wrong_method(method: Method, request: Request) -> Response {
    let path: String = request.uri().path().chars().take(200).collect();
    Problem::wrong_method(&method, &format!("/api/v1{path}")).json()
}
