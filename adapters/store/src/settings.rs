use model::{SiteId, Timestamp};
use sea_orm::{EntityTrait, IntoActiveModel};
use uuid::Uuid;

use crate::convert::{damaged, ms};
use crate::entity::setting;
use crate::store::Commit;
use crate::{Result, Store};

const SITE_ID: &str = "site-id";

impl Store {
    /// The id of the site, made at the first call and the same ever after.
    pub async fn site_id(&self, now: Timestamp) -> Result<SiteId> {
        let known = setting::Entity::find_by_id(SITE_ID).one(self.reader()).await;
        if let Some(row) = self.sorted(known)? {
            return read(&row);
        }
        let writing = self.write(Commit::Synced).await?;
        // Another generation may have been here first.
        let known = setting::Entity::find_by_id(SITE_ID).one(&writing.txn).await;
        if let Some(row) = self.sorted(known)? {
            return read(&row);
        }
        let value = Uuid::now_v7().to_string();
        let row = setting::Model { name: SITE_ID.to_owned(), value, changed_at: ms(now) };
        let insert = setting::Entity::insert(row.clone().into_active_model());
        self.sorted(insert.exec_without_returning(&writing.txn).await)?;
        writing.commit().await?;
        read(&row)
    }
}

fn read(row: &setting::Model) -> Result<SiteId> {
    row.value.parse().map_err(|_| damaged("setting", "value", &row.value))
}
