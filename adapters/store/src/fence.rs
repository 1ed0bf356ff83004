use model::{Generation, Timestamp};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter,
};

use crate::convert::{generation, ms, number};
use crate::entity::fence;
use crate::store::{Commit, Writing};
use crate::{Error, Result, Store};

/// The right to do a job that only one generation does at a time.
///
/// Each write that is done under it asks, in its own transaction, whether it still holds; so a
/// generation that was suspended and wakes up late writes nothing.
#[derive(Clone)]
pub struct Fence {
    store: Store,
    name: String,
    term: i64,
}

impl Store {
    /// Takes the fence `name` for this generation; whoever held it is refused from now on.
    ///
    /// # Errors
    ///
    /// [`Error::Fenced`] when a newer generation holds it.
    pub async fn fence(&self, name: &str, now: Timestamp) -> Result<Fence> {
        self.take(name, now, false).await
    }

    /// Takes the fence `name` from a newer generation, too.
    ///
    /// For one case only: the base puts this generation back into service because the newer one
    /// failed. The base alone may decide that.
    pub async fn fence_reclaim(&self, name: &str, now: Timestamp) -> Result<Fence> {
        self.take(name, now, true).await
    }

    async fn take(&self, name: &str, now: Timestamp, reclaim: bool) -> Result<Fence> {
        let writing = self.write(Commit::Synced).await?;
        let held = self.sorted(held(&writing.txn, name).await)?;
        if let Some(row) = &held
            && !reclaim
            && generation(row.generation) > self.generation()
        {
            return Err(self.fenced(name, generation(row.generation)));
        }
        let row = fence::Model {
            name: name.to_owned(),
            generation: number(self.generation().0),
            term: held.as_ref().map_or(1, |row| row.term.saturating_add(1)),
            taken_at: ms(now),
        };
        let term = row.term;
        if held.is_some() {
            let update = fence::Entity::update_many()
                .set(fence::ActiveModel {
                    generation: Set(row.generation),
                    term: Set(row.term),
                    taken_at: Set(row.taken_at),
                    ..Default::default()
                })
                .filter(fence::Column::Name.eq(name));
            self.sorted(update.exec(&writing.txn).await)?;
        } else {
            let insert = fence::Entity::insert(row.into_active_model());
            self.sorted(insert.exec_without_returning(&writing.txn).await)?;
        }
        writing.commit().await?;
        Ok(Fence { store: self.clone(), name: name.to_owned(), term })
    }

    fn fenced(&self, name: &str, holder: Generation) -> Error {
        Error::Fenced { name: name.to_owned(), generation: self.generation(), holder }
    }
}

impl Fence {
    /// Passes while this generation still holds the fence.
    ///
    /// For work outside of the database, whose effect must be harmless when it is repeated.
    pub async fn check(&self) -> Result<()> {
        let row = fence::Entity::find_by_id(&self.name).one(self.store.reader()).await;
        self.judge(self.store.sorted(row)?)
    }

    /// Begins a write that happens only if the fence still holds when it is committed.
    pub(crate) async fn begin(&self, commit: Commit) -> Result<Writing<'_>> {
        let writing = self.store.write(commit).await?;
        // The transaction is the only writer there is, so nobody takes the fence until it ends.
        self.judge(self.store.sorted(held(&writing.txn, &self.name).await)?)?;
        Ok(writing)
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    fn judge(&self, row: Option<fence::Model>) -> Result<()> {
        match row {
            Some(row) if row.term == self.term => Ok(()),
            Some(row) => Err(self.store.fenced(&self.name, generation(row.generation))),
            None => Err(self.store.fenced(&self.name, Generation(0))),
        }
    }
}

async fn held(
    txn: &DatabaseTransaction,
    name: &str,
) -> std::result::Result<Option<fence::Model>, sea_orm::DbErr> {
    fence::Entity::find_by_id(name).one(txn).await
}
