use std::time::{Duration, Instant};

use model::Timestamp;
use sea_orm::sea_query::OnConflict;
use sea_orm::{EntityTrait, IntoActiveModel};

use crate::convert::{ms, number};
use crate::entity::probe;
use crate::store::Commit;
use crate::{Error, Result, Store};

impl Store {
    /// Writes a row to the disk and reads it back; says how long that took.
    ///
    /// # Errors
    ///
    /// Why the database cannot be written or read: this is what a health check shows.
    pub async fn probe_write(&self, now: Timestamp) -> Result<Duration> {
        let begun = Instant::now();
        let generation = number(self.generation().0);
        let row = probe::Model { generation, at: ms(now) };
        let turn = self.write_one(Commit::Synced).await?;
        let newer = OnConflict::column(probe::Column::Generation)
            .update_column(probe::Column::At)
            .to_owned();
        let insert = probe::Entity::insert(row.into_active_model()).on_conflict(newer);
        self.sorted(insert.exec_without_returning(turn.db).await)?;
        // Another check of this generation writes the same row: not before this one has read it.
        let row = probe::Entity::find_by_id(generation).one(self.reader()).await;
        drop(turn);
        match self.sorted(row)? {
            Some(row) if row.at == ms(now) => Ok(begun.elapsed()),
            _ => Err(Error::unknown("row just written to probe for generation", generation)),
        }
    }
}
