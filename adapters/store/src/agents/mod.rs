mod client;

use std::collections::HashSet;

use model::{AgentId, PublicKey, Release, SessionState, Timestamp};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait,
    IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};
use uuid::Uuid;

use crate::audit::{Actor, NewAudit, note_as};
use crate::caller::{Action, Resource};
use crate::convert::{line, line_or_empty, ms, number, word};
use crate::entity::{agent, session};
use crate::error::is_duplicate;
use crate::store::Commit;
use crate::{Acting, Error, Result, Store, TokenHash, audit, enrolment};

pub use self::client::{Agent, AgentMode, LOST_AFTER, PASSIVE_CHECK_IN, Upgrade, UpgradeStage};

/// A Jump Client that wants to belong to the site.
#[derive(Debug, Clone)]
pub struct Enrolment {
    /// The hash of the enrolment token.
    pub token: TokenHash,
    /// What it would like to be called, such as its host's name.
    pub name: String,
    /// Its identity, proven by its link.
    pub key: PublicKey,
    /// The operating system; may be empty.
    pub os: String,
    /// The processor architecture; may be empty.
    pub arch: String,
    /// The software it runs.
    pub release: Release,
}

/// Jump Clients.
pub struct Agents(pub(crate) Acting);

impl Agents {
    /// The Jump Client with that key.
    pub async fn by_key(&self, key: &PublicKey) -> Result<Option<Agent>> {
        self.one(agent::Column::Key.eq(key.to_string())).await
    }

    /// The Jump Client with that id, also a removed one.
    pub async fn by_id(&self, id: AgentId) -> Result<Option<Agent>> {
        self.0.caller.all(Resource::Agents, Action::Read)?;
        let row = agent::Entity::find_by_id(id.0).one(self.0.store.reader()).await;
        self.0.store.sorted(row)?.map(Agent::try_from).transpose()
    }

    /// The Jump Client with that name.
    pub async fn by_name(&self, name: &str) -> Result<Option<Agent>> {
        self.one(agent::Column::Name.eq(name.trim())).await
    }

    async fn one(&self, which: Expr) -> Result<Option<Agent>> {
        self.0.caller.all(Resource::Agents, Action::Read)?;
        let query = agent::Entity::find().filter(which).filter(agent::Column::RemovedAt.is_null());
        let row = self.0.store.sorted(query.one(self.0.store.reader()).await)?;
        row.map(Agent::try_from).transpose()
    }

    /// All Jump Clients, by name.
    pub async fn list(&self) -> Result<Vec<Agent>> {
        self.0.caller.all(Resource::Agents, Action::Read)?;
        let query = agent::Entity::find()
            .filter(agent::Column::RemovedAt.is_null())
            .filter(agent::Column::Builtin.eq(false))
            .order_by_asc(agent::Column::Name);
        let rows = self.0.store.sorted(query.all(self.0.store.reader()).await)?;
        rows.into_iter().map(Agent::try_from).collect()
    }

    /// Takes a Jump Client in, for one use of an enrolment token.
    ///
    /// One whose key is known already gets its old place and uses up nothing: its first try succeeded
    /// and the answer was lost. A name that is taken gets a number.
    ///
    /// # Errors
    ///
    /// [`Error::CallerToken`] when the token opens nothing, [`Error::CallerInput`] for a bad name.
    pub async fn enrol(&self, new: Enrolment, now: Timestamp) -> Result<Agent> {
        self.0.caller.site("enrol Jump Clients")?;
        let name = line("Name", &new.name, 64)?;
        let (os, arch) = (
            line_or_empty("Operating system", &new.os, 64)?,
            line_or_empty("Architecture", &new.arch, 32)?,
        );
        let store = &self.0.store;
        let writing = store.write(Commit::Synced).await?;
        let known = agent::Entity::find()
            .filter(agent::Column::Key.eq(new.key.to_string()))
            .filter(agent::Column::RemovedAt.is_null());
        if let Some(row) = store.sorted(known.one(&writing.txn).await)? {
            return row.try_into();
        }
        let token = enrolment::take_use(&self.0, &writing.txn, new.token, now).await?;
        let row = agent::Model {
            name: free_name(store, &writing.txn, name).await?,
            group_name: token.group,
            mode: word(&token.mode),
            ..row_of(&new.key, &os, &arch, &new.release, now)
        };
        let insert = agent::Entity::insert(row.clone().into_active_model());
        store.sorted(insert.exec_without_returning(&writing.txn).await)?;
        let entry = NewAudit {
            actor: Actor::Agent(row.name.clone()),
            action: "jump-client.enrolled",
            subject: row.name.clone(),
            detail: serde_json::json!({ "id": row.id, "key": row.key, "token": token.name }),
            peer: None,
        };
        note_as(&self.0, &writing.txn, entry, now).await?;
        writing.commit().await?;
        row.try_into()
    }

    /// Notes that this generation holds a Jump Client's link, or that a passive one checked in.
    pub async fn connected(&self, id: AgentId, running: &Release, now: Timestamp) -> Result<()> {
        self.0.caller.site("say which Jump Clients are connected")?;
        let writing = self.0.store.write(Commit::Unsynced).await?;
        self.connect_in(&writing.txn, id, running, now).await?;
        writing.commit().await
    }

    pub(crate) async fn connect_in(
        &self,
        txn: &DatabaseTransaction,
        id: AgentId,
        running: &Release,
        now: Timestamp,
    ) -> Result<()> {
        let update = agent::Entity::update_many()
            .set(agent::ActiveModel {
                generation: Set(Some(number(self.0.store.generation().0))),
                last_seen_at: Set(Some(ms(now))),
                version: Set(running.version.to_string()),
                revision: Set(i64::from(running.revision.0)),
                ..Default::default()
            })
            .filter(agent::Column::Id.eq(id.0));
        self.0.store.sorted(update.exec(txn).await).map(drop)
    }

    /// Notes that this generation no longer holds a Jump Client's link.
    ///
    /// Nothing changes when another generation holds one by now.
    pub async fn disconnected(&self, id: AgentId, now: Timestamp) -> Result<()> {
        self.0.caller.site("say which Jump Clients are connected")?;
        let writing = self.0.store.write(Commit::Unsynced).await?;
        self.disconnect_in(&writing.txn, id, now).await?;
        writing.commit().await
    }

    pub(crate) async fn disconnect_in(
        &self,
        txn: &DatabaseTransaction,
        id: AgentId,
        now: Timestamp,
    ) -> Result<()> {
        let update = agent::Entity::update_many()
            .set(agent::ActiveModel {
                generation: Set(None),
                last_seen_at: Set(Some(ms(now))),
                ..Default::default()
            })
            .filter(agent::Column::Id.eq(id.0))
            .filter(agent::Column::Generation.eq(number(self.0.store.generation().0)));
        self.0.store.sorted(update.exec(txn).await).map(drop)
    }

    /// Notes how a Jump Client's upgrade stands; `None` when there is nothing to say.
    pub async fn set_upgrade(
        &self,
        id: AgentId,
        upgrade: Option<(UpgradeStage, &str)>,
        now: Timestamp,
    ) -> Result<()> {
        self.0.caller.site("say how an upgrade stands")?;
        let text = upgrade.map(|(_, text)| text.chars().take(2000).collect());
        let change = agent::ActiveModel {
            upgrade_stage: Set(upgrade.map(|(stage, _)| word(&stage))),
            upgrade_text: Set(text),
            upgrade_at: Set(upgrade.map(|_| ms(now))),
            ..Default::default()
        };
        self.set(id, change).await
    }

    /// Notes whether its user switched a Jump Client off.
    pub async fn set_disabled(&self, id: AgentId, disabled: bool) -> Result<()> {
        self.0.caller.site("say what a Jump Client's user did")?;
        self.set(id, agent::ActiveModel { disabled: Set(disabled), ..Default::default() }).await
    }

    /// Notes that a Jump Client was taken off its endpoint: its key opens nothing any more, and it
    /// stays in the list until an administrator removes it. Noting it again changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::CallerUnknown`] when there is none of that id.
    pub async fn uninstalled(&self, id: AgentId, now: Timestamp) -> Result<()> {
        self.0.caller.site("say what a Jump Client's user did")?;
        let store = &self.0.store;
        let writing = store.write(Commit::Synced).await?;
        let row = present(store, &writing.txn, id).await?;
        if row.uninstalled_at.is_some() {
            return Ok(());
        }
        let update = agent::Entity::update_many()
            .col_expr(agent::Column::UninstalledAt, Expr::value(ms(now)))
            .filter(agent::Column::Id.eq(id.0));
        store.sorted(update.exec(&writing.txn).await)?;
        let entry = NewAudit {
            actor: Actor::Agent(row.name.clone()),
            action: "jump-client.uninstalled",
            subject: row.name,
            detail: serde_json::json!({ "id": row.id }),
            peer: None,
        };
        note_as(&self.0, &writing.txn, entry, now).await?;
        writing.commit().await
    }

    async fn set(&self, id: AgentId, change: agent::ActiveModel) -> Result<()> {
        let turn = self.0.store.write_one(Commit::Unsynced).await?;
        let update = agent::Entity::update_many().set(change).filter(agent::Column::Id.eq(id.0));
        match self.0.store.sorted(update.exec(turn.db).await)?.rows_affected {
            0 => Err(Error::unknown("Jump Client", id)),
            _ => Ok(()),
        }
    }

    /// Gives a Jump Client another name and group.
    ///
    /// # Errors
    ///
    /// [`Error::CallerConflict`] when the name is taken.
    pub async fn update(
        &self,
        id: AgentId,
        name: &str,
        group: &str,
        now: Timestamp,
    ) -> Result<Agent> {
        self.0.caller.all(Resource::Agents, Action::Write)?;
        let (name, group) = (line("Name", name, 64)?, line_or_empty("Group", group, 100)?);
        let store = &self.0.store;
        let writing = store.write(Commit::Synced).await?;
        let update = agent::Entity::update_many()
            .set(agent::ActiveModel {
                name: Set(name.clone()),
                group_name: Set(group.clone()),
                ..Default::default()
            })
            .filter(agent::Column::Id.eq(id.0))
            .filter(agent::Column::RemovedAt.is_null());
        if let Err(error) = update.exec(&writing.txn).await {
            return Err(if is_duplicate(&error) {
                Error::CallerConflict(format!("a Jump Client named {name} exists already"))
            } else {
                store.failed(error)
            });
        }
        let row = store.sorted(agent::Entity::find_by_id(id.0).one(&writing.txn).await)?;
        let row = row.ok_or_else(|| Error::unknown("Jump Client", id))?;
        let detail = serde_json::json!({ "id": row.id, "group": group });
        let action = "jump-client.changed";
        audit::note(&self.0, &writing.txn, action, &name, detail, now).await?;
        writing.commit().await?;
        row.try_into()
    }

    /// Removes a Jump Client: its key opens nothing any more, its name is free, its history stays.
    ///
    /// # Errors
    ///
    /// [`Error::CallerUnknown`] when there is none of that id, [`Error::CallerConflict`] while it
    /// has a session that has not ended.
    pub async fn remove(&self, id: AgentId, now: Timestamp) -> Result<()> {
        self.0.caller.all(Resource::Agents, Action::Write)?;
        let store = &self.0.store;
        let writing = store.write(Commit::Synced).await?;
        let row = present(store, &writing.txn, id).await?;
        let at_work = session::Entity::find()
            .filter(session::Column::AgentId.eq(id.0))
            .filter(session::Column::State.ne(word(&SessionState::Ended)));
        match store.sorted(at_work.count(&writing.txn).await)? {
            0 => {}
            count => {
                let what = match count {
                    1 => "a session that runs; end it first".to_owned(),
                    _ => format!("{count} sessions that run; end them first"),
                };
                let text = format!("the Jump Client {} has {what}", row.name);
                return Err(Error::CallerConflict(text));
            }
        }
        let update = agent::Entity::update_many()
            .col_expr(agent::Column::RemovedAt, Expr::value(ms(now)))
            .filter(agent::Column::Id.eq(id.0));
        store.sorted(update.exec(&writing.txn).await)?;
        let detail = serde_json::json!({ "id": row.id, "key": row.key });
        let action = "jump-client.removed";
        audit::note(&self.0, &writing.txn, action, &row.name, detail, now).await?;
        writing.commit().await
    }
}

/// The row of a Jump Client that was not removed.
async fn present(store: &Store, txn: &DatabaseTransaction, id: AgentId) -> Result<agent::Model> {
    let found = agent::Entity::find_by_id(id.0)
        .filter(agent::Column::RemovedAt.is_null())
        .filter(agent::Column::Builtin.eq(false));
    store.sorted(found.one(txn).await)?.ok_or_else(|| Error::unknown("Jump Client", id))
}

/// A Jump Client that has never connected, without name and group.
pub(crate) fn row_of(
    key: &PublicKey,
    os: &str,
    arch: &str,
    running: &Release,
    now: Timestamp,
) -> agent::Model {
    agent::Model {
        id: Uuid::now_v7(),
        key: key.to_string(),
        name: String::new(),
        group_name: String::new(),
        os: os.to_owned(),
        arch: arch.to_owned(),
        mode: word(&AgentMode::Active),
        version: running.version.to_string(),
        revision: i64::from(running.revision.0),
        builtin: false,
        disabled: false,
        created_at: ms(now),
        last_seen_at: None,
        generation: None,
        uninstalled_at: None,
        removed_at: None,
        upgrade_stage: None,
        upgrade_text: None,
        upgrade_at: None,
    }
}

/// The name, or the name with the lowest number that makes it free.
pub(crate) async fn free_name<C: ConnectionTrait>(
    store: &Store,
    db: &C,
    name: String,
) -> Result<String> {
    let present = || {
        agent::Entity::find()
            .select_only()
            .column(agent::Column::Name)
            .filter(agent::Column::RemovedAt.is_null())
    };
    // The usual case, by the index: what is alike is looked for in all of the table.
    let same = present().filter(agent::Column::Name.eq(&name)).into_tuple::<String>();
    if store.sorted(same.one(db).await)?.is_none() {
        return Ok(name);
    }
    let alike = present().filter(agent::Column::Name.starts_with(&name)).into_tuple::<String>();
    let taken: HashSet<String> = store.sorted(alike.all(db).await)?.into_iter().collect();
    let numbered = (2..=taken.len() + 2).map(|number| format!("{name}-{number}"));
    Ok(numbered.into_iter().find(|name| !taken.contains(name)).unwrap_or(name))
}
