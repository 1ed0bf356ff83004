use std::time::Duration;

use model::{Generation, SessionId, Timestamp};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder,
};
use serde::{Deserialize, Serialize};

use crate::convert::{at, count, from_word, generation, ms, number, word};
use crate::entity::{session_leg, session_stalls};
use crate::sessions::LEGS_FROM;
use crate::store::Commit;
use crate::{Acting, Error, Result, Sessions};

/// One end of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Leg {
    /// The endpoint's agent.
    Agent,
    /// The operator's console.
    Console,
}

/// A leg that attached.
#[derive(Debug, Clone)]
pub struct NewLeg {
    /// The session.
    pub session: SessionId,
    /// Which end.
    pub leg: Leg,
    /// The offset from which it goes on; `None` when it attaches for the first time.
    pub resumed_from: Option<u64>,
    /// How long its bytes stood still before.
    pub stall: Duration,
    /// The address it came from.
    pub peer: Option<String>,
}

/// One attachment of a leg, as an auditor sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegRow {
    /// Which end.
    pub leg: Leg,
    /// The generation that it attached to.
    pub generation: Generation,
    /// When.
    pub attached: Timestamp,
    /// Until when; `None` while it is attached.
    pub detached: Option<Timestamp>,
    /// The offset from which it went on; `None` for the first time.
    pub resumed_from: Option<u64>,
    /// How long its bytes stood still before.
    pub stall: Duration,
    /// The address it came from.
    pub peer: Option<String>,
}

impl Sessions {
    /// Notes that a leg attached to this generation.
    ///
    /// Below schema level 2 there is no place for it, and nothing happens.
    pub async fn leg_attached(&self, new: NewLeg, now: Timestamp) -> Result<()> {
        self.0.caller.site("attach legs")?;
        let writing = self.0.store.write(Commit::Unsynced).await?;
        self.attach_in(&writing.txn, new, now).await?;
        writing.commit().await
    }

    pub(crate) async fn attach_in(
        &self,
        txn: &DatabaseTransaction,
        new: NewLeg,
        now: Timestamp,
    ) -> Result<()> {
        let store = &self.0.store;
        if store.level() < LEGS_FROM {
            return Ok(());
        }
        let stall = i64::try_from(new.stall.as_millis()).unwrap_or(i64::MAX);
        // A process that died left the attachment before open; it ended when the stall began.
        let ended = ms(now).saturating_sub(stall);
        close(&self.0, txn, open_legs(new.session).filter(is(new.leg)), ended).await?;
        let row = session_leg::ActiveModel {
            id: NotSet,
            session_id: Set(new.session.0),
            leg: Set(word(&new.leg)),
            generation: Set(number(store.generation().0)),
            attached_at: Set(ms(now)),
            detached_at: Set(None),
            resumed_from: Set(new.resumed_from.map(number)),
            stall_ms: Set(stall),
            peer: Set(new.peer),
        };
        let insert = session_leg::Entity::insert(row);
        store.sorted(insert.exec_without_returning(txn).await)?;
        if new.resumed_from.is_some() {
            let update = resumed(new.session, stall);
            store.sorted(update.exec(txn).await)?;
        }
        Ok(())
    }

    /// Notes that a leg of this generation is gone; nothing changes when it attached to another one.
    pub async fn leg_detached(&self, session: SessionId, leg: Leg, now: Timestamp) -> Result<()> {
        self.0.caller.site("detach legs")?;
        let writing = self.0.store.write(Commit::Unsynced).await?;
        self.detach_in(&writing.txn, session, leg, now).await?;
        writing.commit().await
    }

    pub(crate) async fn detach_in(
        &self,
        txn: &DatabaseTransaction,
        session: SessionId,
        leg: Leg,
        now: Timestamp,
    ) -> Result<()> {
        let store = &self.0.store;
        if store.level() < LEGS_FROM {
            return Ok(());
        }
        let mine = session_leg::Column::Generation.eq(number(store.generation().0));
        let update = open_legs(session)
            .filter(is(leg))
            .filter(mine)
            .col_expr(session_leg::Column::DetachedAt, Expr::value(ms(now)));
        store.sorted(update.exec(txn).await).map(drop)
    }

    /// Every attachment of a session's legs, in the order in which they came.
    ///
    /// Empty for a session that the caller may not see, and below schema level 2.
    pub async fn legs(&self, session: SessionId) -> Result<Vec<LegRow>> {
        let store = &self.0.store;
        if store.level() < LEGS_FROM || self.by_id(session).await?.is_none() {
            return Ok(Vec::new());
        }
        let query = session_leg::Entity::find()
            .filter(session_leg::Column::SessionId.eq(session.0))
            .order_by_asc(session_leg::Column::Id);
        let rows = store.sorted(query.all(store.reader()).await)?;
        rows.into_iter().map(LegRow::try_from).collect()
    }
}

type Update = sea_orm::UpdateMany<session_leg::Entity>;

fn open_legs(session: SessionId) -> Update {
    session_leg::Entity::update_many()
        .filter(session_leg::Column::SessionId.eq(session.0))
        .filter(session_leg::Column::DetachedAt.is_null())
}

fn is(leg: Leg) -> Expr {
    session_leg::Column::Leg.eq(word(&leg))
}

/// Closes all legs that are attached, in the transaction that ends their session.
pub(crate) async fn close_all(
    acting: &Acting,
    txn: &DatabaseTransaction,
    session: SessionId,
    now: Timestamp,
) -> Result<()> {
    if acting.store.level() < LEGS_FROM {
        return Ok(());
    }
    close(acting, txn, open_legs(session), ms(now)).await
}

/// Closes them at that moment, or when they attached if that was later.
async fn close(acting: &Acting, txn: &DatabaseTransaction, legs: Update, ended: i64) -> Result<()> {
    let attached = || Expr::col(session_leg::Column::AttachedAt);
    let ended = Expr::case(attached().gt(ended), attached()).finally(ended);
    let update = legs.col_expr(session_leg::Column::DetachedAt, ended.into());
    acting.store.sorted(update.exec(txn).await).map(drop)
}

fn resumed(session: SessionId, stall: i64) -> sea_orm::UpdateMany<session_stalls::Entity> {
    use session_stalls::Column::{Id, ResumeCount, StallMsMax};
    let longest = Expr::case(Expr::col(StallMsMax).lt(stall), stall).finally(Expr::col(StallMsMax));
    session_stalls::Entity::update_many()
        .col_expr(ResumeCount, Expr::col(ResumeCount).add(1))
        .col_expr(StallMsMax, longest.into())
        .filter(Id.eq(session.0))
}

impl TryFrom<session_leg::Model> for LegRow {
    type Error = Error;

    fn try_from(row: session_leg::Model) -> Result<Self> {
        Ok(Self {
            leg: from_word("session_leg", "leg", &row.leg)?,
            generation: generation(row.generation),
            attached: at(row.attached_at),
            detached: row.detached_at.map(at),
            resumed_from: row.resumed_from.map(count),
            stall: Duration::from_millis(count(row.stall_ms)),
            peer: row.peer,
        })
    }
}
