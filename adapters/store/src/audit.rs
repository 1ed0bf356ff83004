use model::{Generation, Timestamp};
use sea_orm::sea_query::{Expr, ExprTrait, Func};
use sea_orm::{
    ColumnTrait, Condition, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter,
    QueryOrder, QuerySelect,
};
use serde_json::Value;
use uuid::Uuid;

use crate::caller::{Action, Resource};
use crate::convert::{at, damaged, generation, ms, number};
use crate::entity::audit;
use crate::store::Commit;
use crate::{Acting, Caller, Result};

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// The site itself.
    Site,
    /// A person, by name.
    Operator(String),
    /// A Jump Client, by name.
    Agent(String),
    /// Somebody who has not proven who they are.
    Unknown,
}

impl Actor {
    fn kind(&self) -> &'static str {
        match self {
            Self::Site => "site",
            Self::Operator(_) => "operator",
            Self::Agent(_) => "agent",
            Self::Unknown => "unknown",
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Site | Self::Unknown => "",
            Self::Operator(name) | Self::Agent(name) => name,
        }
    }

    fn read(kind: &str, name: String) -> Result<Self> {
        match kind {
            "site" => Ok(Self::Site),
            "operator" => Ok(Self::Operator(name)),
            "agent" => Ok(Self::Agent(name)),
            "unknown" => Ok(Self::Unknown),
            other => Err(damaged("audit", "actor_kind", other)),
        }
    }
}

impl From<&Caller> for Actor {
    fn from(caller: &Caller) -> Self {
        match caller {
            Caller::Site => Self::Site,
            Caller::Operator { name, .. } => Self::Operator(name.clone()),
        }
    }
}

/// Something that happened, to be noted.
#[derive(Debug, Clone)]
pub struct NewAudit {
    /// Who did it.
    pub actor: Actor,
    /// What was done, noun first: `session.opened`.
    pub action: &'static str,
    /// To what: a name or an id.
    pub subject: String,
    /// More about it, for programs.
    pub detail: Value,
    /// The address it came from.
    pub peer: Option<String>,
}

/// A line of the audit log.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// Its id, ordered by time.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// What was done.
    pub action: String,
    /// To what.
    pub subject: String,
    /// More about it.
    pub detail: Value,
    /// The address it came from.
    pub peer: Option<String>,
    /// The generation that noted it.
    pub generation: Generation,
}

/// Which entries are asked for; an empty one asks for all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditFilter {
    /// Who did it: exactly this name of a person or Jump Client, whatever its letters' case.
    pub actor: String,
    /// What it is about: part of the subject or of the details, such as a name or an id.
    pub about: String,
    /// What was done: how the action begins, such as `session` or `session.opened`.
    pub action: String,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

impl AuditFilter {
    fn condition(&self) -> Condition {
        let actor = self.actor.trim().to_lowercase();
        let (about, action) = (self.about.trim(), self.action.trim());
        let lower = |column: audit::Column| Func::lower(Expr::col(column));
        Condition::all()
            .add_option(
                (!actor.is_empty()).then(|| Expr::expr(lower(audit::Column::Actor)).eq(actor)),
            )
            .add_option((!about.is_empty()).then(|| {
                Condition::any()
                    .add(audit::Column::Subject.contains(about))
                    .add(audit::Column::Detail.contains(about))
            }))
            .add_option((!action.is_empty()).then(|| audit::Column::Action.starts_with(action)))
            .add_option(self.from.map(|from| audit::Column::At.gte(ms(from))))
            .add_option(self.until.map(|until| audit::Column::At.lt(ms(until))))
    }
}

/// The audit log; it only grows.
pub struct Audit(pub(crate) Acting);

impl Audit {
    /// Notes what the caller does, from where they do it.
    pub async fn note(
        &self,
        action: &'static str,
        subject: &str,
        detail: Value,
        now: Timestamp,
    ) -> Result<()> {
        self.append(by_caller(&self.0, action, subject, detail), now).await
    }

    /// Notes something that happened.
    pub async fn append(&self, new: NewAudit, now: Timestamp) -> Result<()> {
        let turn = self.0.store.write_one(Commit::Unsynced).await?;
        let row = row_of(&self.0, new, now);
        let insert = audit::Entity::insert(row).exec_without_returning(turn.db).await;
        self.0.store.sorted(insert).map(drop)
    }

    /// The newest entries before `before` that `wanted` lets pass, newest first.
    pub async fn list(
        &self,
        wanted: &AuditFilter,
        limit: u64,
        before: Option<Uuid>,
    ) -> Result<Vec<AuditEntry>> {
        self.0.caller.all(Resource::Audit, Action::Read)?;
        let mut query = audit::Entity::find().filter(wanted.condition());
        if let Some(before) = before {
            query = query.filter(audit::Column::Id.lt(before));
        }
        let query = query.order_by_desc(audit::Column::Id).limit(limit);
        let rows = self.0.store.sorted(query.all(self.0.store.reader()).await)?;
        rows.into_iter().map(AuditEntry::try_from).collect()
    }
}

/// Notes, in the transaction that does it, what the caller does.
pub(crate) async fn note(
    acting: &Acting,
    txn: &DatabaseTransaction,
    action: &'static str,
    subject: &str,
    detail: Value,
    now: Timestamp,
) -> Result<()> {
    note_as(acting, txn, by_caller(acting, action, subject, detail), now).await
}

fn by_caller(acting: &Acting, action: &'static str, subject: &str, detail: Value) -> NewAudit {
    NewAudit {
        actor: Actor::from(&acting.caller),
        action,
        subject: subject.to_owned(),
        detail,
        peer: acting.caller.peer(),
    }
}

/// Notes, in the transaction that does it, what somebody else does through the site.
pub(crate) async fn note_as(
    acting: &Acting,
    txn: &DatabaseTransaction,
    new: NewAudit,
    now: Timestamp,
) -> Result<()> {
    let row = row_of(acting, new, now);
    let insert = audit::Entity::insert(row).exec_without_returning(txn).await;
    acting.store.sorted(insert).map(drop)
}

fn row_of(acting: &Acting, new: NewAudit, now: Timestamp) -> audit::ActiveModel {
    audit::Model {
        id: Uuid::now_v7(),
        at: ms(now),
        actor_kind: new.actor.kind().to_owned(),
        actor: new.actor.name().to_owned(),
        action: new.action.to_owned(),
        subject: new.subject,
        detail: new.detail.to_string(),
        peer: new.peer,
        generation: number(acting.store.generation().0),
    }
    .into_active_model()
}

impl TryFrom<audit::Model> for AuditEntry {
    type Error = crate::Error;

    fn try_from(row: audit::Model) -> Result<Self> {
        let detail = serde_json::from_str(&row.detail)
            .map_err(|_| damaged("audit", "detail", &row.detail))?;
        Ok(Self {
            id: row.id,
            at: at(row.at),
            actor: Actor::read(&row.actor_kind, row.actor)?,
            action: row.action,
            subject: row.subject,
            detail,
            peer: row.peer,
            generation: generation(row.generation),
        })
    }
}
