use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query};
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use model::{SessionId, Timestamp};
use serde::Serialize;
use store::Recording;

use super::sessions::{Part, older, part};
use super::{Answer, ApiMember, Named};
use crate::web::doing::recordings;
use crate::web::problem::{ApiProblem, Problem};
use crate::web::secrets;

/// A recording.
#[derive(Serialize)]
pub struct View {
    session: SessionId,
    operator: String,
    endpoint: String,
    /// Bytes, known when it is complete.
    size: u64,
    complete: bool,
    /// Head of its BLAKE3 chain as hexadecimal digits, known when it is complete.
    chain_head: Option<String>,
    started: Timestamp,
    finished: Option<Timestamp>,
}

impl From<Recording> for View {
    fn from(recording: Recording) -> Self {
        Self {
            session: recording.session,
            operator: recording.operator_name,
            endpoint: recording.agent_name,
            size: recording.size,
            complete: recording.complete,
            chain_head: recording.chain_head.map(|head| secrets::hex(&head)),
            started: recording.started,
            finished: recording.finished,
        }
    }
}

/// The recordings, newest first.
#[derive(Serialize)]
pub struct List {
    recordings: Vec<View>,
    /// To be given as `before` for what comes after; null when nothing does.
    older: Option<SessionId>,
}

/// `GET /recordings?before=ID&limit=N`
pub async fn list(member: ApiMember, query: Result<Query<Part>, QueryRejection>) -> Answer<List> {
    let part = part(query)?;
    let mut rows = member.acting().recordings().list(part.rows() + 1, part.before).await?;
    let older = older(&mut rows, part.rows(), |recording| recording.session);
    Ok(Json(List { recordings: rows.into_iter().map(View::from).collect(), older }))
}

/// `GET /recordings/{session}`: the asciicast file, also in part.
pub async fn download(
    member: ApiMember,
    id: Named<SessionId>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiProblem> {
    let Path(id) = id.map_err(|_| Problem::not_found("The recording"))?;
    let acting = member.acting();
    let sent = recordings::send(&member.state, &acting, id, (&method, &headers));
    Ok(sent.await?)
}
