use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query};
use axum::http::{HeaderMap, Method};
use model::SessionId;
use store::Recording;
use ui_site::{Recordings, Tab};

use super::sessions::{Before, ROWS, before, cut};
use super::{Answer, Member, Named};
use crate::web::WebState;
use crate::web::doing::recordings;
use crate::web::facts;
use crate::web::problem::Problem;

pub async fn list(member: Member, query: Result<Query<Before>, QueryRejection>) -> Answer {
    let rows = member.acting().recordings().list(ROWS as u64 + 1, before(query)).await;
    let mut rows = rows.map_err(|e| member.fault(e))?;
    let older = cut(&mut rows, |recording| recording.session);
    let mut shown = Vec::with_capacity(rows.len());
    for recording in &rows {
        shown.push(facts::recording(recording, size(member.state(), recording).await));
    }
    let page = Recordings::new(shown, older, member.state().now());
    Ok(member.page(Tab::Recordings, &page))
}

pub async fn download(
    member: Member,
    id: Named<SessionId>,
    method: Method,
    headers: HeaderMap,
) -> Answer {
    let Ok(Path(id)) = id else {
        return Err(member.fault(Problem::not_found("The recording")));
    };
    let acting = member.acting();
    let sent = recordings::send(member.state(), &acting, id, (&method, &headers));
    sent.await.map_err(|problem| member.fault(problem))
}

/// The size of a recording: of the file as it is now while it is written.
pub async fn size(state: &WebState, recording: &Recording) -> u64 {
    if recording.complete {
        return recording.size;
    }
    let meta = tokio::fs::metadata(state.recordings.join(&recording.path)).await;
    meta.map_or(0, |meta| meta.len())
}
