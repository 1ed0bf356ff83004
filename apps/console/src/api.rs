//! The HTTP API, called on streams of the link.

use ::session::OpenApi;
use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use link::Current;
use serde_json::Value;
use tokio_util::compat::FuturesAsyncReadCompatExt;

use crate::exit::Problem;

/// An answer that is larger is not read: no list is.
const ANSWER_MAX: usize = 64 * 1024 * 1024;

/// Calls the API; the answer's JSON, or the site's words when it says no.
pub async fn call(
    current: &Current,
    method: Method,
    path: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> Result<Value, Problem> {
    let (status, answer) = send(current, method, path, token, body).await?;
    if status.is_success() {
        return Ok(answer);
    }
    let said = |key: &str| answer.get(key).and_then(Value::as_str).map(str::to_owned);
    let text = said("error").unwrap_or_else(|| format!("the site answered {status} to {path}"));
    Err(Problem { text, remedy: said("remedy") })
}

/// Gets a resource.
pub async fn get(current: &Current, path: &str) -> Result<Value, Problem> {
    call(current, Method::GET, path, None, None).await
}

async fn send(
    current: &Current,
    method: Method,
    path: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> Result<(StatusCode, Value)> {
    let (reader, writer) = current.handle.open().await?.split();
    writer.message(OpenApi {}).await?;
    let io = TokioIo::new(reader.into_stream(writer).compat());
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(io).await.context("the site does not answer")?;
    let driver = tokio::spawn(connection);
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "site")
        .header("accept", "application/json");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let bytes = match body {
        Some(body) => {
            request = request.header("content-type", "application/json");
            Bytes::from(body.to_string())
        }
        None => Bytes::new(),
    };
    let request = request.body(Full::new(bytes)).context("the request cannot be written")?;
    let answer = sender.send_request(request).await.context("the site did not answer")?;
    let status = answer.status();
    let limited = http_body_util::Limited::new(answer.into_body(), ANSWER_MAX);
    let bytes = limited
        .collect()
        .await
        .map_err(|error| anyhow::anyhow!("the site's answer broke off: {error}"))?
        .to_bytes();
    driver.abort();
    let value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Ok((status, value))
}
