use model::{OperatorId, Timestamp};
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder};
use serde_json::json;
use uuid::Uuid;

use crate::caller::{Action, Resource, Scope};
use crate::convert::{at, line, ms};
use crate::entity::{api_token, operator};
use crate::store::Commit;
use crate::{Acting, Caller, Error, Operator, Result, TokenHash, audit};

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
    /// That account's name.
    pub operator_name: String,
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
    ///
    /// # Errors
    ///
    /// [`Error::CallerInput`] for a bad name, [`Error::CallerUnknown`] when there is no such account.
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
        let store = &self.0.store;
        let writing = store.write(Commit::Synced).await?;
        let owner = operator::Entity::find_by_id(row.operator_id).one(&writing.txn).await;
        let owner = store.sorted(owner)?.ok_or_else(|| Error::unknown("account", new.operator))?;
        let insert = api_token::Entity::insert(row.clone().into_active_model());
        store.sorted(insert.exec_without_returning(&writing.txn).await)?;
        // A sign-in has a line of its own.
        if matches!(self.0.caller, Caller::Operator { .. }) {
            let detail = json!({ "id": row.id, "expires": row.expires_at, "of": owner.name });
            let action = "api-token.created";
            audit::note(&self.0, &writing.txn, action, &row.name, detail, now).await?;
        }
        writing.commit().await?;
        Ok(token_of(row, owner))
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

    /// Those that still open something and that the caller may see, newest first.
    pub async fn list(&self, now: Timestamp) -> Result<Vec<ApiToken>> {
        let mut query = api_token::Entity::find().order_by_desc(api_token::Column::Id);
        if let Scope::Own(id) = self.0.caller.scope(Resource::Credentials, Action::Read)? {
            query = query.filter(api_token::Column::OperatorId.eq(id.0));
        }
        let query = query.filter(api_token::Column::ExpiresAt.gt(ms(now)));
        let query = query.find_also_related(operator::Entity);
        let rows = self.0.store.sorted(query.all(self.0.store.reader()).await)?;
        Ok(rows.into_iter().filter_map(|(row, owner)| Some(token_of(row, owner?))).collect())
    }

    /// Withdraws one; answers what it was.
    ///
    /// # Errors
    ///
    /// [`Error::CallerUnknown`] when there is none of that id that the caller may change.
    pub async fn revoke(&self, id: Uuid, now: Timestamp) -> Result<ApiToken> {
        let scope = self.0.caller.scope(Resource::Credentials, Action::Write)?;
        let store = &self.0.store;
        let writing = store.write(Commit::Synced).await?;
        let found = api_token::Entity::find_by_id(id).find_also_related(operator::Entity);
        let found = match store.sorted(found.one(&writing.txn).await)? {
            Some((row, Some(owner))) if scope.holds(OperatorId(owner.id)) => token_of(row, owner),
            _ => return Err(Error::unknown("token", id)),
        };
        let delete = api_token::Entity::delete_by_id(id);
        store.sorted(delete.exec(&writing.txn).await)?;
        let detail = json!({ "id": id, "of": found.operator_name });
        let action = "api-token.revoked";
        audit::note(&self.0, &writing.txn, action, &found.name, detail, now).await?;
        writing.commit().await?;
        Ok(found)
    }
}

fn token_of(row: api_token::Model, owner: operator::Model) -> ApiToken {
    ApiToken {
        id: row.id,
        operator: OperatorId(row.operator_id),
        operator_name: owner.name,
        name: row.name,
        created: at(row.created_at),
        expires: at(row.expires_at),
    }
}
