//! Where a request comes from, and under which name it found the site.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, header};

use crate::web::{LinkPeer, Remote, WebState};

/// The longest host name with port that is looked at.
const HOST_MAX: usize = 255;

/// The address that a request comes from, for the log.
pub struct Peer(pub String);

impl FromRequestParts<WebState> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &WebState) -> Result<Self, Infallible> {
        Ok(Self(peer(parts)))
    }
}

/// The address that a request comes from, for the log.
pub fn peer(parts: &Parts) -> String {
    if let Some(Remote(address)) = parts.extensions.get::<Remote>() {
        return address.to_string();
    }
    let link = parts.extensions.get::<LinkPeer>();
    link.map(|LinkPeer(key)| format!("link of {key}")).unwrap_or_default()
}

/// The site's own name, or else the one under which the request came.
pub fn host(state: &WebState, parts: &Parts) -> String {
    if !state.hostname.is_empty() {
        return state.hostname.clone();
    }
    let named = parts.uri.authority().map(Authority::as_str);
    let host = named.or_else(|| header_host(&parts.headers)).unwrap_or_default();
    // It ends up in commands that people copy into a shell.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    let fits = !host.is_empty() && host.len() <= HOST_MAX && host.bytes().all(plain);
    if fits { host.to_owned() } else { "this-site".to_owned() }
}

fn header_host(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::HOST)?.to_str().ok()
}
