use model::{OperatorId, Timestamp};
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder};
use uuid::Uuid;

use crate::caller::{Action, Resource, Scope};
use crate::convert::{at, line, ms};
use crate::entity::{api_token, operator};
use crate::store::Commit;
use crate::{Acting, Error, Operator, Result, TokenHash};

/// A bearer token to be given out.
#[derive(Debug, Clone)]
pub struct NewApiToken {
    /// The hash of the token.
    pub token: TokenHash,
    /// Whose.
    pub operator: OperatorId,
    /// What it is for, in the person's words.
    pub name: String,
    /// When it ends.
    pub expires: Timestamp,
}

/// A bearer token that was given out; the token itself is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub operator: OperatorId,
    /// What it is for.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
}

/// Bearer tokens of the API.
pub struct ApiTokens(pub(crate) Acting);

impl ApiTokens {
    /// Gives one out.
    pub async fn issue(&self, new: NewApiToken, now: Timestamp) -> Result<ApiToken> {
        self.0.caller.owns(Resource::Credentials, Action::Write, new.operator)?;
        let row = api_token::Model {
            id: Uuid::now_v7(),
            token_hash: new.token.text(),
            operator_id: new.operator.0,
            name: line("Name", &new.name, 100)?,
            created_at: ms(now),
            expires_at: ms(new.expires),
        };
        let turn = self.0.store.write_one(Commit::Synced).await?;
        let insert = api_token::Entity::insert(row.clone().into_active_model());
        self.0.store.sorted(insert.exec_without_returning(turn.db).await)?;
        Ok(row.into())
    }

    /// Whose token that is, unless its time is over or the account is disabled.
    pub async fn operator_of(&self, token: TokenHash, now: Timestamp) -> Result<Option<Operator>> {
        self.0.caller.site("look up the tokens of others")?;
        let store = &self.0.store;
        let found = api_token::Entity::find()
            .filter(api_token::Column::TokenHash.eq(token.text()))
            .filter(api_token::Column::ExpiresAt.gt(ms(now)))
            .one(store.reader())
            .await;
        let Some(row) = store.sorted(found)? else { return Ok(None) };
        let person = operator::Entity::find_by_id(row.operator_id)
            .filter(operator::Column::Disabled.eq(false))
            .one(store.reader())
            .await;
        Ok(store.sorted(person)?.map(Operator::from))
    }

    /// Ends the one with that token, because its owner signs out; one that has ended is no error.
    pub async fn close(&self, token: TokenHash) -> Result<()> {
        self.0.caller.site("end the sign-ins of others")?;
        let turn = self.0.store.write_one(Commit::Synced).await?;
        let delete =
            api_token::Entity::delete_many().filter(api_token::Column::TokenHash.eq(token.text()));
        self.0.store.sorted(delete.exec(turn.db).await).map(drop)
    }

    /// Those that the caller may see, newest first.
    pub async fn list(&self) -> Result<Vec<ApiToken>> {
        let mut query = api_token::Entity::find().order_by_desc(api_token::Column::Id);
        if let Scope::Own(id) = self.0.caller.scope(Resource::Credentials, Action::Read)? {
            query = query.filter(api_token::Column::OperatorId.eq(id.0));
        }
        let rows = self.0.store.sorted(query.all(self.0.store.reader()).await)?;
        Ok(rows.into_iter().map(ApiToken::from).collect())
    }

    /// Withdraws one.
    ///
    /// # Errors
    ///
    /// [`Error::CallerUnknown`] when there is none of that id that the caller may change.
    pub async fn revoke(&self, id: Uuid) -> Result<()> {
        let mut delete = api_token::Entity::delete_many().filter(api_token::Column::Id.eq(id));
        if let Scope::Own(owner) = self.0.caller.scope(Resource::Credentials, Action::Write)? {
            delete = delete.filter(api_token::Column::OperatorId.eq(owner.0));
        }
        let turn = self.0.store.write_one(Commit::Synced).await?;
        match self.0.store.sorted(delete.exec(turn.db).await)?.rows_affected {
            0 => Err(Error::unknown("token", id)),
            _ => Ok(()),
        }
    }
}

impl From<api_token::Model> for ApiToken {
    fn from(row: api_token::Model) -> Self {
        Self {
            id: row.id,
            operator: OperatorId(row.operator_id),
            name: row.name,
            created: at(row.created_at),
            expires: at(row.expires_at),
        }
    }
}
