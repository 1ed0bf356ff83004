//! What answers HTTP: pages and API, put together from what this generation knows.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::routing::get;
use model::PublicKey;
use store::Store;

use crate::hub::Hub;
use crate::sessions::Broker;
use crate::settings::Settings;

/// Where an HTTP request came from.
#[derive(Debug, Clone, Copy)]
pub struct Remote(pub SocketAddr);

/// Whose link a request came on.
#[derive(Debug, Clone, Copy)]
pub struct LinkPeer(pub PublicKey);

/// The router of this generation.
pub async fn build(
    _: &Settings,
    _: &Store,
    _: &Arc<Hub>,
    _: &Arc<Broker>,
    _: PublicKey,
) -> Result<Router> {
    Ok(Router::new().route("/check_health", get(|| async { "ok" })))
}
