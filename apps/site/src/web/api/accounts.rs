use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use model::{OperatorId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{Access, Operator};
use ui_kit::account::PasswordFault;

use super::{Answer, ApiMember, Input, Named};
use crate::web::doing::accounts::{self, NotChanged};
use crate::web::password::{CHARS_MAX, CHARS_MIN};
use crate::web::problem::{ApiProblem, Problem};

const MANAGE: &str = "manage users";

/// An account.
#[derive(Serialize)]
pub struct User {
    id: OperatorId,
    name: String,
    display_name: String,
    admin: bool,
    must_change_password: bool,
    disabled: bool,
    locked_until: Option<Timestamp>,
    last_login: Option<Timestamp>,
    created: Timestamp,
}

impl From<Operator> for User {
    fn from(operator: Operator) -> Self {
        Self {
            id: operator.id,
            name: operator.name,
            display_name: operator.display_name,
            admin: operator.admin,
            must_change_password: operator.must_change_password,
            disabled: operator.disabled,
            locked_until: operator.locked_until,
            last_login: operator.last_login,
            created: operator.created,
        }
    }
}

/// `GET /account`: who asks.
pub async fn own(member: ApiMember) -> Json<User> {
    Json(member.operator.into())
}

#[derive(Deserialize)]
pub struct Passwords {
    old: String,
    new: String,
}

/// `POST /password`: `{ old, new }`; other sign-ins of the account end, and so does this token.
pub async fn password(member: ApiMember, Input(input): Input<Passwords>) -> Answer<Value> {
    let acting = member.acting();
    let changed = accounts::change_password(
        &member.state,
        &acting,
        &member.operator,
        (&input.old, &input.new),
        (None, &member.peer),
    );
    match changed.await {
        Ok(()) => Ok(Json(json!({}))),
        Err(NotChanged::Problem(problem)) => Err(ApiProblem(problem)),
        Err(NotChanged::Fault(fault)) => Err(ApiProblem(not_changed(fault))),
        Err(NotChanged::Locked(left)) => Err(ApiProblem(Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "Your password was not changed",
            "The present password was wrong too often.",
            format!("Try again in {}.", ui_kit::duration(left)),
        ))),
    }
}

fn not_changed(fault: PasswordFault) -> Problem {
    let reason = match fault {
        PasswordFault::OldWrong => "The present password is wrong.".to_owned(),
        PasswordFault::TooShort => format!("A password has at least {CHARS_MIN} characters."),
        PasswordFault::TooLong(_) => format!("A password has at most {CHARS_MAX} characters."),
        PasswordFault::Same => "The new password is the present one.".to_owned(),
        PasswordFault::HoldsName => "The password holds the name of the account.".to_owned(),
        PasswordFault::Differ => "The new password was not typed the same twice.".to_owned(),
    };
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    Problem::new(status, "Your password was not changed", reason, "Choose another one.")
}

/// `GET /users`
pub async fn list(member: ApiMember) -> Answer<Vec<User>> {
    member.administers(MANAGE)?;
    let users = member.acting().operators().list().await?;
    Ok(Json(users.into_iter().map(User::from).collect()))
}

#[derive(Deserialize)]
pub struct NewUser {
    name: String,
    #[serde(default)]
    display_name: String,
    #[serde(default)]
    admin: bool,
}

/// An account with its first password, which is shown this one time.
#[derive(Serialize)]
pub struct WithPassword {
    #[serde(flatten)]
    user: User,
    password: String,
}

impl From<accounts::WithPassword> for WithPassword {
    fn from(made: accounts::WithPassword) -> Self {
        Self { user: made.operator.into(), password: made.password }
    }
}

/// `POST /users`: `{ name, display_name, admin }` → the account and its first password.
pub async fn add(
    member: ApiMember,
    Input(new): Input<NewUser>,
) -> Result<(StatusCode, Json<WithPassword>), ApiProblem> {
    member.administers(MANAGE)?;
    let acting = member.acting();
    let made =
        accounts::add(&member.state, &acting, &new.name, &new.display_name, new.admin).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

/// `POST /users/{id}/disable`
pub async fn disable(member: ApiMember, id: Named<OperatorId>) -> Answer<User> {
    let id = named(id)?;
    if id == member.operator.id {
        let reason = "This is your own account, and you would be locked out at once.";
        let way_out = "Ask another administrator to do it.";
        let thing = "Your account was not disabled";
        return Err(Problem::new(StatusCode::CONFLICT, thing, reason, way_out).into());
    }
    set_access(&member, id, Access::Disabled).await
}

/// `POST /users/{id}/enable`
pub async fn enable(member: ApiMember, id: Named<OperatorId>) -> Answer<User> {
    set_access(&member, named(id)?, Access::Enabled).await
}

async fn set_access(member: &ApiMember, id: OperatorId, access: Access) -> Answer<User> {
    let changed = accounts::set_access(&member.state, &member.acting(), id, access).await?;
    Ok(Json(changed.into()))
}

/// `POST /users/{id}/reset` → the account and its new first password.
pub async fn reset(member: ApiMember, id: Named<OperatorId>) -> Answer<WithPassword> {
    member.administers(MANAGE)?;
    let made = accounts::reset(&member.state, &member.acting(), named(id)?).await?;
    Ok(Json(made.into()))
}

fn named(id: Named<OperatorId>) -> Result<OperatorId, Problem> {
    id.map(|Path(id)| id).map_err(|_| Problem::not_found("The user"))
}
