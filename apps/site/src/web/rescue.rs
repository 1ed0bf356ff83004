//! The frozen rescue channel: how any version ever shipped learns about its update and fetches it.
//!
//! Plain `GET` with `Range` and without authentication. What it serves is trusted through TUF alone.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use release::Manifest;
use serde_json::{Value, json};

use crate::web::WebState;
use crate::web::file::{self, Sent};
use crate::web::problem::Problem;

/// The longest file name that is looked at.
const NAME_MAX: usize = 200;

pub fn routes() -> Router<WebState> {
    Router::new()
        .route("/site", get(site))
        .route("/metadata/{file}", get(metadata))
        .route("/targets/{*path}", get(target))
}

/// The clients that the package brings.
pub struct Clients {
    /// By `<sha256>.<file name>`.
    by_target: HashMap<String, Client>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The TUF target, such as `agent/agent-1.1.0-r2-x86_64-linux`.
    pub target: String,
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of its content, as hexadecimal digits.
    pub sha256: String,
    /// Its file name.
    pub name: String,
}

impl Clients {
    /// What the manifest of the package at `package` lists below `clients/`.
    pub fn of_package(package: &Path) -> anyhow::Result<Self> {
        let path = package.join("manifest.json");
        let text =
            std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let manifest = Manifest::parse(&text)
            .with_context(|| format!("{} is not a manifest", path.display()))?;
        let clients = manifest.files.iter().filter_map(|file| {
            let name = file.path.strip_prefix("clients/")?;
            let (kind, _) = name.split_once('-')?;
            let sha256 = file.sha256.to_string();
            let client = Client {
                target: format!("{kind}/{name}"),
                path: package.join(&file.path),
                name: name.to_owned(),
                sha256: sha256.clone(),
            };
            Some((format!("{sha256}.{name}"), client))
        });
        Ok(Self { by_target: clients.collect() })
    }

    /// The agents, by name.
    pub fn agents(&self) -> Vec<&Client> {
        let mut agents: Vec<_> =
            self.by_target.values().filter(|client| client.target.starts_with("agent/")).collect();
        agents.sort_by(|a, b| a.name.cmp(&b.name));
        agents
    }
}

/// `GET /rescue/v1/site`: a hint about what there is.
///
/// `agent` is the one for the machine that the oldest agents ran on, `agents` has them all.
async fn site(State(state): State<WebState>) -> Json<Value> {
    let agents = state.clients().agents();
    let entry = |client: &&Client| {
        json!({
            "target": client.target,
            "sha256": client.sha256,
            "version": state.release.version,
            "revision": state.release.revision,
        })
    };
    let usual = agents.iter().find(|client| client.name.ends_with("x86_64-linux"));
    Json(json!({
        "identity": state.identity,
        "version": state.release.version,
        "revision": state.release.revision,
        "agent": usual.or(agents.first()).map(entry),
        "agents": agents.iter().map(entry).collect::<Vec<_>>(),
    }))
}

/// `GET /rescue/v1/metadata/<file>`: TUF metadata, byte for byte.
async fn metadata(
    State(state): State<WebState>,
    UrlPath(name): UrlPath<String>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    if !is_metadata(&name) {
        return missing(&name);
    }
    let how = Sent { kind: "application/json", etag: None, save_as: None };
    serve(&state.mirror.join(&name), &name, &method, &headers, how).await
}

/// `GET /rescue/v1/targets/<sha256>.<name>`, also with the folder of the target before it.
async fn target(
    State(state): State<WebState>,
    UrlPath(path): UrlPath<String>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
    let client = state.clients().by_target.get(name);
    // What is not in the manifest is not there, whatever the path says.
    let Some(client) = client
        .filter(|client| folder.is_empty() || client.target.split('/').next() == Some(folder))
    else {
        return missing(&path);
    };
    let how = Sent {
        kind: "application/octet-stream",
        etag: Some(&client.sha256),
        save_as: Some(&client.name),
    };
    let mut response = serve(&client.path, &path, &method, &headers, how).await;
    if response.status().is_success() {
        let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
        response.headers_mut().insert(header::CACHE_CONTROL, forever);
    }
    response
}

async fn serve(
    path: &Path,
    name: &str,
    method: &Method,
    headers: &HeaderMap,
    how: Sent<'_>,
) -> Response {
    match file::send(path, method, headers, how).await {
        Ok(response) => response,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => missing(name),
        Err(error) => {
            tracing::error!(%error, file = %path.display(), "File cannot be served");
            Problem::broken(format!("Reading {name}")).json()
        }
    }
}

fn missing(name: &str) -> Response {
    let name: String = name.chars().take(NAME_MAX).collect();
    let reason = "This site passes on TUF metadata and the clients of its own version.";
    let thing = format!("{name} was not found");
    let status = StatusCode::NOT_FOUND;
    Problem::new(status, thing, reason, "Look at /rescue/v1/site.").json().into_response()
}

/// A plain file name that ends in `.json`: no path, no hidden file.
fn is_metadata(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    name.len() <= NAME_MAX
        && name.strip_suffix(".json").is_some_and(|stem| !stem.is_empty())
        && !name.starts_with('.')
        && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_metadata() {
        for good in ["timestamp.json", "12.root.json", "3.agent.json"] {
            assert!(is_metadata(good), "{good}");
        }
        for bad in [
            "",
            ".json",
            "../accounts.json",
            "..%2Faccounts.json",
            "a/b.json",
            "a\\b.json",
            "root.pem",
            "root.json\0",
            ".hidden.json",
            &"x".repeat(300),
        ] {
            assert!(!is_metadata(bad), "{bad}");
        }
    }
}
