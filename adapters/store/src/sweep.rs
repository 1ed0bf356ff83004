use std::path::PathBuf;
use std::time::Duration;

use model::{Generation, SessionId, SessionOutcome, SessionState, Timestamp};
use sea_orm::sea_query::{Expr, Query, SelectStatement};
use sea_orm::{
    ColumnTrait, DatabaseTransaction, EntityTrait, FromQueryResult, JoinType, QueryFilter,
    QuerySelect, RelationTrait,
};

use crate::convert::{ms, number, word};
use crate::entity::{agent, api_token, enrolment_token, recording, session, web_session};
use crate::sessions::end_one;
use crate::store::Commit;
use crate::{Caller, Fence, Result, SessionEnd};

/// How long an expired token stays, so that who comes late hears why it opens nothing.
const TOKENS_STAY: Duration = Duration::from_hours(30 * 24);
/// How long the sessions of the site's self-test stay.
const SELF_TESTS_STAY: Duration = Duration::from_hours(1);

/// What [`Fence::sweep`] removed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Swept {
    /// Browser sessions and bearer tokens that had expired.
    pub sign_ins: u64,
    /// Enrolment tokens that nobody can use any more.
    pub enrolment_tokens: u64,
    /// Recordings of self-tests, below the folder of recordings; the files can go now.
    pub self_test_recordings: Vec<PathBuf>,
}

/// What [`Fence::generations_gone`] corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gone {
    /// Jump Clients whose link a dead generation seemed to hold.
    pub agents: u64,
}

impl Fence {
    /// Removes what has expired.
    pub async fn sweep(&self, now: Timestamp) -> Result<Swept> {
        let writing = self.begin(Commit::Unsynced).await?;
        let store = self.store();
        let web =
            web_session::Entity::delete_many().filter(web_session::Column::ExpiresAt.lte(ms(now)));
        let web = store.sorted(web.exec(&writing.txn).await)?.rows_affected;
        let api =
            api_token::Entity::delete_many().filter(api_token::Column::ExpiresAt.lte(ms(now)));
        let api = store.sorted(api.exec(&writing.txn).await)?.rows_affected;
        let old = ago(now, TOKENS_STAY);
        let tokens = enrolment_token::Entity::delete_many()
            .filter(enrolment_token::Column::ExpiresAt.lte(ms(old)));
        let enrolment_tokens = store.sorted(tokens.exec(&writing.txn).await)?.rows_affected;
        let self_test_recordings = self.sweep_self_tests(&writing.txn, now).await?;
        writing.commit().await?;
        Ok(Swept { sign_ins: web + api, enrolment_tokens, self_test_recordings })
    }

    async fn sweep_self_tests(
        &self,
        txn: &DatabaseTransaction,
        now: Timestamp,
    ) -> Result<Vec<PathBuf>> {
        let store = self.store();
        let old = ms(ago(now, SELF_TESTS_STAY));
        let paths = recording::Entity::find()
            .select_only()
            .column(recording::Column::Path)
            .join(JoinType::InnerJoin, recording::Relation::Session.def())
            .filter(session::Column::Id.in_subquery(self_tests(old)))
            .into_model::<PathRow>()
            .all(txn)
            .await;
        let paths = store.sorted(paths)?;
        let recordings = recording::Entity::delete_many()
            .filter(recording::Column::SessionId.in_subquery(self_tests(old)));
        store.sorted(recordings.exec(txn).await)?;
        let sessions =
            session::Entity::delete_many().filter(session::Column::Id.in_subquery(self_tests(old)));
        store.sorted(sessions.exec(txn).await)?;
        Ok(paths.into_iter().map(|row| row.path.into()).collect())
    }

    /// Corrects what generations that no longer run left behind: links that they seem to hold.
    ///
    /// `alive` names those that run, this one too. Their sessions are not touched: agents and
    /// consoles resume them.
    pub async fn generations_gone(&self, alive: &[Generation]) -> Result<Gone> {
        let writing = self.begin(Commit::Unsynced).await?;
        let alive = alive.iter().map(|generation| number(generation.0));
        let update = agent::Entity::update_many()
            .col_expr(agent::Column::Generation, Expr::value(Option::<i64>::None))
            .filter(agent::Column::Generation.is_not_null())
            .filter(agent::Column::Generation.is_not_in(alive));
        let agents = self.store().sorted(update.exec(&writing.txn).await)?.rows_affected;
        writing.commit().await?;
        Ok(Gone { agents })
    }

    /// Ends sessions that nobody will resume, with the reason; says how many had not ended.
    pub async fn sessions_lost(
        &self,
        sessions: &[SessionId],
        reason: &str,
        now: Timestamp,
    ) -> Result<u64> {
        let acting = self.store().by(&Caller::Site);
        let writing = self.begin(Commit::Unsynced).await?;
        let outcome = SessionOutcome::Failed(reason.to_owned());
        let end = SessionEnd { outcome, bytes_out: 0, bytes_in: 0 };
        let mut ended = 0;
        for id in sessions {
            ended += u64::from(end_one(&acting, &writing.txn, *id, &end, now).await?);
        }
        writing.commit().await?;
        Ok(ended)
    }
}

#[derive(FromQueryResult)]
struct PathRow {
    path: String,
}

/// The self-test's sessions that began before that moment and have ended.
fn self_tests(before: i64) -> SelectStatement {
    let builtin = Query::select()
        .column(agent::Column::Id)
        .from(agent::Entity)
        .and_where(agent::Column::Builtin.eq(true))
        .to_owned();
    Query::select()
        .column(session::Column::Id)
        .from(session::Entity)
        .and_where(session::Column::StartedAt.lte(before))
        .and_where(session::Column::AgentId.in_subquery(builtin))
        .and_where(session::Column::State.eq(word(&SessionState::Ended)))
        .to_owned()
}

fn ago(now: Timestamp, while_: Duration) -> Timestamp {
    Timestamp(now.0.saturating_sub(u64::try_from(while_.as_millis()).unwrap_or(u64::MAX)))
}
