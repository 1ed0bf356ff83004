//! `POST /v1/enrol`: a code becomes an appliance, once.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use release::offer::{EnrolReply, EnrolRequest};

use super::{App, Call, Refused, json};
use crate::store::EnrolRefused;
use crate::{clock, data};

pub async fn enrol(State(app): State<Arc<App>>, call: Call) -> Result<Response, Refused> {
    let request: EnrolRequest = call.parse()?;
    // Who presents a key must hold it.
    call.demand_signature(&request.public_key)?;
    let hash = data::code_hash(&request.code);
    let now = clock::to_db(clock::now());
    let enrolled = app.store.enrol(&hash, &request.public_key, &request.hostname, now).await?;
    let appliance = enrolled.map_err(|why| refused(&why))?;
    tracing::info!(appliance = %appliance.id, hostname = %appliance.hostname, "Appliance enrolled");
    let (appliance, customer) = (appliance.id, appliance.customer);
    Ok(json(&EnrolReply { appliance, customer, offer_key: app.offer_public }))
}

fn refused(why: &EnrolRefused) -> Refused {
    let at = |millis: i64| clock::from_db(millis);
    let (error, remedy) = match why {
        EnrolRefused::Unknown => (
            "this enrolment code is not known here".to_owned(),
            "Check that the whole enrolment text was pasted, or ask for a new code.",
        ),
        EnrolRefused::Expired(when) => {
            (format!("this enrolment code ended on {}", at(*when)), "Ask for a new code.")
        }
        EnrolRefused::Used(when) => (
            format!("this enrolment code was used on {}, and a code works once", at(*when)),
            "Ask for a new code. If nobody of yours used it, tell the operator of the update server.",
        ),
        EnrolRefused::OtherHostname(name) => (
            format!("this enrolment code is for the site {name}"),
            "Correct the hostname of this appliance, or ask for another code.",
        ),
    };
    Refused::new(StatusCode::FORBIDDEN, "code", error).remedy(remedy)
}
