//! `/appliance`: the HTTP API and the pages, for the base's socket and for `https` while no site serves.

mod auth;
mod error;
mod progress;
mod session;
mod status;
mod updates;
mod users;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, post};
use tokio::net::UnixListener;

pub use auth::{Caller, must_change};
pub use error::Problem;
pub use progress::{Standing, progress_now};
pub use status::{LicenseFacts, status_facts};
pub use updates::{allow_again, begin_rollback};

use crate::base::Shared;
use crate::pages;

/// Longest body that is read; nothing here takes more.
const BODY_MAX: usize = 64 << 10;

/// Answers on the base's socket until the base makes room for the next one.
pub async fn serve(base: Shared, listener: std::os::unix::net::UnixListener) {
    let listener = match UnixListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "Base's socket cannot be used");
            return;
        }
    };
    let mut closing = base.closing.subscribe();
    let closed = async move {
        // Gone with the base.
        let _ = closing.wait_for(|closing| *closing).await;
    };
    let served = axum::serve(listener, router(base)).with_graceful_shutdown(closed).await;
    if let Err(error) = served {
        tracing::error!(%error, "Base's socket ended");
    }
}

/// The API and the pages.
pub fn router(base: Shared) -> Router {
    Router::new()
        .route("/appliance/api/v1/alive", get(|| async { "alive" }))
        .route("/appliance/api/v1/login", post(session::login))
        .route("/appliance/api/v1/logout", post(session::logout))
        .route("/appliance/api/v1/password", post(session::password))
        .route("/appliance/api/v1/status", get(status::status))
        .route("/appliance/api/v1/users", get(users::list).post(users::add))
        .route("/appliance/api/v1/users/{name}", delete(users::remove))
        .route("/appliance/api/v1/users/{name}/reset", post(users::reset))
        .route("/appliance/api/v1/updates", get(updates::last))
        .route("/appliance/api/v1/updates/check", post(updates::check))
        .route("/appliance/api/v1/updates/install", post(updates::install))
        .route("/appliance/api/v1/updates/retry", post(updates::retry))
        .route("/appliance/api/v1/updates/rollback", post(updates::rollback))
        .route("/appliance/api/v1/updates/cancel", post(updates::cancel))
        .route("/appliance/api/v1/updates/progress", get(progress::progress))
        .route("/appliance/api/v1/updates/log", get(progress::log))
        .merge(pages::routes())
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(base)
}
