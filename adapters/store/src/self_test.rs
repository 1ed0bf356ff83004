use model::{AgentId, PublicKey, Release, Timestamp};
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter};
use uuid::Uuid;

use crate::agents::{free_name, row_of};
use crate::entity::agent;
use crate::store::Commit;
use crate::{Operators, Result, SelfTestActors, Store};

impl Store {
    /// Who plays operator and endpoint in the site's self-test, made when they are missing.
    ///
    /// Neither shows up in a list; nobody signs in as the one or jumps to the other.
    pub async fn self_test_actors(
        &self,
        key: &PublicKey,
        running: &Release,
        now: Timestamp,
    ) -> Result<SelfTestActors> {
        let acting = self.by(&crate::Caller::Site);
        let writing = self.write(Commit::Unsynced).await?;
        let operator = Operators::self_test(&acting, &writing.txn, now).await?;
        let known = agent::Entity::find().filter(agent::Column::Key.eq(key.to_string()));
        let known = self.sorted(known.one(&writing.txn).await)?.map(|row| row.id);
        let agent = match known {
            Some(id) => id,
            None => self.insert_self_test_agent(&writing.txn, key, running, now).await?,
        };
        writing.commit().await?;
        Ok(SelfTestActors { operator, agent: AgentId(agent) })
    }

    async fn insert_self_test_agent(
        &self,
        txn: &DatabaseTransaction,
        key: &PublicKey,
        running: &Release,
        now: Timestamp,
    ) -> Result<Uuid> {
        let row = agent::Model {
            name: free_name(self, txn, "sluis-self-test".to_owned()).await?,
            builtin: true,
            ..row_of(key, std::env::consts::OS, std::env::consts::ARCH, running, now)
        };
        let insert = agent::Entity::insert(row.clone().into_active_model());
        self.sorted(insert.exec_without_returning(txn).await)?;
        Ok(row.id)
    }
}
