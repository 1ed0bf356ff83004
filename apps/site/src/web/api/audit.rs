use axum::Json;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::response::Response;
use model::{Generation, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Actor, AuditEntry, AuditFilter};
use uuid::Uuid;

use super::{Answer, ApiMember};
use crate::web::doing::audit::{self, Format};
use crate::web::problem::{ApiProblem, Problem};

/// Entries unless asked otherwise.
const ROWS: u64 = 100;
/// Entries at most.
const ROWS_MOST: u64 = 1000;

/// Which part of the log is asked for.
#[derive(Deserialize)]
pub struct Part {
    #[serde(default)]
    actor: String,
    #[serde(default)]
    about: String,
    #[serde(default)]
    action: String,
    from: Option<u64>,
    until: Option<u64>,
    before: Option<Uuid>,
    limit: Option<u64>,
    #[serde(default)]
    format: String,
}

impl Part {
    fn filter(self) -> AuditFilter {
        AuditFilter {
            actor: self.actor,
            about: self.about,
            action: self.action,
            from: self.from.map(Timestamp),
            until: self.until.map(Timestamp),
        }
    }
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

/// `GET /audit?actor=&about=&action=&from=&until=&before=ID&limit=N`: newest first.
pub async fn list(
    member: ApiMember,
    query: Result<Query<Part>, QueryRejection>,
) -> Answer<Vec<View>> {
    let part = part(query)?;
    let (rows, before) = (part.limit.unwrap_or(ROWS).clamp(1, ROWS_MOST), part.before);
    let entries = member.acting().audit().list(&part.filter(), rows, before).await?;
    Ok(Json(entries.into_iter().map(View::from).collect()))
}

/// `GET /audit/file?format=csv&…`: everything that fits, as a file.
pub async fn file(
    member: ApiMember,
    query: Result<Query<Part>, QueryRejection>,
) -> Result<Response, ApiProblem> {
    let part = part(query)?;
    let Some(format) = Format::named(&part.format) else {
        let reason = format!("The format “{}” is neither csv nor json.", part.format);
        return Err(Problem::bad_request("The log is not written so", reason).into());
    };
    Ok(audit::file(member.acting(), part.filter(), format).await?)
}

fn part(query: Result<Query<Part>, QueryRejection>) -> Result<Part, Problem> {
    query
        .map(|Query(part)| part)
        .map_err(|bad| Problem::bad_request("The log cannot be cut so", bad.body_text()))
}
