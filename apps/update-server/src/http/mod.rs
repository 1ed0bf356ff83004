//! What the update server answers.

mod accept;
mod check;
mod enrol;
mod paced;
mod page;
mod range;
mod report;
mod tuf;

use std::sync::Arc;
use std::time::Duration;

use ::tuf::SigningKey;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use model::{ApplianceId, PublicKey};
use release::Sha256;
use release::offer::{REQUEST_BYTES_MAX, Refusal, SIGNATURE_HEADER, request_is_signed};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tower_http::timeout::TimeoutLayer;

use crate::clock;
use crate::repository::Repository;
use crate::store::{Appliance, Store};

pub use accept::{Server, serve};

/// A request of an appliance, from its first byte to its answer.
const REQUEST_TIME: Duration = Duration::from_secs(30);

/// What all handlers share.
pub struct App {
    pub store: Store,
    pub repository: Arc<Repository>,
    pub offer_key: SigningKey,
    pub offer_public: PublicKey,
    /// The pins of the certificates that appliances meet; offers name them.
    pub pins: Vec<Sha256>,
    /// Name of the server on its page.
    pub host: String,
    /// The one `Authorization` header that opens the page.
    pub page_login: String,
}

/// All routes.
pub fn router(app: Arc<App>) -> Router {
    let api = Router::new()
        .route("/v1/enrol", post(enrol::enrol))
        .route("/v1/check", post(check::check))
        .route("/v1/report", post(report::report))
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, REQUEST_TIME));
    let pages = Router::new()
        .route(ui_kit::url::update::Home::ROUTE, get(page::home))
        .route(ui_kit::url::update::Style::ROUTE, get(page::style))
        .route(ui_kit::url::update::Script::ROUTE, get(page::script))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, REQUEST_TIME));
    Router::new()
        .route("/tuf/{*path}", get(tuf::file))
        .merge(api)
        .merge(pages)
        .fallback(nothing_here)
        .with_state(app)
}

async fn nothing_here() -> Refused {
    Refused::new(StatusCode::NOT_FOUND, "request", "there is nothing at this address")
        .remedy("The addresses of an update server begin with /v1/ and /tuf/.")
}

/// An answer that says no, as [`Refusal`].
pub struct Refused {
    status: StatusCode,
    refusal: Refusal,
}

impl Refused {
    fn new(status: StatusCode, code: &str, error: impl Into<String>) -> Self {
        let (error, remedy) = (error.into(), String::new());
        let refusal = Refusal { code: code.into(), error, remedy, server_time: clock::now() };
        Self { status, refusal }
    }

    fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.refusal.remedy = remedy.into();
        self
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.status, json(&self.refusal)).into_response()
    }
}

/// Whatever the host did not do is not the appliance's business; the log has it.
impl From<anyhow::Error> for Refused {
    fn from(error: anyhow::Error) -> Self {
        tracing::error!(error = format!("{error:#}"), "Request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server", "the update server failed").remedy(
            "Try again later. The operator of the update server finds the reason in its log.",
        )
    }
}

fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => ([(header::CONTENT_TYPE, "application/json")], bytes).into_response(),
        Err(error) => Refused::from(anyhow::Error::from(error)).into_response(),
    }
}

/// A request of an appliance as it came: the signature is over these bytes.
pub struct Call {
    body: Bytes,
    signature: Option<String>,
}

impl<S: Send + Sync> FromRequest<S> for Call {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refused> {
        let header = request.headers().get(SIGNATURE_HEADER);
        let signature = header.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = Bytes::from_request(request, state).await.map_err(|rejected| {
            let (status, text) = (rejected.status(), rejected.body_text());
            Refused::new(status, "request", format!("the request cannot be read: {text}"))
                .remedy(format!("A request has at most {REQUEST_BYTES_MAX} bytes."))
        })?;
        Ok(Self { body, signature })
    }
}

impl Call {
    /// Reads the body as JSON; what is wrong with it is said.
    fn parse<T: DeserializeOwned>(&self) -> Result<T, Refused> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let error = format!("the request is not valid: {error}");
            Refused::new(StatusCode::BAD_REQUEST, "request", error).remedy(
                "Update the base software of this appliance; it may speak an older language.",
            )
        })
    }

    /// Demands that this key signed the body.
    fn demand_signature(&self, key: &PublicKey) -> Result<(), Refused> {
        if self.signature.as_ref().is_some_and(|sig| request_is_signed(&self.body, sig, key)) {
            return Ok(());
        }
        let error = "the request is not signed by the key of this appliance";
        Err(Refused::new(StatusCode::UNAUTHORIZED, "signature", error)
            .remedy("Enrol this appliance again with a new code."))
    }

    /// The appliance that a request names and that signed it.
    async fn demand_appliance(&self, app: &App, id: ApplianceId) -> Result<Appliance, Refused> {
        let Some(appliance) = app.store.appliance(id).await? else {
            let error = format!("the appliance {id} is not enrolled here");
            return Err(Refused::new(StatusCode::NOT_FOUND, "appliance", error)
                .remedy("Enrol this appliance again with a new code."));
        };
        self.demand_signature(&appliance.public_key)?;
        Ok(appliance)
    }
}

/// Runs what blocks on the disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refused> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Refused::from(anyhow::Error::from(error)))
}
