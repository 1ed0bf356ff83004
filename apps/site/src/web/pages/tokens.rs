use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use store::{ApiToken, EnrolmentToken};
use ui_kit::url::site as url;
use ui_kit::{CsrfInput, Moment};
use ui_site::{
    ApiTokenAdd, ApiTokenFault, ApiTokenInput, ApiTokenMade, ApiTokens, EnrolmentTokens, Tab,
    revoke_api_token, withdraw_enrolment_token,
};
use uuid::Uuid;

use super::{Answer, Fault, Member, Named, Posted, done};
use crate::web::doing::tokens;
use crate::web::facts;
use crate::web::problem::Problem;

const ENROL: &str = "add Jump Clients";

pub async fn list(member: Member) -> Answer {
    let now = member.state().now();
    let tokens = member.acting().api_tokens().list(now).await.map_err(|e| member.fault(e))?;
    let page = ApiTokens::new(tokens.into_iter().map(facts::api_token).collect());
    Ok(member.page(Tab::Tokens, &page))
}

pub async fn form(member: Member) -> Response {
    member.page(Tab::Tokens, &ApiTokenAdd::new(member.csrf()))
}

pub async fn make(Posted(member, input): Posted<ApiTokenInput>) -> Answer {
    let valid_for = match input.valid_for() {
        Ok(valid_for) => valid_for,
        Err(fault) => return Ok(wrong(&member, &input, fault)),
    };
    let (acting, owner) = (member.acting(), member.operator().id);
    match tokens::make(member.state(), &acting, owner, &input.name, valid_for).await {
        Ok((made, token)) => {
            let expires = Moment::at(made.expires);
            let site = member.visit.host.clone();
            let page = ApiTokenMade { name: made.name, token, expires, site };
            Ok(member.page(Tab::Tokens, &page))
        }
        Err(problem) if problem.status == StatusCode::BAD_REQUEST => {
            let fault = ApiTokenFault::Name(problem.page().reason.clone());
            Ok(wrong(&member, &input, fault))
        }
        Err(problem) => Err(member.fault(problem)),
    }
}

fn wrong(member: &Member, input: &ApiTokenInput, fault: ApiTokenFault) -> Response {
    let page = ApiTokenAdd::new(member.csrf()).wrong(input, fault);
    (StatusCode::UNPROCESSABLE_ENTITY, member.page(Tab::Tokens, &page)).into_response()
}

pub async fn ask_revoke(member: Member, id: Named<Uuid>) -> Answer {
    let token = find(&member, id).await?;
    let page = revoke_api_token(&token.id.to_string(), &token.name, member.csrf());
    Ok(member.page(Tab::Tokens, &page))
}

pub async fn revoke(id: Named<Uuid>, Posted(member, _): Posted<CsrfInput>) -> Answer {
    let token = find(&member, id).await?;
    let revoked = member.acting().api_tokens().revoke(token.id, member.state().now()).await;
    let revoked = revoked.map_err(|e| member.fault(e))?;
    Ok(done(url::ApiTokens, format!("The token “{}” was revoked.", revoked.name)))
}

async fn find(member: &Member, id: Named<Uuid>) -> Result<ApiToken, Fault> {
    let missing = || member.fault(Problem::not_found("The API token"));
    let Ok(Path(id)) = id else { return Err(missing()) };
    let now = member.state().now();
    let tokens = member.acting().api_tokens().list(now).await.map_err(|e| member.fault(e))?;
    tokens.into_iter().find(|token| token.id == id).ok_or_else(missing)
}

pub async fn enrolment(member: Member) -> Answer {
    member.administers(ENROL)?;
    let tokens = enrolment_tokens(&member).await?;
    let page = EnrolmentTokens::new(tokens.into_iter().map(facts::enrolment_token).collect());
    Ok(member.page(Tab::Clients, &page))
}

pub async fn ask_withdraw(member: Member, id: Named<Uuid>) -> Answer {
    let token = find_enrolment(&member, id).await?;
    let page = withdraw_enrolment_token(&token.id.to_string(), &token.name, member.csrf());
    Ok(member.page(Tab::Clients, &page))
}

pub async fn withdraw(id: Named<Uuid>, Posted(member, _): Posted<CsrfInput>) -> Answer {
    let token = find_enrolment(&member, id).await?;
    let gone = member.acting().enrolment_tokens().revoke(token.id, member.state().now()).await;
    let gone = gone.map_err(|e| member.fault(e))?;
    Ok(done(url::EnrolmentTokens, format!("The token “{}” was withdrawn.", gone.name)))
}

async fn enrolment_tokens(member: &Member) -> Result<Vec<EnrolmentToken>, Fault> {
    let tokens = member.acting().enrolment_tokens().list(member.state().now()).await;
    tokens.map_err(|e| member.fault(e))
}

async fn find_enrolment(member: &Member, id: Named<Uuid>) -> Result<EnrolmentToken, Fault> {
    member.administers(ENROL)?;
    let missing = || member.fault(Problem::not_found("The enrolment token"));
    let Ok(Path(id)) = id else { return Err(missing()) };
    let tokens = enrolment_tokens(member).await?;
    tokens.into_iter().find(|token| token.id == id).ok_or_else(missing)
}
