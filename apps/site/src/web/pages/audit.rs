use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use store::AuditFilter;
use ui_site::{Audit, AuditFault, AuditInput, Tab};

use super::{Answer, Member};
use crate::web::doing::audit::{self, Format};
use crate::web::facts;
use crate::web::problem::Problem;

/// Lines of one page.
const ROWS: usize = 100;

pub async fn list(member: Member, query: Result<Query<AuditInput>, QueryRejection>) -> Answer {
    let asked = query.map(|Query(asked)| asked).unwrap_or_default();
    let wanted = match filter(&asked) {
        Ok(wanted) => wanted,
        Err(fault) => {
            let page = Audit::wrong(&asked, fault);
            let shown = member.page(Tab::Audit, &page);
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, shown).into_response());
        }
    };
    // An address that nobody understands begins at the newest.
    let before = asked.before.parse().ok();
    let lines = member.acting().audit().list(&wanted, ROWS as u64 + 1, before).await;
    let mut lines = lines.map_err(|e| member.fault(e))?;
    let more = lines.len() > ROWS;
    lines.truncate(ROWS);
    let older = lines.last().filter(|_| more).map(|last| last.id.to_string());
    let lines = lines.into_iter().map(facts::audit).collect();
    Ok(member.page(Tab::Audit, &Audit::new(&asked, lines, older)))
}

#[derive(Deserialize)]
pub struct Wanted {
    #[serde(flatten)]
    asked: AuditInput,
    #[serde(default)]
    format: String,
}

pub async fn file(member: Member, query: Result<Query<Wanted>, QueryRejection>) -> Answer {
    let bad = |reason: String| member.fault(Problem::bad_request("There is no such file", reason));
    let Query(Wanted { asked, format }) = query.map_err(|e| bad(e.body_text()))?;
    let Some(format) = Format::named(&format) else {
        return Err(bad(format!("“{format}” is neither csv nor json.")));
    };
    let wanted = filter(&asked).map_err(|_| bad("A day is written as 2026-11-21.".to_owned()))?;
    audit::file(member.acting(), wanted, format).await.map_err(|problem| member.fault(problem))
}

fn filter(asked: &AuditInput) -> Result<AuditFilter, AuditFault> {
    let (from, until) = asked.days()?;
    Ok(AuditFilter {
        actor: asked.actor.clone(),
        about: asked.about.clone(),
        action: asked.action.clone(),
        from,
        until,
    })
}
