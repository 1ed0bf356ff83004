use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query};
use model::SessionId;
use serde::Deserialize;
use ui_kit::CsrfInput;
use ui_kit::url::site as url;
use ui_site::{Session, Sessions, Tab, end_session};

use super::{Answer, Fault, Member, Named, Posted, done, recordings};
use crate::web::doing::sessions;
use crate::web::facts;
use crate::web::problem::Problem;

/// Rows of one page of a list.
pub const ROWS: usize = 50;

/// Where a page of a list begins.
#[derive(Debug, Deserialize)]
pub struct Before {
    /// The last one of the page before.
    pub before: Option<SessionId>,
}

/// The place where a page begins; an address that nobody understands begins at the newest.
pub fn before(query: Result<Query<Before>, QueryRejection>) -> Option<SessionId> {
    query.ok().and_then(|Query(query)| query.before)
}

/// Cuts a list that was asked for one row too many; answers the last row when there are more.
pub fn cut<T>(rows: &mut Vec<T>, id: impl Fn(&T) -> SessionId) -> Option<SessionId> {
    if rows.len() <= ROWS {
        return None;
    }
    rows.truncate(ROWS);
    rows.last().map(id)
}

pub async fn list(member: Member, query: Result<Query<Before>, QueryRejection>) -> Answer {
    let before = before(query);
    let sessions = member.acting().sessions();
    let past = sessions.list_past(ROWS as u64 + 1, before).await;
    let mut past = past.map_err(|e| member.fault(e))?;
    let older = cut(&mut past, |session| session.id);
    let past = past.iter().map(facts::session).collect();
    let now = member.state().now();
    let page = if before.is_some() {
        Sessions::older(past, older, now)
    } else {
        let live = sessions.list_live().await.map_err(|e| member.fault(e))?;
        Sessions::new(live.iter().map(facts::session).collect(), past, older, now)
    };
    Ok(member.page(Tab::Sessions, &page))
}

pub async fn one(member: Member, id: Named<SessionId>) -> Answer {
    let session = find(&member, id).await?;
    let (acting, id) = (member.acting(), session.id);
    let legs = acting.sessions().legs(id).await.map_err(|e| member.fault(e))?;
    let recording = acting.recordings().by_session(id).await.map_err(|e| member.fault(e))?;
    let recording = match recording {
        Some(recording) => {
            let size = recordings::size(member.state(), &recording).await;
            Some(facts::recording(&recording, size))
        }
        None => None,
    };
    let legs = legs.into_iter().map(facts::leg).collect();
    let page = Session::new(facts::session(&session), recording, legs, member.state().now());
    Ok(member.page(Tab::Sessions, &page))
}

pub async fn ask_end(member: Member, id: Named<SessionId>) -> Answer {
    let session = find(&member, id).await?;
    Ok(member.page(Tab::Sessions, &end_session(&facts::session(&session), member.csrf())))
}

pub async fn end(id: Named<SessionId>, Posted(member, _): Posted<CsrfInput>) -> Answer {
    let session = find(&member, id).await?;
    let (state, by) = (member.state(), &member.operator().name);
    let ended = sessions::end(state, &member.acting(), &session, by).await;
    ended.map_err(|problem| {
        let back = url::Session(session.id).to_string();
        member.fault(problem.link(back, "Back to the session"))
    })?;
    Ok(done(url::Session(session.id), "The session is being ended."))
}

/// The session that an address names, if this person may see it.
async fn find(member: &Member, id: Named<SessionId>) -> Result<store::Session, Fault> {
    let missing = || member.fault(Problem::not_found("The session"));
    let Ok(Path(id)) = id else { return Err(missing()) };
    let found = member.acting().sessions().by_id(id).await.map_err(|e| member.fault(e))?;
    found.ok_or_else(missing)
}
