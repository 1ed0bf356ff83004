mod level1;
mod level2;

use std::path::Path;

use model::Timestamp;
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query};
use sea_orm::{ConnectionTrait, DbErr};
use sea_orm_migration::SchemaManager;
use sea_orm_migration::schema::{big_integer, integer};
use sea_orm_migration::sea_query::Table;

use crate::convert::ms;
use crate::store::{Pools, begin_immediate};
use crate::{Error, Result};

/// The newest level that this program can expand a database to.
pub const LEVEL_MAX: u32 = LEVELS[LEVELS.len() - 1].number;

/// One step of the schema.
struct Level {
    number: u32,
    /// The oldest level whose programs can still work on a database of this level.
    ///
    /// A level that only adds keeps that of the level before; one that drops what an earlier level
    /// replaced raises it, and may do so one release later at the earliest.
    oldest_program: u32,
}

const LEVELS: [Level; 2] = [
    Level { number: 1, oldest_program: 1 },
    // Sessions get their legs: every attachment of an agent or console, with its stall.
    Level { number: 2, oldest_program: 1 },
];

async fn expand(number: u32, schema: &SchemaManager<'_>) -> std::result::Result<(), DbErr> {
    match number {
        1 => level1::expand(schema).await,
        2 => level2::expand(schema).await,
        _ => Err(DbErr::Custom(format!("schema level {number} has no steps"))),
    }
}

/// What [`migrate`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// The level before; 0 for a new database.
    pub from: u32,
    /// The level now; above the one asked for when the database was further already.
    pub to: u32,
}

/// Expands the database at `path` to schema level `to_level`, creating it when it is missing.
///
/// Each level is one transaction, so a migration that is cut off leaves a whole level behind, and
/// running it again goes on from there. Nothing is ever taken away: asked for a level below the one
/// that is there, it changes nothing and says so, because a program of the lower level works on it.
/// Another process may use the database meanwhile.
///
/// # Errors
///
/// [`Error::SchemaUnknown`] for a level that this program does not know, [`Error::SchemaAhead`] when
/// the database no longer serves programs of `to_level`, and what the host says.
pub async fn migrate(path: &Path, to_level: u32, now: Timestamp) -> Result<Migrated> {
    if to_level == 0 || to_level > LEVEL_MAX {
        return Err(Error::SchemaUnknown { wanted: to_level, newest: LEVEL_MAX });
    }
    let pools = Pools::create(path).await?;
    let outcome = expand_to(&pools, to_level, now).await;
    pools.close().await;
    outcome
}

async fn expand_to(pools: &Pools, to_level: u32, now: Timestamp) -> Result<Migrated> {
    ensure_level_table(pools).await?;
    let from = found(pools).await?.level;
    for level in LEVELS.iter().filter(|level| level.number <= to_level) {
        apply(pools, level, now).await?;
    }
    let found = found(pools).await?;
    if found.oldest_program > to_level {
        let (path, oldest) = (pools.path.clone(), found.oldest_program);
        return Err(Error::SchemaAhead { path, oldest, level: to_level });
    }
    Ok(Migrated { from, to: found.level })
}

async fn ensure_level_table(pools: &Pools) -> Result<()> {
    let table = Table::create()
        .table("schema_level")
        .if_not_exists()
        .col(integer("level").primary_key())
        .col(integer("oldest_program"))
        .col(big_integer("applied_at"))
        .to_owned();
    pools.sorted(pools.durable.execute(&table).await)?;
    Ok(())
}

/// Applies one level unless it is there, all or nothing.
async fn apply(pools: &Pools, level: &Level, now: Timestamp) -> Result<()> {
    let transaction = pools.sorted(begin_immediate(&pools.durable).await)?;
    // Asked inside the transaction: another process may have applied it since.
    let claim = Query::insert()
        .into_table("schema_level")
        .columns(["level", "oldest_program", "applied_at"])
        .values_panic([level.number.into(), level.oldest_program.into(), ms(now).into()])
        .on_conflict(OnConflict::column("level").do_nothing().to_owned())
        .to_owned();
    let claimed = pools.sorted(transaction.execute(&claim).await)?.rows_affected() == 1;
    if claimed {
        pools.sorted(expand(level.number, &SchemaManager::new(&transaction)).await)?;
        tracing::info!(level = level.number, "Database expanded");
    }
    pools.sorted(transaction.commit().await)
}

/// What a database is.
pub(crate) struct Found {
    pub level: u32,
    pub oldest_program: u32,
}

/// Reads the level of the database; 0 when it has none yet.
pub(crate) async fn found(pools: &Pools) -> Result<Found> {
    let backend = pools.reader.get_database_backend();
    let exists = Query::select()
        .expr(Expr::col("name"))
        .from("sqlite_master")
        .and_where(Expr::col("type").eq("table"))
        .and_where(Expr::col("name").eq("schema_level"))
        .to_owned();
    if pools.sorted(pools.reader.query_one_raw(backend.build(&exists)).await)?.is_none() {
        return Ok(Found { level: 0, oldest_program: 0 });
    }
    let newest = Query::select()
        .expr_as(Expr::col("level").max(), "level")
        .expr_as(Expr::col("oldest_program").max(), "oldest_program")
        .from("schema_level")
        .to_owned();
    let row = pools.sorted(pools.reader.query_one_raw(backend.build(&newest)).await)?;
    let read = |column: &str| -> Result<u32> {
        let value = row.as_ref().map(|row| row.try_get::<Option<u32>>("", column)).transpose();
        Ok(pools.sorted(value)?.flatten().unwrap_or(0))
    };
    Ok(Found { level: read("level")?, oldest_program: read("oldest_program")? })
}
