//! `POST /v1/report`: how an install goes; sending it again changes nothing.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use release::offer::{ReportReply, ReportRequest};

use super::{App, Call, Refused, json};
use crate::clock;

/// Bytes of a state's name.
const STATE_MAX: usize = 64;
/// Bytes of a report's text.
const TEXT_MAX: usize = 4096;

pub async fn report(State(app): State<Arc<App>>, call: Call) -> Result<Response, Refused> {
    let request: ReportRequest = call.parse()?;
    call.demand_appliance(&app, request.appliance).await?;
    if request.state.len() > STATE_MAX || request.text.len() > TEXT_MAX {
        let error = format!("a state has at most {STATE_MAX} bytes and a text {TEXT_MAX}");
        return Err(Refused::new(StatusCode::BAD_REQUEST, "request", error));
    }
    let recorded = app.store.report_add(&request, clock::to_db(clock::now())).await?;
    Ok(json(&ReportReply { recorded }))
}
