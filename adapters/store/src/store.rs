use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::Generation;
use sea_orm::{
    DatabaseConnection, DatabaseTransaction, DbErr, SqliteTransactionMode, SqlxSqliteConnector,
    TransactionOptions, TransactionTrait, sqlx,
};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use tokio::sync::{Mutex, MutexGuard};

use crate::{
    Agents, ApiTokens, Audit, Caller, Consoles, EnrolmentTokens, Error, Operators, Recordings,
    Result, Sessions, WebSessions, error, schema,
};

/// How long a writer waits for the other process, and for its turn in this one.
const BUSY: Duration = Duration::from_secs(5);
/// Readers beside the one writer; a page asks a few questions at once at most.
const READERS: u32 = 4;

/// The site's database, opened by one generation. Clones share its connections.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    pools: Pools,
    level: u32,
    generation: Generation,
    // Writers of one process queue here in order; without it they would poll SQLite's lock.
    turn: Mutex<()>,
}

/// The connections of one process.
pub(crate) struct Pools {
    pub path: PathBuf,
    /// Refuses to write.
    pub reader: DatabaseConnection,
    /// Returns before its commit is on the disk.
    pub writer: DatabaseConnection,
    /// Returns when its commit is on the disk.
    pub durable: DatabaseConnection,
}

impl Pools {
    /// Opens the file and, when it is missing, makes it, readable by its owner only.
    pub async fn create(path: &Path) -> Result<Self> {
        let made = new_private_file(path);
        made.map_err(|source| host(path, DbErr::Conn(sqlx_error(sqlx::Error::Io(source)))))?;
        // Lasts in the file; while nobody else uses it this needs no more than a moment.
        let options = options(path).journal_mode(SqliteJournalMode::Wal);
        Self::connect(path, options).await
    }

    async fn open(path: &Path) -> Result<Self> {
        Self::connect(path, options(path)).await
    }

    async fn connect(path: &Path, options: SqliteConnectOptions) -> Result<Self> {
        let durable = options.clone().synchronous(SqliteSynchronous::Full);
        let reader = options.clone().pragma("query_only", "on");
        // The first connection decides the journal mode, so it comes before the others.
        let durable = pool(path, durable, 1).await?;
        Ok(Self {
            path: path.to_owned(),
            writer: pool(path, options, 1).await?,
            reader: pool(path, reader, READERS).await?,
            durable,
        })
    }

    pub async fn close(&self) {
        for pool in [&self.reader, &self.writer, &self.durable] {
            if let Err(error) = pool.close_by_ref().await {
                tracing::warn!(%error, "Database connection did not close");
            }
        }
    }

    /// Sorts a failure by who can do something about it.
    pub fn sorted<T>(&self, result: std::result::Result<T, DbErr>) -> Result<T> {
        result.map_err(|source| host(&self.path, source))
    }
}

fn host(path: &Path, source: DbErr) -> Error {
    error::sort(path, u64::try_from(BUSY.as_millis()).unwrap_or(u64::MAX), source)
}

fn sqlx_error(error: sqlx::Error) -> sea_orm::RuntimeErr {
    sea_orm::RuntimeErr::SqlxError(Arc::new(error))
}

fn new_private_file(path: &Path) -> std::io::Result<()> {
    let mut open = std::fs::OpenOptions::new();
    open.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut open, 0o600);
    open.open(path).map(drop)
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .busy_timeout(BUSY)
        .foreign_keys(true)
        .synchronous(SqliteSynchronous::Normal)
        // The log is cut back after a burst instead of keeping its largest size for ever.
        .pragma("journal_size_limit", "67108864")
}

async fn pool(path: &Path, options: SqliteConnectOptions, size: u32) -> Result<DatabaseConnection> {
    let pool = SqlitePoolOptions::new()
        .max_connections(size)
        .min_connections(1)
        .acquire_timeout(BUSY)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_with(options)
        .await
        .map_err(|error| host(path, DbErr::Conn(sqlx_error(error))))?;
    Ok(SqlxSqliteConnector::from_sqlx_sqlite_pool(pool))
}

/// Begins as a writer at once.
///
/// A transaction that reads first and writes later fails when the other process wrote in between;
/// this one waits for its turn before it reads.
pub(crate) async fn begin_immediate(
    db: &DatabaseConnection,
) -> std::result::Result<DatabaseTransaction, DbErr> {
    db.begin_with_options(TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    })
    .await
}

/// A write transaction and this process's turn to write.
///
/// Dropped without [`Writing::commit`] it changes nothing.
pub(crate) struct Writing<'s> {
    pub txn: DatabaseTransaction,
    store: &'s Store,
    _turn: MutexGuard<'s, ()>,
}

impl Writing<'_> {
    pub async fn commit(self) -> Result<()> {
        self.store.sorted(self.txn.commit().await)
    }
}

/// One statement's turn to write; the statement is its own transaction.
pub(crate) struct Turn<'s> {
    pub db: &'s DatabaseConnection,
    _turn: MutexGuard<'s, ()>,
}

/// Whether a commit is on the disk when it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Commit {
    /// It is: somebody is told and acts on it.
    Synced,
    /// It survives the end of the process, and reaches the disk a little later.
    Unsynced,
}

impl Store {
    /// Opens the database at `path` for a program made for schema `level`, as this generation.
    ///
    /// The program uses nothing above `level`, whatever the database has.
    ///
    /// # Errors
    ///
    /// [`Error::SchemaBehind`] until [`migrate`](crate::migrate) has expanded it that far,
    /// [`Error::SchemaAhead`] when it no longer serves that level, and what the host says.
    pub async fn open(path: &Path, level: u32, generation: Generation) -> Result<Self> {
        if level == 0 || level > schema::LEVEL_MAX {
            return Err(Error::SchemaUnknown { wanted: level, newest: schema::LEVEL_MAX });
        }
        if !path.exists() {
            return Err(Error::SchemaBehind { path: path.to_owned(), found: 0, needed: level });
        }
        let pools = Pools::open(path).await?;
        let found = schema::found(&pools).await?;
        if found.level < level {
            let (path, found) = (path.to_owned(), found.level);
            return Err(Error::SchemaBehind { path, found, needed: level });
        }
        if found.oldest_program > level {
            let (path, oldest) = (path.to_owned(), found.oldest_program);
            return Err(Error::SchemaAhead { path, oldest, level });
        }
        Ok(Self(Arc::new(Inner { pools, level, generation, turn: Mutex::new(()) })))
    }

    /// Closes the connections, after those who use them are done; what clones do later fails.
    pub async fn close(&self) {
        self.0.pools.close().await;
    }

    /// The schema level that the program was made for.
    pub fn level(&self) -> u32 {
        self.0.level
    }

    /// The generation that opened it.
    pub fn generation(&self) -> Generation {
        self.0.generation
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.0.pools.path
    }

    /// The same database, asked on behalf of `caller`.
    pub fn by(&self, caller: &Caller) -> Acting {
        Acting { store: self.clone(), caller: caller.clone() }
    }

    fn as_site(&self) -> Acting {
        Acting { store: self.clone(), caller: Caller::Site }
    }

    pub(crate) fn reader(&self) -> &DatabaseConnection {
        &self.0.pools.reader
    }

    pub(crate) fn sorted<T>(&self, result: std::result::Result<T, DbErr>) -> Result<T> {
        self.0.pools.sorted(result)
    }

    pub(crate) fn failed(&self, error: DbErr) -> Error {
        host(self.path(), error)
    }

    fn connection(&self, commit: Commit) -> &DatabaseConnection {
        match commit {
            Commit::Synced => &self.0.pools.durable,
            Commit::Unsynced => &self.0.pools.writer,
        }
    }

    async fn turn(&self) -> Result<MutexGuard<'_, ()>> {
        let busy = || Error::HostBusy {
            path: self.path().to_owned(),
            waited_ms: u64::try_from(BUSY.as_millis()).unwrap_or(u64::MAX),
        };
        tokio::time::timeout(BUSY, self.0.turn.lock()).await.map_err(|_| busy())
    }

    /// Begins a write of several statements.
    pub(crate) async fn write(&self, commit: Commit) -> Result<Writing<'_>> {
        let turn = self.turn().await?;
        let txn = self.sorted(begin_immediate(self.connection(commit)).await)?;
        Ok(Writing { txn, store: self, _turn: turn })
    }

    /// Waits for the turn to write one statement.
    pub(crate) async fn write_one(&self, commit: Commit) -> Result<Turn<'_>> {
        let turn = self.turn().await?;
        Ok(Turn { db: self.connection(commit), _turn: turn })
    }
}

macro_rules! repositories {
    ($($(#[$doc:meta])* $name:ident: $type:ident;)*) => {
        impl Store {
            $($(#[$doc])* pub fn $name(&self) -> $type {
                $type(self.as_site())
            })*
        }

        impl Acting {
            $($(#[$doc])* pub fn $name(&self) -> $type {
                $type(self.clone())
            })*
        }
    };
}

/// The store asked on somebody's behalf; the repositories it gives authorise before they read.
#[derive(Clone)]
pub struct Acting {
    pub(crate) store: Store,
    pub(crate) caller: Caller,
}

repositories! {
    /// Accounts of operators and administrators.
    operators: Operators;
    /// Browser sessions of people who signed in.
    web_sessions: WebSessions;
    /// Bearer tokens of the API.
    api_tokens: ApiTokens;
    /// Access consoles.
    consoles: Consoles;
    /// Tokens that enrol Jump Clients.
    enrolment_tokens: EnrolmentTokens;
    /// Jump Clients.
    agents: Agents;
    /// Sessions.
    sessions: Sessions;
    /// Recordings.
    recordings: Recordings;
    /// The audit log.
    audit: Audit;
}
