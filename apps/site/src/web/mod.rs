//! The site over HTTP: pages below `/login`, JSON below `/api/v1`, `/appliance` passed on to the
//! base, and the rescue channel.
//!
//! The program gives a [`WebState`] and gets one [`router`]; its accept loop serves that on TLS, with
//! the extension [`Remote`], and inside links, with the extension [`LinkPeer`].
//! A handler understands the request, asks the store or something in [`doing`], and answers with a
//! page of `ui/site` or with JSON; what a page can do, the API can do through the same function.

mod api;
mod cookies;
mod doing;
mod facts;
mod file;
mod forward;
mod hub;
mod license;
mod limits;
mod origin;
mod pages;
pub mod password;
mod problem;
mod rescue;
mod secrets;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::get;
use model::{PublicKey, Release, SiteId, Timestamp};
use store::Store;

use crate::health::Health;
use crate::web::password::Passwords;
use crate::web::problem::Problem;
use crate::web::rescue::Clients;

pub use hub::{Counts, Hub, UpgradeView};

/// Where a request came from; the accept loop puts it into the request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remote(pub SocketAddr);

/// Whose link a request came on, proven by the link; put into the request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkPeer(pub PublicKey);

/// Reads the clock.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What the router needs to know.
#[derive(Clone)]
pub struct WebParts {
    /// The database.
    pub store: Store,
    /// The links and sessions of this generation.
    pub hub: Arc<dyn Hub>,
    /// The clock.
    pub clock: Clock,
    /// The id of the site.
    pub site: SiteId,
    /// The identity of the site, which clients pin.
    pub identity: PublicKey,
    /// The software of this generation.
    pub release: Release,
    /// The primary hostname; empty where a request's own `Host` is to be shown.
    pub hostname: String,
    /// The socket of the base.
    pub base_socket: PathBuf,
    /// The folder with the TUF metadata for clients.
    pub mirror: PathBuf,
    /// The file in which the base tells which license is installed.
    pub license: Option<PathBuf>,
    /// The folder of the package that runs.
    pub package: PathBuf,
    /// The folder of recordings.
    pub recordings: PathBuf,
    /// Whether the site can do its work.
    pub health: Arc<Health>,
}

/// What every handler gets; clones share it.
#[derive(Clone)]
pub struct WebState(Arc<Inner>);

struct Inner {
    parts: WebParts,
    passwords: Passwords,
    clients: Clients,
}

impl std::ops::Deref for WebState {
    type Target = WebParts;

    fn deref(&self) -> &WebParts {
        &self.0.parts
    }
}

impl WebState {
    /// Makes ready what handlers share.
    ///
    /// # Errors
    ///
    /// When the package's manifest cannot be read, or no password can be hashed here.
    pub fn new(parts: WebParts) -> anyhow::Result<Self> {
        let passwords = Passwords::new()?;
        let clients = Clients::of_package(&parts.package)?;
        Ok(Self(Arc::new(Inner { parts, passwords, clients })))
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    fn passwords(&self) -> &Passwords {
        &self.0.passwords
    }

    fn clients(&self) -> &Clients {
        &self.0.clients
    }
}

/// The router of the site.
pub fn router(state: WebState) -> Router {
    let ours = Router::new()
        .merge(pages::routes())
        .nest("/api/v1", api::routes())
        .nest("/rescue/v1", rescue::routes())
        .route("/check_health", get(api::health::plain))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method);
    let ours = limits::of_our_own(ours);
    // The base sets its own limits: packages are uploaded through here.
    let base = Router::new()
        .route("/appliance", axum::routing::any(forward::to_base))
        .route("/appliance/", axum::routing::any(forward::to_base))
        .route("/appliance/{*rest}", axum::routing::any(forward::to_base));
    limits::headers(base.merge(ours)).with_state(state)
}

async fn not_found(request: Request) -> Response {
    let path = request.uri().path().chars().take(200).collect::<String>();
    let problem = Problem::not_found(format!("The address {path}"));
    problem.answer_as(problem::Form::of(&path))
}

async fn wrong_method(request: Request) -> Response {
    let path = request.uri().path().chars().take(200).collect::<String>();
    let method = request.method().clone();
    Problem::wrong_method(&method, &path).answer_as(problem::Form::of(&path))
}
