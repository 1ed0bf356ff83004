use std::path::{Component, Path, PathBuf};

use model::{OperatorId, SessionId, Timestamp};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, DatabaseTransaction, EntityTrait, FromQueryResult,
    IntoActiveModel, JoinType, QueryFilter, QueryOrder, QuerySelect, RelationTrait, Select,
};
use uuid::Uuid;

use crate::caller::{Action, Resource, Scope};
use crate::convert::{at, count, ms, number};
use crate::entity::{agent, operator, recording, session};
use crate::store::Commit;
use crate::token::{bytes32, hex};
use crate::{Acting, Error, Result};

/// The most rows that one page gets.
const PAGE_MOST: u64 = 1000;

/// The recording of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// The session.
    pub session: SessionId,
    /// Whose session.
    pub operator: OperatorId,
    /// Their name.
    pub operator_name: String,
    /// The name of the endpoint's Jump Client.
    pub agent_name: String,
    /// The file, below the folder of recordings.
    pub path: PathBuf,
    /// Its size in bytes, known when it is complete.
    pub size: u64,
    /// The head of its BLAKE3 chain, known when it is complete.
    pub chain_head: Option<[u8; 32]>,
    /// Whether nothing more will be added.
    pub complete: bool,
    /// When it began.
    pub started: Timestamp,
    /// When it was completed.
    pub finished: Option<Timestamp>,
}

/// Recordings.
pub struct Recordings(pub(crate) Acting);

impl Recordings {
    /// Notes that a session is recorded in a file below the folder of recordings.
    ///
    /// Repeating it changes nothing: the next generation goes on in the same file.
    ///
    /// # Errors
    ///
    /// [`Error::CallerInput`] for a path that leads elsewhere.
    pub async fn started(&self, session: SessionId, path: &Path, now: Timestamp) -> Result<()> {
        self.0.caller.site("record sessions")?;
        let writing = self.0.store.write(Commit::Unsynced).await?;
        start(&self.0, &writing.txn, session, path, now).await?;
        let update = session::Entity::update_many()
            .col_expr(session::Column::Recorded, Expr::value(true))
            .filter(session::Column::Id.eq(session.0));
        self.0.store.sorted(update.exec(&writing.txn).await)?;
        writing.commit().await
    }

    /// Notes that a recording is complete and on the disk.
    ///
    /// # Errors
    ///
    /// [`Error::CallerUnknown`] when that session has none.
    pub async fn finished(
        &self,
        session: SessionId,
        size: u64,
        chain_head: [u8; 32],
        now: Timestamp,
    ) -> Result<()> {
        self.0.caller.site("record sessions")?;
        let turn = self.0.store.write_one(Commit::Unsynced).await?;
        let update = recording::Entity::update_many()
            .set(recording::ActiveModel {
                size: Set(number(size)),
                chain_head: Set(Some(hex(&chain_head))),
                complete: Set(true),
                finished_at: Set(Some(ms(now))),
                ..Default::default()
            })
            .filter(recording::Column::SessionId.eq(session.0));
        match self.0.store.sorted(update.exec(turn.db).await)?.rows_affected {
            0 => Err(Error::unknown("recording of session", session)),
            _ => Ok(()),
        }
    }

    /// The recording of that session, if the caller may see it.
    pub async fn by_session(&self, session: SessionId) -> Result<Option<Recording>> {
        let query = self.query()?.filter(recording::Column::SessionId.eq(session.0));
        Ok(self.read(query).await?.pop())
    }

    /// Those that the caller may see, newest first, older than that of the session `before`.
    pub async fn list(&self, limit: u64, before: Option<SessionId>) -> Result<Vec<Recording>> {
        let mut query = self
            .query()?
            .filter(agent::Column::Builtin.eq(false))
            .order_by_desc(recording::Column::StartedAt)
            .order_by_desc(recording::Column::SessionId)
            .limit(limit.min(PAGE_MOST));
        if let Some(before) = before {
            let Some(last) = self.by_session(before).await? else { return Ok(Vec::new()) };
            query = query.filter(older_than(last.started, before.0));
        }
        self.read(query).await
    }

    /// Those that nobody has completed: of running sessions, and of those that a crash cut off.
    pub async fn incomplete(&self) -> Result<Vec<Recording>> {
        let query = self.query()?.filter(recording::Column::Complete.eq(false));
        self.read(query).await
    }

    fn query(&self) -> Result<Select<recording::Entity>> {
        let scope = self.0.caller.scope(Resource::Recordings, Action::Read)?;
        let mut query = recording::Entity::find()
            .column(session::Column::OperatorId)
            .column_as(operator::Column::Name, "operator_name")
            .column_as(agent::Column::Name, "agent_name")
            .join(JoinType::InnerJoin, recording::Relation::Session.def())
            .join(JoinType::InnerJoin, session::Relation::Operator.def())
            .join(JoinType::InnerJoin, session::Relation::Agent.def());
        if let Scope::Own(id) = scope {
            query = query.filter(session::Column::OperatorId.eq(id.0));
        }
        Ok(query)
    }

    async fn read(&self, query: Select<recording::Entity>) -> Result<Vec<Recording>> {
        let rows = query.into_model::<Row>().all(self.0.store.reader()).await;
        self.0.store.sorted(rows)?.into_iter().map(Recording::try_from).collect()
    }
}

fn older_than(started: Timestamp, session: Uuid) -> Condition {
    Condition::any().add(recording::Column::StartedAt.lt(ms(started))).add(
        Condition::all()
            .add(recording::Column::StartedAt.eq(ms(started)))
            .add(recording::Column::SessionId.lt(session)),
    )
}

/// Notes a recording, in the transaction that opens its session.
pub(crate) async fn start(
    acting: &Acting,
    txn: &DatabaseTransaction,
    session: SessionId,
    path: &Path,
    now: Timestamp,
) -> Result<()> {
    let row = recording::Model {
        session_id: session.0,
        path: inside(path)?,
        size: 0,
        chain_head: None,
        complete: false,
        started_at: ms(now),
        finished_at: None,
    };
    let known = OnConflict::column(recording::Column::SessionId).do_nothing().to_owned();
    let insert = recording::Entity::insert(row.into_active_model())
        .on_conflict(known)
        .try_insert()
        .exec_without_returning(txn)
        .await;
    acting.store.sorted(insert).map(drop)
}

/// The path as text, when it leads to a file below the folder it is relative to.
fn inside(path: &Path) -> Result<String> {
    let stays = path.components().all(|part| matches!(part, Component::Normal(_)));
    match path.to_str() {
        Some(text) if stays && !text.is_empty() => Ok(text.to_owned()),
        _ => Err(Error::input(
            "Recording",
            format!("{} is no path below the folder of recordings", path.display()),
        )),
    }
}

#[derive(FromQueryResult)]
struct Row {
    session_id: Uuid,
    operator_id: Uuid,
    operator_name: String,
    agent_name: String,
    path: String,
    size: i64,
    chain_head: Option<String>,
    complete: bool,
    started_at: i64,
    finished_at: Option<i64>,
}

impl TryFrom<Row> for Recording {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let head = row.chain_head.as_deref();
        Ok(Self {
            session: SessionId(row.session_id),
            operator: OperatorId(row.operator_id),
            operator_name: row.operator_name,
            agent_name: row.agent_name,
            path: row.path.into(),
            size: count(row.size),
            chain_head: head.map(|text| bytes32("recording", "chain_head", text)).transpose()?,
            complete: row.complete,
            started: at(row.started_at),
            finished: row.finished_at.map(at),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_stays_below_its_folder() {
        assert_eq!(inside(Path::new("2026/11/a.cast")).ok().as_deref(), Some("2026/11/a.cast"));
        for bad in ["", "/etc/passwd", "../a", "a/../../b"] {
            assert!(inside(Path::new(bad)).is_err(), "{bad}");
        }
    }
}
