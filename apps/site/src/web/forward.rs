//! `/appliance` is the base's: requests for it are passed on to the base's socket as they are.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use crate::web::problem::{Form, Problem};
use crate::web::{Remote, WebState};

/// The longest until the base takes a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// The longest until its answer begins: it holds some requests for 20 s, and an upload takes as long
/// as the line is slow.
const ANSWER: Duration = Duration::from_hours(1);

/// What belongs to one connection and not to the request.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// Passes a request on, and the answer back, both as they come.
pub async fn to_base(
    State(state): State<WebState>,
    remote: Option<Extension<Remote>>,
    request: Request,
) -> Response {
    let form = Form::of(request.uri().path());
    let remote = remote.map(|Extension(remote)| remote);
    match pass_on(&state, remote, request).await {
        Ok(response) => response,
        Err(error) => {
            tracing::warn!(%error, socket = %state.base_socket.display(), "Base cannot be reached");
            away().answer_as(form)
        }
    }
}

fn away() -> Problem {
    Problem::new(
        StatusCode::BAD_GATEWAY,
        "The base software does not answer",
        "It may be starting or updating itself. Sessions and /login go on without it.",
        "Wait half a minute and load this page again. If it stays away, look at the service \
         sluis-base on the appliance.",
    )
}

async fn pass_on(
    state: &WebState,
    remote: Option<Remote>,
    mut request: Request,
) -> anyhow::Result<Response> {
    prepare(&mut request, remote)?;
    let connect = UnixStream::connect(&state.base_socket);
    let stream = tokio::time::timeout(CONNECT, connect).await??;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "Connection to the base ended");
        }
    });
    let answer = tokio::time::timeout(ANSWER, sender.send_request(request)).await??;
    let (mut parts, body) = answer.into_parts();
    drop_hop_by_hop(&mut parts.headers);
    parts.version = Version::HTTP_11;
    Ok(Response::from_parts(parts, Body::new(body)).into_response())
}

/// Turns what a client sent into what the base expects.
fn prepare(request: &mut Request, remote: Option<Remote>) -> anyhow::Result<()> {
    // HTTP/2 names the host in the address.
    let authority = request.uri().authority().map(|host| HeaderValue::from_str(host.as_str()));
    if let Some(host) = authority.transpose()? {
        request.headers_mut().insert(header::HOST, host);
    }
    let path = request.uri().path_and_query().map_or("/appliance", |path| path.as_str()).to_owned();
    *request.uri_mut() = path.parse()?;
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    drop_hop_by_hop(headers);
    // Whatever a client claims about itself is replaced: the site sees it, and says so.
    headers.remove("forwarded");
    headers.remove("x-forwarded-for");
    headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
    if let Some(Remote(address)) = remote {
        headers.insert("x-forwarded-for", HeaderValue::from_str(&address.ip().to_string())?);
    }
    headers.entry(header::HOST).or_insert(HeaderValue::from_static("localhost"));
    Ok(())
}

fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}
