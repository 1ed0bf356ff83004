use model::{OperatorId, Timestamp};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
};
use uuid::Uuid;

use crate::caller::{Action, Resource};
use crate::convert::{at, from_word, line, line_or_empty, ms, word};
use crate::entity::enrolment_token;
use crate::store::Commit;
use crate::{Acting, AgentMode, Caller, Error, Result, TokenFault, TokenHash, audit};

/// The most Jump Clients that one token may enrol.
const USES_MOST: u32 = 100_000;

/// An enrolment token to be given out.
#[derive(Debug, Clone)]
pub struct NewEnrolmentToken {
    /// The hash of the token.
    pub token: TokenHash,
    /// What it is for.
    pub name: String,
    /// The group that its Jump Clients join; may be empty.
    pub group: String,
    /// How its Jump Clients keep in touch.
    pub mode: AgentMode,
    /// How many Jump Clients it may enrol, from 1 on.
    pub uses: u32,
    /// When it ends.
    pub expires: Timestamp,
}

/// A token that enrols Jump Clients; the token itself is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolmentToken {
    /// Its id.
    pub id: Uuid,
    /// What it is for.
    pub name: String,
    /// The group that its Jump Clients join.
    pub group: String,
    /// How its Jump Clients keep in touch.
    pub mode: AgentMode,
    /// How many more it may enrol.
    pub uses_left: u32,
    /// Who made it.
    pub created_by: Option<OperatorId>,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
}

/// Tokens that enrol Jump Clients.
pub struct EnrolmentTokens(pub(crate) Acting);

impl EnrolmentTokens {
    /// Gives one out.
    pub async fn create(&self, new: NewEnrolmentToken, now: Timestamp) -> Result<EnrolmentToken> {
        self.0.caller.all(Resource::EnrolmentTokens, Action::Write)?;
        let row = self.row_of(new, now)?;
        let writing = self.0.store.write(Commit::Synced).await?;
        let insert = enrolment_token::Entity::insert(row.clone().into_active_model());
        self.0.store.sorted(insert.exec_without_returning(&writing.txn).await)?;
        let detail = serde_json::json!({ "uses": row.uses_left, "group": row.group_name });
        let action = "enrolment-token.created";
        audit::note(&self.0, &writing.txn, action, &row.name, detail, now).await?;
        writing.commit().await?;
        row.try_into()
    }

    fn row_of(&self, new: NewEnrolmentToken, now: Timestamp) -> Result<enrolment_token::Model> {
        if new.uses == 0 || new.uses > USES_MOST {
            let reason = format!("is {}; choose a number from 1 to {USES_MOST}", new.uses);
            return Err(Error::input("Uses", reason));
        }
        if new.expires <= now {
            return Err(Error::input("Expires", "lies in the past; choose a later moment"));
        }
        Ok(enrolment_token::Model {
            id: Uuid::now_v7(),
            token_hash: new.token.text(),
            name: line("Name", &new.name, 100)?,
            group_name: line_or_empty("Group", &new.group, 100)?,
            mode: word(&new.mode),
            uses_left: i32::try_from(new.uses).unwrap_or(i32::MAX),
            created_by: match &self.0.caller {
                Caller::Site => None,
                Caller::Operator { id, .. } => Some(id.0),
            },
            created_at: ms(now),
            expires_at: ms(new.expires),
        })
    }

    /// Those that can still enrol, newest first.
    pub async fn list(&self, now: Timestamp) -> Result<Vec<EnrolmentToken>> {
        self.0.caller.all(Resource::EnrolmentTokens, Action::Read)?;
        let query = enrolment_token::Entity::find()
            .filter(enrolment_token::Column::ExpiresAt.gt(ms(now)))
            .filter(enrolment_token::Column::UsesLeft.gt(0))
            .order_by_desc(enrolment_token::Column::Id);
        let rows = self.0.store.sorted(query.all(self.0.store.reader()).await)?;
        rows.into_iter().map(EnrolmentToken::try_from).collect()
    }

    /// Withdraws one; the Jump Clients that it enrolled stay. Answers what it was.
    ///
    /// # Errors
    ///
    /// [`Error::CallerUnknown`] when there is none of that id.
    pub async fn revoke(&self, id: Uuid, now: Timestamp) -> Result<EnrolmentToken> {
        self.0.caller.all(Resource::EnrolmentTokens, Action::Write)?;
        let store = &self.0.store;
        let writing = store.write(Commit::Synced).await?;
        let found = enrolment_token::Entity::find_by_id(id).one(&writing.txn).await;
        let row = store.sorted(found)?.ok_or_else(|| Error::unknown("enrolment token", id))?;
        let delete = enrolment_token::Entity::delete_by_id(id);
        store.sorted(delete.exec(&writing.txn).await)?;
        let detail = serde_json::json!({ "id": id, "uses_left": row.uses_left });
        let action = "enrolment-token.revoked";
        audit::note(&self.0, &writing.txn, action, &row.name, detail, now).await?;
        writing.commit().await?;
        row.try_into()
    }
}

/// Takes one use of a token, in the transaction that enrols.
pub(crate) async fn take_use(
    acting: &Acting,
    txn: &DatabaseTransaction,
    token: TokenHash,
    now: Timestamp,
) -> Result<EnrolmentToken> {
    let found = enrolment_token::Entity::find()
        .filter(enrolment_token::Column::TokenHash.eq(token.text()))
        .one(txn)
        .await;
    let Some(row) = acting.store.sorted(found)? else {
        return Err(Error::CallerToken(TokenFault::Unknown));
    };
    if row.expires_at <= ms(now) {
        return Err(Error::CallerToken(TokenFault::Expired(at(row.expires_at))));
    }
    if row.uses_left <= 0 {
        return Err(Error::CallerToken(TokenFault::UsedUp));
    }
    let left = Expr::col(enrolment_token::Column::UsesLeft).sub(1);
    let update = enrolment_token::Entity::update_many()
        .col_expr(enrolment_token::Column::UsesLeft, left)
        .filter(enrolment_token::Column::Id.eq(row.id));
    acting.store.sorted(update.exec(txn).await)?;
    row.try_into()
}

impl TryFrom<enrolment_token::Model> for EnrolmentToken {
    type Error = Error;

    fn try_from(row: enrolment_token::Model) -> Result<Self> {
        Ok(Self {
            id: row.id,
            name: row.name,
            group: row.group_name,
            mode: from_word("enrolment_token", "mode", &row.mode)?,
            uses_left: u32::try_from(row.uses_left).unwrap_or(0),
            created_by: row.created_by.map(OperatorId),
            created: at(row.created_at),
            expires: at(row.expires_at),
        })
    }
}
