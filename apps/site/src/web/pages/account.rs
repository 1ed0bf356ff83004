use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ui_kit::Variant;
use ui_kit::account::{PasswordChange, PasswordFault, PasswordInput};
use ui_kit::url::site as url;
use ui_site::{Account, AccountFacts};

use super::{Answer, Member, Posted, done};
use crate::web::doing::accounts::{self, NotChanged};
use crate::web::password::CHARS_MIN;
use crate::web::problem::Problem;

const CHANGED: &str =
    "Your password was changed. You stay signed in here; other places are signed out.";

pub async fn show(member: Member) -> Response {
    let operator = member.operator();
    let page = Account::new(AccountFacts {
        name: operator.name.clone(),
        display_name: operator.display_name.clone(),
        admin: operator.admin,
        signed_in: member.session.created,
        ends: member.session.expires,
        site: member.visit.host.clone(),
    });
    member.aside(&page)
}

pub async fn password(member: Member) -> Response {
    form(&member, None)
}

pub async fn change_password(Posted(member, input): Posted<PasswordInput>) -> Answer {
    if input.new != input.again {
        return Ok(wrong(&member, PasswordFault::Differ));
    }
    let passwords = (input.old.as_str(), input.new.as_str());
    let kept = (Some(member.token), member.visit.peer.as_str());
    let acting = member.acting();
    let changed =
        accounts::change_password(member.state(), &acting, member.operator(), passwords, kept);
    match changed.await {
        Ok(()) => Ok(done(url::Clients, CHANGED)),
        Err(NotChanged::Fault(fault)) => Ok(wrong(&member, fault)),
        Err(NotChanged::Locked(left)) => Err(member.fault(locked(left))),
        Err(NotChanged::Problem(problem)) => Err(member.fault(problem)),
    }
}

pub fn locked(left: std::time::Duration) -> Problem {
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "Your password was not changed",
        "The present password was wrong too often.",
        format!("Try again in {}.", ui_kit::duration(left)),
    )
}

fn wrong(member: &Member, fault: PasswordFault) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, form(member, Some(fault))).into_response()
}

fn form(member: &Member, fault: Option<PasswordFault>) -> Response {
    let forced = member.operator().must_change_password;
    let mut page =
        PasswordChange::new(Variant::Site, &member.operator().name, member.csrf(), CHARS_MIN);
    if forced {
        page = page.forced();
    }
    if let Some(fault) = fault {
        page = page.wrong(fault);
    }
    if forced { member.alone(&page) } else { member.aside(&page) }
}
