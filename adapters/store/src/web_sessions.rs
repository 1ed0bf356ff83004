use model::{OperatorId, Timestamp};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};

use crate::caller::{Action, Resource};
use crate::convert::{at, ms};
use crate::entity::{operator, web_session};
use crate::store::Commit;
use crate::{Acting, Operator, Result, TokenHash};

/// A browser session to be opened.
#[derive(Debug, Clone)]
pub struct NewWebSession {
    /// The hash of the cookie's token.
    pub token: TokenHash,
    /// What each form of it has to carry.
    pub csrf: String,
    /// Who signed in.
    pub operator: OperatorId,
    /// The address of the browser.
    pub peer: String,
    /// When it ends.
    pub expires: Timestamp,
}

/// A browser session of somebody who signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSession {
    /// What each form of it has to carry.
    pub csrf: String,
    /// Who signed in.
    pub operator: Operator,
    /// When they did.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
}

/// Browser sessions of people who signed in.
pub struct WebSessions(pub(crate) Acting);

impl WebSessions {
    /// Opens one.
    pub async fn open(&self, new: NewWebSession, now: Timestamp) -> Result<()> {
        self.0.caller.owns(Resource::Credentials, Action::Write, new.operator)?;
        let row = web_session::Model {
            token_hash: new.token.text(),
            csrf: new.csrf,
            operator_id: new.operator.0,
            peer: new.peer,
            created_at: ms(now),
            expires_at: ms(new.expires),
        };
        let turn = self.0.store.write_one(Commit::Unsynced).await?;
        let insert = web_session::Entity::insert(row.into_active_model());
        self.0.store.sorted(insert.exec_without_returning(turn.db).await).map(drop)
    }

    /// The one with that token, unless its time is over or its account is disabled.
    pub async fn by_token(&self, token: TokenHash, now: Timestamp) -> Result<Option<WebSession>> {
        self.0.caller.site("look up the sign-ins of others")?;
        let store = &self.0.store;
        let found = web_session::Entity::find_by_id(token.text())
            .filter(web_session::Column::ExpiresAt.gt(ms(now)))
            .one(store.reader())
            .await;
        let Some(row) = store.sorted(found)? else { return Ok(None) };
        let person = operator::Entity::find_by_id(row.operator_id)
            .filter(operator::Column::Disabled.eq(false))
            .one(store.reader())
            .await;
        Ok(store.sorted(person)?.map(|person| WebSession {
            csrf: row.csrf,
            operator: person.into(),
            created: at(row.created_at),
            expires: at(row.expires_at),
        }))
    }

    /// Lets the one with that token end later, because it is in use.
    pub async fn prolong(&self, token: TokenHash, expires: Timestamp) -> Result<()> {
        self.0.caller.site("prolong the sign-ins of others")?;
        let turn = self.0.store.write_one(Commit::Unsynced).await?;
        let update = web_session::Entity::update_many()
            .col_expr(web_session::Column::ExpiresAt, Expr::value(ms(expires)))
            .filter(web_session::Column::TokenHash.eq(token.text()));
        self.0.store.sorted(update.exec(turn.db).await).map(drop)
    }

    /// Ends the one with that token; one that has ended is no error.
    pub async fn close(&self, token: TokenHash) -> Result<()> {
        self.0.caller.site("end the sign-ins of others")?;
        let turn = self.0.store.write_one(Commit::Synced).await?;
        let delete = web_session::Entity::delete_by_id(token.text());
        self.0.store.sorted(delete.exec(turn.db).await).map(drop)
    }
}
