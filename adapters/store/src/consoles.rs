use model::{ConsoleId, OperatorId, PublicKey, Timestamp};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
};
use uuid::Uuid;

use crate::caller::{Action, Resource, Scope};
use crate::convert::{at, key, line, ms};
use crate::entity::{console, operator};
use crate::store::Commit;
use crate::{Acting, Error, Operator, Result, audit};

/// An access console: the device of an operator, known by its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Console {
    /// Its id.
    pub id: ConsoleId,
    /// Its identity.
    pub key: PublicKey,
    /// Whose it is.
    pub operator: Operator,
    /// What the device is called.
    pub name: String,
    /// When it was registered.
    pub created: Timestamp,
    /// Until when it may be used without signing in again.
    pub expires: Timestamp,
    /// When it last connected.
    pub last_seen: Option<Timestamp>,
    /// Whether it was withdrawn.
    pub revoked: bool,
}

/// Why a console that is known may not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConsoleRefused {
    /// Its sign-in is over.
    #[error("this console's sign-in expired at {0}; run `sluis login` again")]
    Expired(Timestamp),
    /// It was withdrawn.
    #[error("this console was withdrawn; run `sluis login` to register it again")]
    Revoked,
    /// Its operator may not sign in.
    #[error("the account {0} is disabled; ask an administrator")]
    OperatorDisabled(String),
    /// Its operator has to choose a password first.
    #[error("the account {0} has to choose a new password first; sign in at /login")]
    PasswordDue(String),
}

impl Console {
    /// Passes when its operator may work with it now.
    pub fn usable(&self, now: Timestamp) -> std::result::Result<(), ConsoleRefused> {
        let name = || self.operator.name.clone();
        if self.operator.disabled {
            Err(ConsoleRefused::OperatorDisabled(name()))
        } else if self.revoked {
            Err(ConsoleRefused::Revoked)
        } else if self.expires <= now {
            Err(ConsoleRefused::Expired(self.expires))
        } else if self.operator.must_change_password {
            Err(ConsoleRefused::PasswordDue(name()))
        } else {
            Ok(())
        }
    }
}

/// Access consoles.
pub struct Consoles(pub(crate) Acting);

impl Consoles {
    /// The console with that key, usable or not: see [`Console::usable`].
    pub async fn by_key(&self, wanted: &PublicKey) -> Result<Option<Console>> {
        let query = console::Entity::find().filter(console::Column::Key.eq(wanted.to_string()));
        Ok(self.read(query).await?.pop())
    }

    /// Those that the caller may see, by name.
    pub async fn list(&self) -> Result<Vec<Console>> {
        self.read(console::Entity::find().order_by_asc(console::Column::Name)).await
    }

    async fn read(&self, mut query: sea_orm::Select<console::Entity>) -> Result<Vec<Console>> {
        if let Scope::Own(id) = self.0.caller.scope(Resource::Consoles, Action::Read)? {
            query = query.filter(console::Column::OperatorId.eq(id.0));
        }
        let query = query.find_also_related(operator::Entity);
        let rows = self.0.store.sorted(query.all(self.0.store.reader()).await)?;
        rows.into_iter()
            .filter_map(|(row, person)| person.map(|person| console_of(row, person)))
            .collect()
    }

    /// Registers the key of a console to its operator, or prolongs it.
    ///
    /// # Errors
    ///
    /// [`Error::CallerConflict`] when the key belongs to somebody else.
    pub async fn register(
        &self,
        owner: OperatorId,
        key: &PublicKey,
        name: &str,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<ConsoleId> {
        self.0.caller.owns(Resource::Consoles, Action::Write, owner)?;
        let name = line("Name of the console", name, 100)?;
        let store = &self.0.store;
        let writing = store.write(Commit::Synced).await?;
        let known = console::Entity::find().filter(console::Column::Key.eq(key.to_string()));
        let known = store.sorted(known.one(&writing.txn).await)?;
        if known.as_ref().is_some_and(|row| row.operator_id != owner.0) {
            let text = "this console is registered to another account; remove its key there, \
                        or give the console a new one with `sluis login --new-key`";
            return Err(Error::CallerConflict(text.to_owned()));
        }
        let row = console::Model {
            id: known.as_ref().map_or_else(Uuid::now_v7, |row| row.id),
            key: key.to_string(),
            operator_id: owner.0,
            name,
            created_at: known.as_ref().map_or(ms(now), |row| row.created_at),
            expires_at: ms(expires),
            last_seen_at: known.as_ref().and_then(|row| row.last_seen_at),
            revoked: false,
        };
        let active = row.clone().into_active_model();
        if known.is_some() {
            let update = console::Entity::update_many()
                .col_expr(console::Column::Name, Expr::value(row.name.clone()))
                .col_expr(console::Column::ExpiresAt, Expr::value(row.expires_at))
                .col_expr(console::Column::Revoked, Expr::value(false))
                .filter(console::Column::Id.eq(row.id));
            store.sorted(update.exec(&writing.txn).await)?;
        } else {
            let insert = console::Entity::insert(active);
            store.sorted(insert.exec_without_returning(&writing.txn).await)?;
        }
        let detail = serde_json::json!({ "id": row.id, "key": row.key });
        audit::note(&self.0, &writing.txn, "console.registered", &row.name, detail, now).await?;
        writing.commit().await?;
        Ok(ConsoleId(row.id))
    }

    /// Notes that a console connected.
    pub(crate) async fn seen_in(
        &self,
        txn: &DatabaseTransaction,
        id: ConsoleId,
        now: Timestamp,
    ) -> Result<()> {
        self.0.caller.site("say when a console was seen")?;
        let update = console::Entity::update_many()
            .col_expr(console::Column::LastSeenAt, Expr::value(ms(now)))
            .filter(console::Column::Id.eq(id.0));
        self.0.store.sorted(update.exec(txn).await).map(drop)
    }

    /// Withdraws a console: its key opens nothing any more. Answers what it was.
    ///
    /// # Errors
    ///
    /// [`Error::CallerUnknown`] when there is none of that id that the caller may change.
    pub async fn revoke(&self, id: ConsoleId, now: Timestamp) -> Result<Console> {
        let scope = self.0.caller.scope(Resource::Consoles, Action::Write)?;
        let store = &self.0.store;
        let writing = store.write(Commit::Synced).await?;
        let found = console::Entity::find_by_id(id.0).find_also_related(operator::Entity);
        let found = match store.sorted(found.one(&writing.txn).await)? {
            Some((row, Some(owner))) if scope.holds(OperatorId(owner.id)) => {
                console_of(row, owner)?
            }
            _ => return Err(Error::unknown("console", id)),
        };
        let update = console::Entity::update_many()
            .col_expr(console::Column::Revoked, Expr::value(true))
            .filter(console::Column::Id.eq(id.0));
        store.sorted(update.exec(&writing.txn).await)?;
        let detail = serde_json::json!({ "id": id, "of": found.operator.name });
        let action = "console.revoked";
        audit::note(&self.0, &writing.txn, action, &found.name, detail, now).await?;
        writing.commit().await?;
        Ok(found)
    }
}

fn console_of(row: console::Model, person: operator::Model) -> Result<Console> {
    Ok(Console {
        id: ConsoleId(row.id),
        key: key("console", &row.key)?,
        operator: person.into(),
        name: row.name,
        created: at(row.created_at),
        expires: at(row.expires_at),
        last_seen: row.last_seen_at.map(at),
        revoked: row.revoked,
    })
}
