use axum::Json;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use model::{Generation, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Actor, AuditEntry};
use uuid::Uuid;

use super::{Answer, ApiMember};
use crate::web::problem::Problem;

/// Entries unless asked otherwise.
const ROWS: u64 = 100;
/// Entries at most.
const ROWS_MOST: u64 = 1000;

/// Which part of the log is asked for.
#[derive(Deserialize)]
pub struct Part {
    before: Option<Uuid>,
    limit: Option<u64>,
}

/// A line of the log.
#[derive(Serialize)]
pub struct View {
    id: Uuid,
    at: Timestamp,
    /// `site`, `unknown`, or the name of the person or Jump Client.
    actor: String,
    action: String,
    subject: String,
    detail: Value,
    peer: Option<String>,
    generation: Generation,
}

impl From<AuditEntry> for View {
    fn from(entry: AuditEntry) -> Self {
        Self {
            id: entry.id,
            at: entry.at,
            actor: match entry.actor {
                Actor::Site => "site".to_owned(),
                Actor::Unknown => "unknown".to_owned(),
                Actor::Operator(name) | Actor::Agent(name) => name,
            },
            action: entry.action,
            subject: entry.subject,
            detail: entry.detail,
            peer: entry.peer,
            generation: entry.generation,
        }
    }
}

/// `GET /audit?before=ID&limit=N`: newest first.
pub async fn list(
    member: ApiMember,
    query: Result<Query<Part>, QueryRejection>,
) -> Answer<Vec<View>> {
    let Query(part) =
        query.map_err(|bad| Problem::bad_request("The log cannot be cut so", bad.body_text()))?;
    let rows = part.limit.unwrap_or(ROWS).clamp(1, ROWS_MOST);
    let entries = member.acting().audit().list(rows, part.before).await?;
    Ok(Json(entries.into_iter().map(View::from).collect()))
}
