mod sign_in;

use model::{OperatorId, Timestamp};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait,
    IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder,
};
use uuid::Uuid;

use crate::caller::{Action, Resource, Scope};
use crate::convert::{at, line, line_or_empty, ms};
use crate::entity::{api_token, operator, web_session};
use crate::error::is_duplicate;
use crate::store::Commit;
use crate::{Acting, Error, Result, TokenHash, audit};

pub use self::sign_in::{LOCK_LONGEST, LOGIN_TRIES, LoginTry, PasswordCheck};

/// Name that the site's own account for its self-test has; people cannot take it.
const SELF_TEST: &str = "sluis-self-test";

/// An account of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Its id.
    pub id: OperatorId,
    /// What the person types to sign in, in lower case.
    pub name: String,
    /// What others see.
    pub display_name: String,
    /// Whether it administers the site.
    pub admin: bool,
    /// Whether the next thing to do is to choose a password.
    pub must_change_password: bool,
    /// Whether it may not sign in.
    pub disabled: bool,
    /// Until when wrong passwords lock it.
    pub locked_until: Option<Timestamp>,
    /// When it last signed in.
    pub last_login: Option<Timestamp>,
    /// When it was made.
    pub created: Timestamp,
}

/// An account to be made.
#[derive(Debug, Clone)]
pub struct NewOperator {
    /// What the person types to sign in: letters, digits and `.`, `_`, `-`, `@`; kept in lower case.
    pub name: String,
    /// What others see; may be empty.
    pub display_name: String,
    /// The hash of the first password, in PHC string format.
    pub password_hash: String,
    /// Whether it administers the site.
    pub admin: bool,
    /// Whether the first thing to do is to choose a password.
    pub must_change_password: bool,
}

/// Whether an account may sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It may.
    Enabled,
    /// It may not, and what it was signed in with ends.
    Disabled,
}

/// A new password for an account.
#[derive(Debug, Clone)]
pub struct PasswordChange {
    /// Whose.
    pub operator: OperatorId,
    /// Its hash, in PHC string format.
    pub password_hash: String,
    /// Whether the person has to choose another one at the next sign-in.
    pub must_change: bool,
    /// The browser session to keep; all others of this account end, and so do its bearer tokens.
    pub keep: Option<TokenHash>,
}

/// Who plays the parts of the site's self-test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SelfTestActors {
    /// The operator.
    pub operator: OperatorId,
    /// The Jump Client.
    pub agent: model::AgentId,
}

/// Accounts of operators and administrators.
pub struct Operators(pub(crate) Acting);

impl Operators {
    /// All accounts that the caller may see, by name.
    pub async fn list(&self) -> Result<Vec<Operator>> {
        let scope = self.0.caller.scope(Resource::Operators, Action::Read)?;
        let mut query = operator::Entity::find()
            .filter(operator::Column::Builtin.eq(false))
            .order_by_asc(operator::Column::Name);
        if let Scope::Own(id) = scope {
            query = query.filter(operator::Column::Id.eq(id.0));
        }
        let rows = self.0.store.sorted(query.all(self.0.store.reader()).await)?;
        Ok(rows.into_iter().map(Operator::from).collect())
    }

    /// The account with that id, if the caller may see it.
    pub async fn by_id(&self, id: OperatorId) -> Result<Option<Operator>> {
        if !self.0.caller.scope(Resource::Operators, Action::Read)?.holds(id) {
            return Ok(None);
        }
        let row = operator::Entity::find_by_id(id.0).one(self.0.store.reader()).await;
        Ok(self.0.store.sorted(row)?.map(Operator::from))
    }

    /// The account with that name, whatever its letters' case.
    pub async fn by_name(&self, name: &str) -> Result<Option<Operator>> {
        self.0.caller.all(Resource::Operators, Action::Read)?;
        let row = find_named(self.0.store.reader(), name).await;
        Ok(self.0.store.sorted(row)?.map(Operator::from))
    }

    /// Makes an account.
    ///
    /// # Errors
    ///
    /// [`Error::CallerInput`] for a name that cannot be one, [`Error::CallerConflict`] when it is taken.
    pub async fn create(&self, new: NewOperator, now: Timestamp) -> Result<Operator> {
        self.0.caller.all(Resource::Operators, Action::Write)?;
        let row = row_of(new, now)?;
        let writing = self.0.store.write(Commit::Synced).await?;
        self.insert(&writing.txn, &row).await?;
        let detail = serde_json::json!({ "admin": row.admin });
        audit::note(&self.0, &writing.txn, "operator.created", &row.name, detail, now).await?;
        writing.commit().await?;
        Ok(row.into())
    }

    /// Makes the first account of a new site: an administrator; `None` when there are accounts.
    pub async fn create_first(
        &self,
        name: &str,
        password_hash: String,
        now: Timestamp,
    ) -> Result<Option<Operator>> {
        self.0.caller.site("make the first account")?;
        let writing = self.0.store.write(Commit::Synced).await?;
        let people = operator::Entity::find().filter(operator::Column::Builtin.eq(false));
        if self.0.store.sorted(people.count(&writing.txn).await)? > 0 {
            return Ok(None);
        }
        let row = row_of(
            NewOperator {
                name: name.to_owned(),
                display_name: "Administrator".to_owned(),
                password_hash,
                admin: true,
                must_change_password: true,
            },
            now,
        )?;
        self.insert(&writing.txn, &row).await?;
        let detail = serde_json::json!({ "admin": true, "first": true });
        audit::note(&self.0, &writing.txn, "operator.created", &row.name, detail, now).await?;
        writing.commit().await?;
        Ok(Some(row.into()))
    }

    async fn insert(&self, txn: &DatabaseTransaction, row: &operator::Model) -> Result<()> {
        let new = row.clone().into_active_model();
        match operator::Entity::insert(new).exec_without_returning(txn).await {
            Err(error) if is_duplicate(&error) => {
                Err(Error::CallerConflict(format!("an account named {} exists already", row.name)))
            }
            other => self.0.store.sorted(other).map(drop),
        }
    }

    /// Changes what others see, and whether the account administers the site.
    ///
    /// # Errors
    ///
    /// [`Error::CallerConflict`] when no administrator would be left.
    pub async fn update(
        &self,
        id: OperatorId,
        display_name: &str,
        admin: bool,
        now: Timestamp,
    ) -> Result<Operator> {
        self.0.caller.all(Resource::Operators, Action::Write)?;
        let display_name = line_or_empty("Display name", display_name, 100)?;
        let change = operator::ActiveModel {
            display_name: Set(display_name),
            admin: Set(admin),
            ..Default::default()
        };
        self.change(id, change, "operator.changed", now).await
    }

    /// Lets an account sign in, or ends its sign-ins and keeps it out.
    ///
    /// Running sessions go on: they are ended one by one, by whoever decides so.
    ///
    /// # Errors
    ///
    /// [`Error::CallerConflict`] when no administrator would be left.
    pub async fn set_access(
        &self,
        id: OperatorId,
        access: Access,
        now: Timestamp,
    ) -> Result<Operator> {
        self.0.caller.all(Resource::Operators, Action::Write)?;
        let disabled = access == Access::Disabled;
        let change = operator::ActiveModel { disabled: Set(disabled), ..Default::default() };
        let action = if disabled { "operator.disabled" } else { "operator.enabled" };
        self.change(id, change, action, now).await
    }

    async fn change(
        &self,
        id: OperatorId,
        change: operator::ActiveModel,
        action: &'static str,
        now: Timestamp,
    ) -> Result<Operator> {
        let store = &self.0.store;
        let writing = store.write(Commit::Synced).await?;
        let update = operator::Entity::update_many()
            .set(change)
            .filter(operator::Column::Id.eq(id.0))
            .filter(operator::Column::Builtin.eq(false));
        store.sorted(update.exec(&writing.txn).await)?;
        let row = store.sorted(operator::Entity::find_by_id(id.0).one(&writing.txn).await)?;
        let row = row.ok_or_else(|| Error::unknown("account", id))?;
        let admins = operator::Entity::find()
            .filter(operator::Column::Admin.eq(true))
            .filter(operator::Column::Disabled.eq(false));
        if store.sorted(admins.count(&writing.txn).await)? == 0 {
            let text = format!("{} is the last administrator; make another one first", row.name);
            return Err(Error::CallerConflict(text));
        }
        if row.disabled {
            store.sorted(end_sign_ins(&writing.txn, id, None).await)?;
        }
        let detail = serde_json::json!({ "admin": row.admin, "display_name": row.display_name });
        audit::note(&self.0, &writing.txn, action, &row.name, detail, now).await?;
        writing.commit().await?;
        Ok(row.into())
    }

    /// Gives an account a new password and ends what it is signed in with elsewhere.
    pub async fn set_password(&self, change: PasswordChange, now: Timestamp) -> Result<()> {
        self.0.caller.owns(Resource::Operators, Action::Write, change.operator)?;
        let store = &self.0.store;
        let writing = store.write(Commit::Synced).await?;
        let id = change.operator;
        let row = store.sorted(operator::Entity::find_by_id(id.0).one(&writing.txn).await)?;
        let row = row.ok_or_else(|| Error::unknown("account", id))?;
        let update = operator::Entity::update_many()
            .set(operator::ActiveModel {
                password_hash: Set(change.password_hash),
                must_change_password: Set(change.must_change),
                failed_logins: Set(0),
                locked_until: Set(None),
                ..Default::default()
            })
            .filter(operator::Column::Id.eq(id.0));
        store.sorted(update.exec(&writing.txn).await)?;
        store.sorted(end_sign_ins(&writing.txn, id, change.keep).await)?;
        let detail = serde_json::json!({ "must_change": change.must_change });
        audit::note(&self.0, &writing.txn, "operator.password", &row.name, detail, now).await?;
        writing.commit().await
    }

    /// The hash of an account's password, to check the old one before a change.
    pub async fn password_hash(&self, id: OperatorId) -> Result<Option<String>> {
        self.0.caller.owns(Resource::Operators, Action::Write, id)?;
        let row = operator::Entity::find_by_id(id.0).one(self.0.store.reader()).await;
        Ok(self.0.store.sorted(row)?.map(|row| row.password_hash))
    }

    /// The account that the site's self-test opens its session with, made when it is missing.
    pub(crate) async fn self_test(
        acting: &Acting,
        txn: &DatabaseTransaction,
        now: Timestamp,
    ) -> Result<OperatorId> {
        let found = acting.store.sorted(find_named(txn, SELF_TEST).await)?;
        if let Some(row) = found {
            return Ok(OperatorId(row.id));
        }
        let row = operator::Model {
            id: Uuid::now_v7(),
            name: SELF_TEST.to_owned(),
            display_name: "Self-test".to_owned(),
            // No hash: nothing that is typed fits it.
            password_hash: String::new(),
            admin: false,
            must_change_password: false,
            disabled: false,
            builtin: true,
            failed_logins: 0,
            locked_until: None,
            last_login_at: None,
            created_at: ms(now),
        };
        let new = row.clone().into_active_model();
        let inserted = operator::Entity::insert(new).exec_without_returning(txn).await;
        acting.store.sorted(inserted)?;
        Ok(OperatorId(row.id))
    }
}

impl From<operator::Model> for Operator {
    fn from(row: operator::Model) -> Self {
        Self {
            id: OperatorId(row.id),
            name: row.name,
            display_name: row.display_name,
            admin: row.admin,
            must_change_password: row.must_change_password,
            disabled: row.disabled,
            locked_until: row.locked_until.map(at),
            last_login: row.last_login_at.map(at),
            created: at(row.created_at),
        }
    }
}

async fn find_named<C: ConnectionTrait>(
    db: &C,
    name: &str,
) -> std::result::Result<Option<operator::Model>, sea_orm::DbErr> {
    let name = name.trim().to_lowercase();
    operator::Entity::find().filter(operator::Column::Name.eq(name)).one(db).await
}

/// Ends the browser sessions, but for `keep`, and the bearer tokens of an account.
async fn end_sign_ins(
    txn: &DatabaseTransaction,
    id: OperatorId,
    keep: Option<TokenHash>,
) -> std::result::Result<(), sea_orm::DbErr> {
    let kept = keep.map(TokenHash::text).unwrap_or_default();
    web_session::Entity::delete_many()
        .filter(web_session::Column::OperatorId.eq(id.0))
        .filter(web_session::Column::TokenHash.ne(kept))
        .exec(txn)
        .await?;
    api_token::Entity::delete_many()
        .filter(api_token::Column::OperatorId.eq(id.0))
        .exec(txn)
        .await?;
    Ok(())
}

fn row_of(new: NewOperator, now: Timestamp) -> Result<operator::Model> {
    Ok(operator::Model {
        id: Uuid::now_v7(),
        name: account_name(&new.name)?,
        display_name: line_or_empty("Display name", &new.display_name, 100)?,
        password_hash: new.password_hash,
        admin: new.admin,
        must_change_password: new.must_change_password,
        disabled: false,
        builtin: false,
        failed_logins: 0,
        locked_until: None,
        last_login_at: None,
        created_at: ms(now),
    })
}

fn account_name(text: &str) -> Result<String> {
    let name = line("Name", text, 64)?.to_lowercase();
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
    if !name.chars().all(fits) {
        return Err(Error::input("Name", "may hold letters, digits, “.”, “_”, “-” and “@” only"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_name_is_in_lower_case_and_plain() {
        assert_eq!(account_name(" Ruth.Lock@Example ").ok().as_deref(), Some("ruth.lock@example"));
        assert!(account_name("ruth lock").is_err());
        assert!(account_name("<b>").is_err());
    }
}
