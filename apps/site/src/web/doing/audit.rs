//! The audit log, searched and as a file.

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use model::{SessionOutcome, Timestamp};
use serde_json::{Value, json};
use store::{Acting, Actor, AuditEntry, AuditFilter};

use crate::web::problem::Problem;

/// Lines that are read at once for a file.
const PART: u64 = 1000;

/// As what the log is written into a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values with a heading, as spreadsheets read them.
    Csv,
    /// A JSON document on each line.
    Json,
}

impl Format {
    /// The format of that name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "csv" => Some(Self::Csv),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// Who did it, as people know them; empty for the site and for strangers.
pub fn actor(actor: &Actor) -> &str {
    match actor {
        Actor::Site | Actor::Unknown => "",
        Actor::Operator(name) | Actor::Agent(name) => name,
    }
}

/// What kind of somebody it was.
fn actor_kind(actor: &Actor) -> &'static str {
    match actor {
        Actor::Site => "site",
        Actor::Unknown => "unknown",
        Actor::Operator(_) => "operator",
        Actor::Agent(_) => "agent",
    }
}

/// The details as words: `endpoint web-1, kind shell`.
pub fn words(detail: &Value) -> String {
    let Value::Object(fields) = detail else { return String::new() };
    let fields = fields.iter().filter_map(|(name, value)| Some((name, word(name, value)?)));
    let words: Vec<_> =
        fields.map(|(name, value)| format!("{} {value}", name.replace('_', " "))).collect();
    words.join(", ")
}

/// What a field of the details holds, for people; none when it holds nothing.
fn word(name: &str, value: &Value) -> Option<String> {
    match (name, value) {
        (_, Value::Null) => None,
        ("outcome", outcome) => Some(outcome_word(outcome)),
        ("expires", Value::Number(at)) => Some(Timestamp(at.as_u64()?).to_string()),
        (_, Value::String(text)) => Some(text.clone()),
        (_, Value::Bool(true)) => Some("yes".to_owned()),
        (_, Value::Bool(false)) => Some("no".to_owned()),
        (_, other) => Some(other.to_string()),
    }
}

fn outcome_word(outcome: &Value) -> String {
    match serde_json::from_value(outcome.clone()) {
        Ok(SessionOutcome::Exited(status)) => format!("exited with {status}"),
        Ok(SessionOutcome::Signalled(signal)) => format!("ended by signal {signal}"),
        Ok(SessionOutcome::Closed) => "closed".to_owned(),
        Ok(SessionOutcome::Failed(reason)) => format!("failed: {reason}"),
        // A later version’s.
        Err(_) => outcome.to_string(),
    }
}

/// Everything that fits, newest first, as a file that is made while it is sent.
///
/// # Errors
///
/// When the caller may not see the log, or its first part cannot be read.
pub async fn file(
    acting: Acting,
    wanted: AuditFilter,
    format: Format,
) -> Result<Response, Problem> {
    let first = acting.audit().list(&wanted, PART, None).await?;
    let head = match format {
        Format::Csv => HEADING.to_owned(),
        Format::Json => String::new(),
    };
    let begin = Reading { acting, wanted, format, head, next: Next::Part(first) };
    let body = Body::from_stream(futures_util::stream::try_unfold(begin, Reading::part));
    let (kind, name) = match format {
        Format::Csv => ("text/csv; charset=utf-8", "attachment; filename=\"audit.csv\""),
        Format::Json => ("application/x-ndjson", "attachment; filename=\"audit.ndjson\""),
    };
    let mut response = body.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(name));
    Ok(response)
}

const HEADING: &str = "at,actor_kind,actor,action,subject,detail,peer,generation,id\r\n";

struct Reading {
    acting: Acting,
    wanted: AuditFilter,
    format: Format,
    /// What stands before the next part.
    head: String,
    next: Next,
}

enum Next {
    /// It was read already.
    Part(Vec<AuditEntry>),
    /// It comes after this one.
    After(uuid::Uuid),
    /// There is none.
    Nothing,
}

impl Reading {
    async fn part(mut self) -> Result<Option<(Bytes, Self)>, store::Error> {
        let entries = match std::mem::replace(&mut self.next, Next::Nothing) {
            Next::Part(entries) => entries,
            Next::After(id) => self.acting.audit().list(&self.wanted, PART, Some(id)).await?,
            Next::Nothing => return Ok(None),
        };
        let mut text = std::mem::take(&mut self.head);
        for entry in &entries {
            text += &line(entry, self.format);
        }
        if let Some(last) = entries.last() {
            self.next = Next::After(last.id);
        }
        if text.is_empty() {
            return Ok(None);
        }
        Ok(Some((Bytes::from(text), self)))
    }
}

fn line(entry: &AuditEntry, format: Format) -> String {
    let (kind, actor) = (actor_kind(&entry.actor), actor(&entry.actor));
    match format {
        Format::Json => {
            let line = json!({
                "at": entry.at, "time": entry.at.to_string(), "actor_kind": kind, "actor": actor,
                "action": entry.action, "subject": entry.subject, "detail": entry.detail,
                "peer": entry.peer, "generation": entry.generation, "id": entry.id,
            });
            format!("{line}\n")
        }
        Format::Csv => {
            let cells = [
                &entry.at.to_string(),
                kind,
                actor,
                &entry.action,
                &entry.subject,
                &words(&entry.detail),
                entry.peer.as_deref().unwrap_or_default(),
                &entry.generation.to_string(),
                &entry.id.to_string(),
            ];
            format!("{}\r\n", cells.map(cell).join(","))
        }
    }
}

/// A cell, in quotes where it needs them.
///
/// What a spreadsheet would take for a formula gets an apostrophe: names come from endpoints.
fn cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_quoted_and_no_formula() {
        assert_eq!(cell("web-1"), "web-1");
        assert_eq!(cell("a,\"b\"\n"), "\"a,\"\"b\"\"\n\"");
        assert_eq!(cell("=HYPERLINK(1)"), "'=HYPERLINK(1)");
        assert_eq!(cell("@x,y"), "\"'@x,y\"");
    }

    #[test]
    fn details_are_words() {
        let detail = json!({ "bytes_out": 12, "endpoint": "web-1", "peer": null });
        assert_eq!(words(&detail), "bytes out 12, endpoint web-1");
        assert_eq!(words(&json!("odd")), "");
        let detail = json!({ "expires": 1_795_315_055_000_u64, "must_change": false });
        assert_eq!(words(&detail), "expires 2026-11-22T02:37:35Z, must change no");
    }

    #[test]
    fn how_a_session_ended_is_said_and_not_quoted() {
        for (outcome, said) in [
            (json!({ "exited": 0 }), "outcome exited with 0"),
            (json!({ "signalled": 1 }), "outcome ended by signal 1"),
            (json!("closed"), "outcome closed"),
            (json!({ "failed": "no such user" }), "outcome failed: no such user"),
            (json!({ "teleported": 3 }), "outcome {\"teleported\":3}"),
        ] {
            assert_eq!(words(&json!({ "outcome": outcome })), said);
        }
    }
}
