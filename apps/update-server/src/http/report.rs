//! `POST /v1/report`: how an install goes; sending it again changes nothing.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use release::offer::{ReportReply, ReportRequest};

use super::{App, Call, Refused, json};
use crate::clock;

/// Bytes of a state's name.
const STATE_MAX: usize = 64;
/// Bytes of a report's text.
const TEXT_MAX: usize = 4096;

pub async fn report(State(app): State<Arc<App>>, call: Call) -> Result<Response, Refused> {
    let mut request: ReportRequest = call.parse()?;
    call.demand_appliance(&app, request.appliance).await?;
    // Refused, an appliance would send it for ever; cut, its operator still reads the beginning.
    cut(&mut request.state, STATE_MAX);
    cut(&mut request.text, TEXT_MAX);
    let recorded = app.store.report_add(&request, clock::to_db(clock::now())).await?;
    Ok(json(&ReportReply { recorded }))
}

/// Keeps so many bytes at most, whole characters only.
fn cut(text: &mut String, max: usize) {
    text.truncate(text.floor_char_boundary(max));
}
