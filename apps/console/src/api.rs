//! The HTTP API, called on streams of the link.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use ::session::OpenApi;
use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use link::Current;
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::admin;
use crate::exit::Problem;

/// An answer that is larger is not read: no list is.
const ANSWER_MAX: usize = 64 * 1024 * 1024;

/// An answer that takes longer does not come: what the site waits for by itself takes a third of it.
const ANSWER_WITHIN: Duration = Duration::from_mins(1);

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
    Err(refusal(status, path, &answer))
}

/// Gets a resource.
pub async fn get(current: &Current, path: &str) -> Result<Value, Problem> {
    call(current, Method::GET, path, None, None).await
}

/// Gets a resource into a file, however large; answers its size.
///
/// The file is there when all of it came, and not before.
pub async fn save(current: &Current, path: &str, file: &Path) -> Result<u64, Problem> {
    let (answer, driver) = request(current, Method::GET, path, None, None).await?;
    if !answer.status().is_success() {
        let (status, answer) = whole(answer).await?;
        driver.abort();
        return Err(refusal(status, path, &answer));
    }
    let (partial, mut to) = admin::partial(file)?;
    let mut body = answer.into_body();
    let mut size = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| anyhow!("the site's answer broke off: {error}"))?;
        if let Ok(bytes) = frame.into_data() {
            size += bytes.len() as u64;
            let written = to.write_all(&bytes);
            written.with_context(|| format!("cannot write {}", partial.display()))?;
        }
    }
    driver.abort();
    std::fs::rename(&partial, file).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(size)
}

fn refusal(status: StatusCode, path: &str, answer: &Value) -> Problem {
    let said = |key: &str| answer.get(key).and_then(Value::as_str).map(str::to_owned);
    let text = said("error").unwrap_or_else(|| format!("the site answered {status} to {path}"));
    Problem { text, remedy: said("remedy") }
}

async fn send(
    current: &Current,
    method: Method,
    path: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> Result<(StatusCode, Value)> {
    let exchange = async {
        let (answer, driver) = request(current, method, path, token, body).await?;
        let answer = whole(answer).await?;
        driver.abort();
        Ok(answer)
    };
    let late =
        || anyhow!("the site did not answer within {} s; try again", ANSWER_WITHIN.as_secs());
    tokio::time::timeout(ANSWER_WITHIN, exchange).await.unwrap_or_else(|_| Err(late()))
}

async fn whole(answer: Response<Incoming>) -> Result<(StatusCode, Value)> {
    let status = answer.status();
    let limited = http_body_util::Limited::new(answer.into_body(), ANSWER_MAX);
    let bytes = limited
        .collect()
        .await
        .map_err(|error| anyhow!("the site's answer broke off: {error}"))?
        .to_bytes();
    Ok((status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
}

/// Sends a request on a stream of its own; the task moves that stream's bytes.
async fn request(
    current: &Current,
    method: Method,
    path: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> Result<(Response<Incoming>, JoinHandle<hyper::Result<()>>)> {
    let (reader, writer) = current.handle.open()?.split();
    writer.message(OpenApi {}).await?;
    let io = TokioIo::new(reader.into_stream(writer));
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(io).await.context("the site does not answer")?;
    let driver = tokio::spawn(connection);
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        // The site names itself so in what it answers, such as a command to enrol.
        .header("host", &*current.address)
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
    Ok((answer, driver))
}
