use axum::http::StatusCode;
use model::SessionState;
use serde_json::json;
use store::{Acting, Session};

use crate::web::WebState;
use crate::web::problem::Problem;

/// Ends a session for the person named, on whose behalf `acting` is, and writes down who did.
///
/// # Errors
///
/// When it is over already, or no generation relays it at this moment.
pub async fn end(
    state: &WebState,
    acting: &Acting,
    session: &Session,
    by: &str,
) -> Result<(), Problem> {
    let thing = "The session was not ended";
    if session.state == SessionState::Ended {
        let (reason, way_out) = ("It is over already.", "Nothing is left to do.");
        return Err(Problem::new(StatusCode::CONFLICT, thing, reason, way_out));
    }
    if !state.hub.end_session(session.id, by.to_owned()).await {
        let reason = "It has no connection to this generation of the site at this moment.";
        return Err(Problem::busy(thing, reason));
    }
    let detail = json!({ "endpoint": session.agent_name, "of": session.operator_name });
    let subject = session.id.to_string();
    acting.audit().note("session.terminated", &subject, detail, state.now()).await?;
    Ok(())
}
