use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use model::OperatorId;
use store::{Access, Operator};
use ui_kit::account::FirstPassword;
use ui_kit::url::site as url;
use ui_kit::{Confirm, Csrf, CsrfInput, Link};
use ui_site::{Tab, UserAdd, UserAddFault, UserAddInput, Users, disable_user, reset_user};

use super::{Answer, Fault, Member, Named, Posted, done};
use crate::web::doing::accounts::{self, WithPassword};
use crate::web::facts;
use crate::web::problem::Problem;

const MANAGE: &str = "manage users";

pub async fn list(member: Member) -> Answer {
    member.administers(MANAGE)?;
    let operators = member.acting().operators().list().await.map_err(|e| member.fault(e))?;
    let now = member.state().now();
    let users = operators.iter().map(|user| facts::user(user, member.operator(), now));
    Ok(member.page(Tab::Users, &Users::new(users.collect(), member.csrf(), now)))
}

pub async fn add_form(member: Member) -> Answer {
    member.administers(MANAGE)?;
    Ok(member.page(Tab::Users, &UserAdd::new(member.csrf())))
}

pub async fn add(Posted(member, input): Posted<UserAddInput>) -> Answer {
    member.administers(MANAGE)?;
    let (name, display_name) = (&input.name, &input.display_name);
    let acting = member.acting();
    let added = accounts::add(member.state(), &acting, name, display_name, input.is_admin()).await;
    match added {
        Ok(added) => Ok(first_password(&member, added)),
        Err(problem) if problem.status.is_client_error() => {
            let words = problem.page().reason.clone();
            let fault = if words.starts_with("Display name") {
                UserAddFault::DisplayName(words)
            } else {
                UserAddFault::Name(words)
            };
            let page = UserAdd::new(member.csrf()).wrong(&input, fault);
            Ok((StatusCode::UNPROCESSABLE_ENTITY, member.page(Tab::Users, &page)).into_response())
        }
        Err(problem) => Err(member.fault(problem)),
    }
}

fn first_password(member: &Member, made: WithPassword) -> Response {
    let done = Link { href: url::Users.to_string(), word: "Back to Users".to_owned() };
    let page = FirstPassword { name: made.operator.name, password: made.password, done };
    member.page(Tab::Users, &page)
}

pub async fn ask_disable(member: Member, id: Named<OperatorId>) -> Answer {
    ask(&member, id, disable_user).await
}

pub async fn ask_reset(member: Member, id: Named<OperatorId>) -> Answer {
    ask(&member, id, reset_user).await
}

async fn ask(
    member: &Member,
    id: Named<OperatorId>,
    question: fn(OperatorId, &str, Csrf) -> Confirm,
) -> Answer {
    let user = find(member, id).await?;
    Ok(member.page(Tab::Users, &question(user.id, &user.name, member.csrf())))
}

pub async fn disable(id: Named<OperatorId>, Posted(member, _): Posted<CsrfInput>) -> Answer {
    let user = find(&member, id).await?;
    if user.id == member.operator().id {
        let reason = "This is your own account, and you would be locked out at once.";
        let way_out = "Ask another administrator to do it.";
        let thing = "Your account was not disabled";
        return Err(member.fault(Problem::new(StatusCode::CONFLICT, thing, reason, way_out)));
    }
    set_access(&member, &user, Access::Disabled).await?;
    Ok(done(url::Users, format!("{} was disabled and signed out.", user.name)))
}

pub async fn enable(id: Named<OperatorId>, Posted(member, _): Posted<CsrfInput>) -> Answer {
    let user = find(&member, id).await?;
    set_access(&member, &user, Access::Enabled).await?;
    Ok(done(url::Users, format!("{} can sign in again.", user.name)))
}

async fn set_access(member: &Member, user: &Operator, access: Access) -> Result<(), Fault> {
    let done = accounts::set_access(member.state(), &member.acting(), user.id, access).await;
    done.map(drop).map_err(|problem| member.fault(problem))
}

pub async fn reset(id: Named<OperatorId>, Posted(member, _): Posted<CsrfInput>) -> Answer {
    let user = find(&member, id).await?;
    let made = accounts::reset(member.state(), &member.acting(), user.id).await;
    made.map(|made| first_password(&member, made)).map_err(|problem| member.fault(problem))
}

/// The account that an address names, for an administrator.
async fn find(member: &Member, id: Named<OperatorId>) -> Result<Operator, Fault> {
    member.administers(MANAGE)?;
    let missing = || member.fault(Problem::not_found("The user"));
    let Ok(Path(id)) = id else { return Err(missing()) };
    let found = member.acting().operators().by_id(id).await.map_err(|e| member.fault(e))?;
    found.ok_or_else(missing)
}
