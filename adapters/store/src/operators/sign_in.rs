//! Tries at signing in: counted, locked out for a while, written down.

use std::time::Duration;

use model::Timestamp;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};

use super::{Operator, Operators, find_named};
use crate::convert::{at, ms};
use crate::entity::operator;
use crate::store::Commit;
use crate::{Actor, NewAudit, Result, audit};

/// Wrong passwords in a row before an account is locked for a while.
pub const LOGIN_TRIES: u32 = 5;
/// The longest that wrong passwords lock an account.
///
/// It starts at one minute and doubles. It ends by itself: otherwise anybody who knows a name could
/// keep its owner out.
pub const LOCK_LONGEST: Duration = Duration::from_mins(15);

/// What a try at signing in is up against.
#[derive(Debug, Clone)]
pub enum LoginTry {
    /// Check the password against this hash, then tell [`Operators::finish_login`].
    ///
    /// The try counts as failed already, so that many at once cannot outrun the lock.
    Check {
        /// The account.
        operator: Operator,
        /// Its password's hash, in PHC string format.
        password_hash: String,
    },
    /// No such account, or it is disabled: check against a made-up hash, so that it takes as long.
    Nobody,
    /// Too many wrong passwords; nothing is to be checked.
    Locked {
        /// When the next try is allowed.
        until: Timestamp,
    },
}

/// What checking a password said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordCheck {
    /// It fits.
    Right,
    /// It does not.
    Wrong,
}

impl Operators {
    /// Begins a try at signing in, and counts it as failed until [`Operators::finish_login`].
    pub async fn begin_login(&self, name: &str, now: Timestamp) -> Result<LoginTry> {
        self.0.caller.site("check passwords")?;
        let store = &self.0.store;
        let writing = store.write(Commit::Unsynced).await?;
        let row = store.sorted(find_named(&writing.txn, name).await)?;
        let Some(row) = row.filter(|row| !row.disabled && !row.builtin) else {
            return Ok(LoginTry::Nobody);
        };
        if let Some(until) = row.locked_until.map(at).filter(|until| *until > now) {
            return Ok(LoginTry::Locked { until });
        }
        let failed = row.failed_logins.saturating_add(1);
        let locked_until = lock_after(failed).map(|lock| ms(now.plus(lock)));
        let update = operator::Entity::update_many()
            .col_expr(operator::Column::FailedLogins, Expr::value(failed))
            .col_expr(operator::Column::LockedUntil, Expr::value(locked_until))
            .filter(operator::Column::Id.eq(row.id));
        store.sorted(update.exec(&writing.txn).await)?;
        writing.commit().await?;
        let password_hash = row.password_hash.clone();
        Ok(LoginTry::Check { operator: row.into(), password_hash })
    }

    /// Says how a try that [`Operators::begin_login`] began ended.
    ///
    /// A right password forgets the wrong ones before it.
    pub async fn finish_login(
        &self,
        operator: &Operator,
        check: PasswordCheck,
        peer: &str,
        now: Timestamp,
    ) -> Result<()> {
        self.0.caller.site("check passwords")?;
        let store = &self.0.store;
        let writing = store.write(Commit::Unsynced).await?;
        if check == PasswordCheck::Right {
            let update = operator::Entity::update_many()
                .set(operator::ActiveModel {
                    failed_logins: Set(0),
                    locked_until: Set(None),
                    last_login_at: Set(Some(ms(now))),
                    ..Default::default()
                })
                .filter(operator::Column::Id.eq(operator.id.0));
            store.sorted(update.exec(&writing.txn).await)?;
        }
        audit::note_as(&self.0, &writing.txn, login_entry(operator, check, peer), now).await?;
        writing.commit().await
    }
}

/// Whoever knew the password is that person; whoever did not is nobody known.
fn login_entry(operator: &Operator, check: PasswordCheck, peer: &str) -> NewAudit {
    let (actor, action) = match check {
        PasswordCheck::Right => (Actor::Operator(operator.name.clone()), "operator.login"),
        PasswordCheck::Wrong => (Actor::Unknown, "operator.login-failed"),
    };
    NewAudit {
        actor,
        action,
        subject: operator.name.clone(),
        detail: serde_json::json!({}),
        peer: Some(peer.to_owned()),
    }
}

/// How long the `failed`th wrong password in a row locks an account.
fn lock_after(failed: i64) -> Option<Duration> {
    let beyond = u32::try_from(failed - i64::from(LOGIN_TRIES)).ok()?;
    Some(Duration::from_mins(1 << beyond.min(4)).min(LOCK_LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_passwords_lock_for_longer_and_longer_up_to_a_limit() {
        let minutes = |failed| lock_after(failed).map(|lock| lock.as_secs() / 60);
        assert_eq!(minutes(4), None);
        assert_eq!([5, 6, 7, 8, 9, 40].map(minutes), [1, 2, 4, 8, 15, 15].map(Some));
    }
}
