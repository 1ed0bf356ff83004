use axum::http::{HeaderMap, Method};
use axum::response::Response;
use model::SessionId;
use serde_json::json;
use store::Acting;

use crate::web::file::{self, Sent};
use crate::web::problem::Problem;
use crate::web::{WebState, secrets};

/// Answers with the recording of a session as an asciicast file, and writes down who took it.
///
/// One that is still written is sent up to where it is now.
pub async fn send(
    state: &WebState,
    acting: &Acting,
    id: SessionId,
    (method, headers): (&Method, &HeaderMap),
) -> Result<Response, Problem> {
    let found = acting.recordings().by_session(id).await?;
    let recording = found.ok_or_else(|| Problem::not_found("The recording"))?;
    let etag = recording.chain_head.map(|head| secrets::hex(&head));
    let name = format!("{id}.cast");
    let how = Sent { kind: "application/x-asciicast", etag: etag.as_deref(), save_as: Some(&name) };
    // Below its folder: the store takes no other path.
    let path = state.recordings.join(&recording.path);
    let sent = file::send(&path, method, headers, how).await.map_err(|error| {
        tracing::error!(%error, file = %path.display(), "Recording cannot be read");
        Problem::broken("Reading the recording")
    })?;
    acting.audit().note("recording.read", &id.to_string(), json!({}), state.now()).await?;
    Ok(sent)
}
