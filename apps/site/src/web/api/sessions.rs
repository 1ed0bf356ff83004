use axum::Json;
use axum::extract::Path;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use model::{
    AgentId, ConsoleId, Generation, SessionId, SessionKind, SessionOutcome, SessionState, Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{Leg, LegRow, Session};

use super::{Answer, ApiMember, Named};
use crate::web::doing::sessions;
use crate::web::problem::Problem;

/// Rows of a list unless asked otherwise.
const ROWS: u64 = 50;
/// Rows of a list at most.
const ROWS_MOST: u64 = 500;

/// A session.
#[derive(Serialize)]
pub struct View {
    id: SessionId,
    operator: String,
    agent: AgentId,
    endpoint: String,
    console: Option<ConsoleId>,
    kind: SessionKind,
    command: Option<String>,
    state: SessionState,
    started: Timestamp,
    ended: Option<Timestamp>,
    outcome: Option<SessionOutcome>,
    bytes_out: u64,
    bytes_in: u64,
    recorded: bool,
    generation: Generation,
    resume_count: Option<u64>,
    stall_ms_max: Option<u64>,
}

impl From<Session> for View {
    fn from(session: Session) -> Self {
        let stall = |stalls: store::Stalls| millis(stalls.stall_max);
        Self {
            id: session.id,
            operator: session.operator_name,
            agent: session.agent,
            endpoint: session.agent_name,
            console: session.console,
            kind: session.kind,
            command: session.command,
            state: session.state,
            started: session.started,
            ended: session.ended,
            outcome: session.outcome,
            bytes_out: session.bytes_out,
            bytes_in: session.bytes_in,
            recorded: session.recorded,
            generation: session.generation,
            resume_count: session.stalls.map(|stalls| stalls.resume_count),
            stall_ms_max: session.stalls.map(stall),
        }
    }
}

fn millis(while_: std::time::Duration) -> u64 {
    u64::try_from(while_.as_millis()).unwrap_or(u64::MAX)
}

/// Which part of a list is asked for.
#[derive(Debug, Deserialize)]
pub struct Part {
    /// The last one of the part before.
    pub before: Option<SessionId>,
    /// How many rows.
    pub limit: Option<u64>,
}

impl Part {
    /// How many rows are meant.
    pub fn rows(&self) -> u64 {
        self.limit.unwrap_or(ROWS).clamp(1, ROWS_MOST)
    }
}

/// The part of a list that a request asks for.
pub fn part(query: Result<Query<Part>, QueryRejection>) -> Result<Part, Problem> {
    query
        .map(|Query(part)| part)
        .map_err(|bad| Problem::bad_request("The list cannot be cut so", bad.body_text()))
}

/// Which sessions are asked for.
#[derive(Debug, Deserialize)]
pub struct Wanted {
    before: Option<SessionId>,
    past: Option<u64>,
}

/// Sessions: the live ones, oldest first, then the past ones, newest first.
#[derive(Serialize)]
pub struct List {
    sessions: Vec<View>,
    /// To be given as `before` for the past ones that come after; null when none do.
    older: Option<SessionId>,
}

/// `GET /sessions?past=N&before=ID`: at most `past` past ones; with `before` no live ones.
pub async fn list(member: ApiMember, query: Result<Query<Wanted>, QueryRejection>) -> Answer<List> {
    let Query(wanted) =
        query.map_err(|bad| Problem::bad_request("The list cannot be cut so", bad.body_text()))?;
    let rows = wanted.past.unwrap_or(ROWS).min(ROWS_MOST);
    let sessions = member.acting().sessions();
    let mut list = match wanted.before {
        None => sessions.list_live().await?,
        Some(_) => Vec::new(),
    };
    let mut past = sessions.list_past(rows + 1, wanted.before).await?;
    let older = if rows == 0 {
        past.clear();
        None
    } else {
        older(&mut past, rows, |session| session.id)
    };
    list.append(&mut past);
    Ok(Json(List { sessions: list.into_iter().map(View::from).collect(), older }))
}

/// Cuts a list that was asked for one row too many; answers the last row when there are more.
pub fn older<T>(list: &mut Vec<T>, rows: u64, id: impl Fn(&T) -> SessionId) -> Option<SessionId> {
    let rows = usize::try_from(rows).unwrap_or(usize::MAX);
    if list.len() <= rows {
        return None;
    }
    list.truncate(rows);
    list.last().map(id)
}

/// One attachment of a leg.
#[derive(Serialize)]
struct LegView {
    leg: Leg,
    generation: Generation,
    attached: Timestamp,
    detached: Option<Timestamp>,
    resumed_from: Option<u64>,
    stall_ms: u64,
    peer: Option<String>,
}

impl From<LegRow> for LegView {
    fn from(row: LegRow) -> Self {
        Self {
            leg: row.leg,
            generation: row.generation,
            attached: row.attached,
            detached: row.detached,
            resumed_from: row.resumed_from,
            stall_ms: millis(row.stall),
            peer: row.peer,
        }
    }
}

/// A session with its legs.
#[derive(Serialize)]
pub struct Whole {
    #[serde(flatten)]
    session: View,
    legs: Vec<LegView>,
}

/// `GET /sessions/{id}`
pub async fn one(member: ApiMember, id: Named<SessionId>) -> Answer<Whole> {
    let Path(id) = id.map_err(|_| missing())?;
    let acting = member.acting().sessions();
    let session = acting.by_id(id).await?.ok_or_else(missing)?;
    let legs = acting.legs(id).await?.into_iter().map(LegView::from).collect();
    Ok(Json(Whole { session: session.into(), legs }))
}

/// `POST /sessions/{id}/end`: one's own, or as an administrator any.
pub async fn end(member: ApiMember, id: Named<SessionId>) -> Answer<Value> {
    let Path(id) = id.map_err(|_| missing())?;
    let acting = member.acting();
    let session = acting.sessions().by_id(id).await?.ok_or_else(missing)?;
    sessions::end(&member.state, &acting, &session, &member.operator.name).await?;
    Ok(Json(json!({})))
}

fn missing() -> Problem {
    Problem::not_found("The session")
}
