use axum::http::StatusCode;
use model::SessionState;
use store::Session;

use crate::web::WebState;
use crate::web::problem::Problem;

/// Ends a session for the person named.
///
/// # Errors
///
/// When it is over already, or no generation relays it at this moment.
pub async fn end(state: &WebState, session: &Session, by: &str) -> Result<(), Problem> {
    let thing = "The session was not ended";
    if session.state == SessionState::Ended {
        let (reason, way_out) = ("It is over already.", "Nothing is left to do.");
        return Err(Problem::new(StatusCode::CONFLICT, thing, reason, way_out));
    }
    if !state.hub.end_session(session.id, by.to_owned()).await {
        let reason = "It has no connection to this generation of the site at this moment.";
        return Err(Problem::busy(thing, reason));
    }
    Ok(())
}
