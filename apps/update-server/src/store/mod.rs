//! What the update server remembers: one SQLite file.
//!
//! The serving process and the administrator's commands use it at the same time; each write is one
//! transaction that waits for its turn.

mod appliances;
mod entity;
mod rules;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, EntityTrait, Schema,
    SqliteTransactionMode, SqlxSqliteConnector, Statement, TransactionOptions, TransactionTrait,
};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

pub use appliances::{Appliance, EnrolRefused, NewCode};
pub use rules::{Block, Entitlement, HoldScope};

/// How long a writer waits for another one.
const BUSY: Duration = Duration::from_secs(5);
/// Connections of one process.
const CONNECTIONS: u32 = 4;
/// Level of the schema; a higher one was written by a later release.
const LEVEL: i32 = 1;

/// The database.
#[derive(Clone)]
pub struct Store {
    db: DatabaseConnection,
}

impl Store {
    /// Opens the file, and makes it when it is missing.
    pub async fn open(path: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY);
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(BUSY)
            .connect_with(options)
            .await
            .with_context(|| format!("cannot open the database {}", path.display()))?;
        let store = Self { db: SqlxSqliteConnector::from_sqlx_sqlite_pool(pool) };
        store.prepare().await.with_context(|| format!("cannot prepare {}", path.display()))?;
        Ok(store)
    }

    async fn prepare(&self) -> Result<()> {
        let txn = self.begin().await?;
        let backend = txn.get_database_backend();
        let ask = Statement::from_string(backend, "PRAGMA user_version");
        let row = txn.query_one_raw(ask).await?.context("the database names no level")?;
        let level: i32 = row.try_get_by_index(0)?;
        if level > LEVEL {
            bail!(
                "the database has schema level {level} and this release knows {LEVEL}: use the newer sluis-update"
            );
        }
        if level < LEVEL {
            let schema = Schema::new(backend);
            for table in [
                schema.create_table_from_entity(entity::customer::Entity),
                schema.create_table_from_entity(entity::code::Entity),
                schema.create_table_from_entity(entity::appliance::Entity),
                schema.create_table_from_entity(entity::entitlement::Entity),
                schema.create_table_from_entity(entity::hold::Entity),
                schema.create_table_from_entity(entity::block::Entity),
                schema.create_table_from_entity(entity::nonce::Entity),
                schema.create_table_from_entity(entity::report::Entity),
            ] {
                txn.execute(&table).await?;
            }
            txn.execute_unprepared(&format!("PRAGMA user_version = {LEVEL}")).await?;
        }
        txn.commit().await?;
        Ok(())
    }

    /// Begins as a writer at once, so that what is read stays true until the write.
    async fn begin(&self) -> Result<DatabaseTransaction> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        self.db.begin_with_options(options).await.context("the database is busy: try again")
    }

    /// Adds a customer.
    pub async fn customer_add(&self, name: &str, now: i64) -> Result<()> {
        let txn = self.begin().await?;
        if entity::customer::Entity::find_by_id(name).one(&txn).await?.is_some() {
            bail!("the customer “{name}” is there already");
        }
        let row = entity::customer::Model { name: name.to_owned(), created_at: now };
        let row: entity::customer::ActiveModel = row.into();
        entity::customer::Entity::insert(row).exec_without_returning(&txn).await?;
        txn.commit().await?;
        Ok(())
    }

    /// Names of all customers, in order.
    pub async fn customers(&self) -> Result<Vec<String>> {
        let rows = entity::customer::Entity::find().all(&self.db).await?;
        let mut names: Vec<String> = rows.into_iter().map(|row| row.name).collect();
        names.sort();
        Ok(names)
    }

    /// Whether that customer is there; the error says what to do when not.
    async fn demand_customer(&self, db: &impl ConnectionTrait, name: &str) -> Result<()> {
        match entity::customer::Entity::find_by_id(name).one(db).await? {
            Some(_) => Ok(()),
            None => {
                bail!(
                    "there is no customer “{name}”: add it with `sluis-update customer add {name}`"
                )
            }
        }
    }
}
