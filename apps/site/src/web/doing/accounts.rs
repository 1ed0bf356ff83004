use model::OperatorId;
use store::{Access, Acting, NewOperator, Operator, PasswordChange, TokenHash};
use ui_kit::account::PasswordFault;

use crate::web::doing::sign_in;
use crate::web::problem::Problem;
use crate::web::{WebState, password, secrets};

/// An account with the first password that it was given; the password is kept nowhere else.
pub struct WithPassword {
    /// The account.
    pub operator: Operator,
    /// To be handed to its owner, who changes it at the first sign-in.
    pub password: String,
}

/// Adds an account.
pub async fn add(
    state: &WebState,
    acting: &Acting,
    name: &str,
    display_name: &str,
    admin: bool,
) -> Result<WithPassword, Problem> {
    let password = secrets::first_password();
    let new = NewOperator {
        name: name.to_owned(),
        display_name: display_name.to_owned(),
        password_hash: state.passwords().hash(&password).await?,
        admin,
        must_change_password: true,
    };
    let operator = acting.operators().create(new, state.now()).await?;
    Ok(WithPassword { operator, password })
}

/// Gives an account a new first password, and signs it out everywhere.
pub async fn reset(
    state: &WebState,
    acting: &Acting,
    id: OperatorId,
) -> Result<WithPassword, Problem> {
    let found = acting.operators().by_id(id).await?;
    let operator = found.ok_or_else(|| Problem::not_found("The account"))?;
    let password = secrets::first_password();
    let change = PasswordChange {
        operator: id,
        password_hash: state.passwords().hash(&password).await?,
        must_change: true,
        keep: None,
    };
    acting.operators().set_password(change, state.now()).await?;
    Ok(WithPassword { operator, password })
}

/// Lets an account in, or keeps it out and ends what it is signed in with, its consoles' links too.
pub async fn set_access(
    state: &WebState,
    acting: &Acting,
    id: OperatorId,
    access: Access,
) -> Result<Operator, Problem> {
    let operator = acting.operators().set_access(id, access, state.now()).await?;
    if access == Access::Disabled {
        state.hub.operator_disabled(id);
    }
    Ok(operator)
}

/// Why a password was not changed.
pub enum NotChanged {
    /// One of the two passwords will not do.
    Fault(PasswordFault),
    /// The old one was wrong too often.
    Locked(std::time::Duration),
    /// Something else.
    Problem(Problem),
}

impl<E: Into<Problem>> From<E> for NotChanged {
    fn from(error: E) -> Self {
        Self::Problem(error.into())
    }
}

/// Lets the owner of an account choose another password; `keep` is the browser session that goes on.
///
/// A wrong old password counts like a wrong one at signing in: a stolen cookie is no way around the
/// lock.
pub async fn change_password(
    state: &WebState,
    acting: &Acting,
    owner: &Operator,
    (old, new): (&str, &str),
    (keep, peer): (Option<TokenHash>, &str),
) -> Result<(), NotChanged> {
    if let Some(fault) = password::fault(&owner.name, old, new) {
        return Err(NotChanged::Fault(fault));
    }
    match sign_in::check(state, &owner.name, old, peer).await? {
        Ok(_) => {}
        Err(sign_in::Refused::Locked(left)) => return Err(NotChanged::Locked(left)),
        Err(_) => return Err(NotChanged::Fault(PasswordFault::OldWrong)),
    }
    let change = PasswordChange {
        operator: owner.id,
        password_hash: state.passwords().hash(new).await?,
        must_change: false,
        keep,
    };
    acting.operators().set_password(change, state.now()).await?;
    Ok(())
}
