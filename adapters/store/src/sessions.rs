use std::path::PathBuf;
use std::time::Duration;

use model::{
    AgentId, ConsoleId, Generation, OperatorId, SessionId, SessionKind, SessionOutcome,
    SessionState, Timestamp,
};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, DatabaseTransaction, DbErr, EntityTrait,
    FromQueryResult, IntoActiveModel, JoinType, QueryFilter, QueryOrder, QuerySelect,
    RelationTrait, Select, SqlErr,
};
use uuid::Uuid;

use crate::audit::{Actor, NewAudit, note_as};
use crate::caller::{Action, Resource, Scope};
use crate::convert::{at, count, from_word, generation, ms, number, word};
use crate::entity::{agent, operator, session, session_stalls};
use crate::store::Commit;
use crate::{Acting, Error, Result, legs, recordings};

/// The schema level from which on sessions have legs.
pub(crate) const LEGS_FROM: u32 = 2;
/// The most rows that one page gets.
const PAGE_MOST: u64 = 1000;
/// The longest command that is kept in full, in characters; the recording has it all.
pub const COMMAND_MOST: usize = 8192;

/// A session to be opened.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub operator: OperatorId,
    /// Their name, for the audit log.
    pub operator_name: String,
    /// The endpoint's agent.
    pub agent: AgentId,
    /// The console that asks for it.
    pub console: Option<ConsoleId>,
    /// What it does.
    pub kind: SessionKind,
    /// The command, for a session of that kind.
    pub command: Option<String>,
    /// The recording's file below the folder of recordings, when it is recorded.
    pub recording: Option<PathBuf>,
    /// The address that the console came from.
    pub peer: Option<String>,
    /// When it was asked for.
    pub started: Timestamp,
}

/// How a session ended.
#[derive(Debug, Clone)]
pub struct SessionEnd {
    /// How it ended.
    pub outcome: SessionOutcome,
    /// Bytes from the endpoint.
    pub bytes_out: u64,
    /// Bytes to the endpoint.
    pub bytes_in: u64,
}

/// How often a session went on after a break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stalls {
    /// How often a leg came back.
    pub resume_count: u64,
    /// The longest that its bytes stood still for it.
    pub stall_max: Duration,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub operator: OperatorId,
    /// Their name.
    pub operator_name: String,
    /// The endpoint's agent.
    pub agent: AgentId,
    /// Its name.
    pub agent_name: String,
    /// The console that asked for it.
    pub console: Option<ConsoleId>,
    /// What it does.
    pub kind: SessionKind,
    /// The command, for a session of that kind.
    pub command: Option<String>,
    /// Where it stands.
    pub state: SessionState,
    /// When it was asked for.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// How it ended.
    pub outcome: Option<SessionOutcome>,
    /// Bytes from the endpoint, known at the end.
    pub bytes_out: u64,
    /// Bytes to the endpoint, known at the end.
    pub bytes_in: u64,
    /// Whether it is recorded.
    pub recorded: bool,
    /// The generation that carries it, or carried it last.
    pub generation: Generation,
    /// Its stalls; `None` when the program is older than their schema level.
    pub stalls: Option<Stalls>,
}

/// Sessions.
pub struct Sessions(pub(crate) Acting);

impl Sessions {
    /// Writes down that a session was asked for: the session, its recording and the line in the
    /// audit log, in one transaction.
    ///
    /// # Errors
    ///
    /// [`Error::CallerConflict`] when the id is taken, [`Error::CallerUnknown`] when operator, agent
    /// or console are not there.
    pub async fn open(&self, new: NewSession) -> Result<()> {
        self.0.caller.site("open sessions")?;
        let writing = self.0.store.write(Commit::Unsynced).await?;
        let insert = session::Entity::insert(self.row_of(&new).into_active_model());
        if let Err(error) = insert.exec_without_returning(&writing.txn).await {
            return Err(self.not_opened(&new, error));
        }
        if let Some(path) = &new.recording {
            recordings::start(&self.0, &writing.txn, new.id, path, new.started).await?;
        }
        let endpoint = endpoint_of(&self.0, &writing.txn, new.agent.0).await?;
        let entry = NewAudit {
            actor: Actor::Operator(new.operator_name),
            action: "session.opened",
            subject: new.id.to_string(),
            detail: serde_json::json!({
                "agent": new.agent, "endpoint": endpoint, "kind": new.kind,
            }),
            peer: new.peer,
        };
        note_as(&self.0, &writing.txn, entry, new.started).await?;
        writing.commit().await
    }

    fn row_of(&self, new: &NewSession) -> session::Model {
        session::Model {
            id: new.id.0,
            operator_id: new.operator.0,
            agent_id: new.agent.0,
            console_id: new.console.map(|id| id.0),
            kind: word(&new.kind),
            command: new.command.as_ref().map(|text| text.chars().take(COMMAND_MOST).collect()),
            state: word(&SessionState::Opening),
            started_at: ms(new.started),
            ended_at: None,
            outcome: None,
            bytes_out: 0,
            bytes_in: 0,
            recorded: new.recording.is_some(),
            generation: number(self.0.store.generation().0),
        }
    }

    fn not_opened(&self, new: &NewSession, error: DbErr) -> Error {
        match error.sql_err() {
            Some(SqlErr::UniqueConstraintViolation(_)) => {
                Error::CallerConflict(format!("there is a session {} already", new.id))
            }
            Some(SqlErr::ForeignKeyConstraintViolation(_)) => {
                Error::unknown("operator, Jump Client or console for session", new.id)
            }
            _ => self.0.store.failed(error),
        }
    }

    /// Notes that bytes can flow, through this generation; an ended session stays ended.
    pub async fn live(&self, id: SessionId) -> Result<()> {
        self.0.caller.site("move sessions")?;
        let writing = self.0.store.write(Commit::Unsynced).await?;
        self.live_in(&writing.txn, id).await?;
        writing.commit().await
    }

    pub(crate) async fn live_in(&self, txn: &DatabaseTransaction, id: SessionId) -> Result<()> {
        let update = session::Entity::update_many()
            .set(session::ActiveModel {
                state: Set(word(&SessionState::Live)),
                generation: Set(number(self.0.store.generation().0)),
                ..Default::default()
            })
            .filter(session::Column::Id.eq(id.0))
            .filter(session::Column::State.ne(word(&SessionState::Ended)));
        self.0.store.sorted(update.exec(txn).await).map(drop)
    }

    /// Notes that a session is over; says whether it was not so already.
    ///
    /// The first end is the one that counts, so that both generations may report it.
    pub async fn ended(&self, id: SessionId, end: SessionEnd, now: Timestamp) -> Result<bool> {
        self.0.caller.site("end sessions")?;
        let writing = self.0.store.write(Commit::Unsynced).await?;
        let ended = end_one(&self.0, &writing.txn, id, &end, now).await?;
        writing.commit().await?;
        Ok(ended)
    }

    /// The session with that id, if the caller may see it.
    pub async fn by_id(&self, id: SessionId) -> Result<Option<Session>> {
        let query = self.query()?.filter(session::Column::Id.eq(id.0));
        Ok(self.read(query).await?.pop())
    }

    /// The sessions that have not ended and that the caller may see, oldest first.
    pub async fn list_live(&self) -> Result<Vec<Session>> {
        let query = self
            .listed()?
            .filter(session::Column::State.ne(word(&SessionState::Ended)))
            .order_by_asc(session::Column::StartedAt)
            .order_by_asc(session::Column::Id);
        self.read(query).await
    }

    /// The ended sessions that the caller may see, newest first, older than the session `before`.
    pub async fn list_past(&self, limit: u64, before: Option<SessionId>) -> Result<Vec<Session>> {
        let mut query = self
            .listed()?
            .filter(session::Column::State.eq(word(&SessionState::Ended)))
            .order_by_desc(session::Column::StartedAt)
            .order_by_desc(session::Column::Id)
            .limit(limit.min(PAGE_MOST));
        if let Some(before) = before {
            let Some(last) = self.by_id(before).await? else { return Ok(Vec::new()) };
            query = query.filter(older_than(last.started, before.0));
        }
        self.read(query).await
    }

    /// The newest sessions with that Jump Client that the caller may see.
    pub async fn list_of_agent(&self, agent: AgentId, limit: u64) -> Result<Vec<Session>> {
        let query = self
            .query()?
            .filter(session::Column::AgentId.eq(agent.0))
            .order_by_desc(session::Column::StartedAt)
            .order_by_desc(session::Column::Id)
            .limit(limit.min(PAGE_MOST));
        self.read(query).await
    }

    /// How many sessions have not ended, the self-test's left out.
    pub async fn count_live(&self) -> Result<u64> {
        Ok(self.list_live().await?.len() as u64)
    }

    fn listed(&self) -> Result<Select<session::Entity>> {
        Ok(self.query()?.filter(agent::Column::Builtin.eq(false)))
    }

    fn query(&self) -> Result<Select<session::Entity>> {
        let scope = self.0.caller.scope(Resource::Sessions, Action::Read)?;
        let mut query = session::Entity::find()
            .column_as(operator::Column::Name, "operator_name")
            .column_as(agent::Column::Name, "agent_name")
            .join(JoinType::InnerJoin, session::Relation::Operator.def())
            .join(JoinType::InnerJoin, session::Relation::Agent.def());
        if self.0.store.level() >= LEGS_FROM {
            let added = |column| Expr::col((session::Entity, column));
            query = query
                .column_as(added(session_stalls::Column::StallMsMax), "stall_ms_max")
                .column_as(added(session_stalls::Column::ResumeCount), "resume_count");
        } else {
            query = query
                .column_as(Expr::value(Option::<i64>::None), "stall_ms_max")
                .column_as(Expr::value(Option::<i64>::None), "resume_count");
        }
        if let Scope::Own(id) = scope {
            query = query.filter(session::Column::OperatorId.eq(id.0));
        }
        Ok(query)
    }

    async fn read(&self, query: Select<session::Entity>) -> Result<Vec<Session>> {
        let rows = query.into_model::<Row>().all(self.0.store.reader()).await;
        self.0.store.sorted(rows)?.into_iter().map(Session::try_from).collect()
    }
}

/// What comes after a row in a list that begins with the newest.
fn older_than(started: Timestamp, id: Uuid) -> Condition {
    Condition::any().add(session::Column::StartedAt.lt(ms(started))).add(
        Condition::all()
            .add(session::Column::StartedAt.eq(ms(started)))
            .add(session::Column::Id.lt(id)),
    )
}

/// The name of the Jump Client, by which people search the audit log.
async fn endpoint_of(
    acting: &Acting,
    txn: &DatabaseTransaction,
    agent: Uuid,
) -> Result<Option<String>> {
    let name = agent::Entity::find_by_id(agent)
        .select_only()
        .column(agent::Column::Name)
        .into_tuple::<String>()
        .one(txn)
        .await;
    acting.store.sorted(name)
}

/// Ends one session, in the transaction that says why; says whether it had not ended already.
pub(crate) async fn end_one(
    acting: &Acting,
    txn: &DatabaseTransaction,
    id: SessionId,
    end: &SessionEnd,
    now: Timestamp,
) -> Result<bool> {
    let update = session::Entity::update_many()
        .set(session::ActiveModel {
            state: Set(word(&SessionState::Ended)),
            ended_at: Set(Some(ms(now))),
            outcome: Set(Some(word(&end.outcome))),
            bytes_out: Set(number(end.bytes_out)),
            bytes_in: Set(number(end.bytes_in)),
            generation: Set(number(acting.store.generation().0)),
            ..Default::default()
        })
        .filter(session::Column::Id.eq(id.0))
        .filter(session::Column::State.ne(word(&SessionState::Ended)));
    let ended = acting.store.sorted(update.exec(txn).await)?.rows_affected == 1;
    if ended {
        legs::close_all(acting, txn, id, now).await?;
        let row = session::Entity::find_by_id(id.0).one(txn).await;
        let endpoint = match acting.store.sorted(row)? {
            Some(row) => endpoint_of(acting, txn, row.agent_id).await?,
            None => None,
        };
        let entry = NewAudit {
            actor: Actor::Site,
            action: "session.ended",
            subject: id.to_string(),
            detail: serde_json::json!({
                "endpoint": endpoint, "outcome": end.outcome, "bytes_out": end.bytes_out, "bytes_in": end.bytes_in,
            }),
            peer: None,
        };
        note_as(acting, txn, entry, now).await?;
    }
    Ok(ended)
}

#[derive(FromQueryResult)]
struct Row {
    id: Uuid,
    operator_id: Uuid,
    operator_name: String,
    agent_id: Uuid,
    agent_name: String,
    console_id: Option<Uuid>,
    kind: String,
    command: Option<String>,
    state: String,
    started_at: i64,
    ended_at: Option<i64>,
    outcome: Option<String>,
    bytes_out: i64,
    bytes_in: i64,
    recorded: bool,
    generation: i64,
    stall_ms_max: Option<i64>,
    resume_count: Option<i64>,
}

impl TryFrom<Row> for Session {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let outcome = row.outcome.as_deref();
        let stalls = row.stall_ms_max.zip(row.resume_count).map(|(stall, resumes)| Stalls {
            resume_count: count(resumes),
            stall_max: Duration::from_millis(count(stall)),
        });
        Ok(Self {
            id: SessionId(row.id),
            operator: OperatorId(row.operator_id),
            operator_name: row.operator_name,
            agent: AgentId(row.agent_id),
            agent_name: row.agent_name,
            console: row.console_id.map(ConsoleId),
            kind: from_word("session", "kind", &row.kind)?,
            command: row.command,
            state: from_word("session", "state", &row.state)?,
            started: at(row.started_at),
            ended: row.ended_at.map(at),
            outcome: outcome.map(|text| from_word("session", "outcome", text)).transpose()?,
            bytes_out: count(row.bytes_out),
            bytes_in: count(row.bytes_in),
            recorded: row.recorded,
            generation: generation(row.generation),
            stalls,
        })
    }
}
