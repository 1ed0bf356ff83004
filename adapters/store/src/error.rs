use std::path::PathBuf;

use model::{Generation, Timestamp};
use sea_orm::{DbErr, RuntimeErr, SqlErr, sqlx};

/// What the store's methods return.
pub type Result<T> = std::result::Result<T, Error>;

/// Why the database did not do it, by who can do something about it.
///
/// `Caller…`: whoever asked. `Host…`: whoever runs the machine. `Schema…`: whoever chose the program.
/// `Fenced`: nobody; a newer generation does that work now.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller may not do that.
    #[error("{who} may not {what}; an administrator can")]
    CallerForbidden {
        /// The caller, as a person knows them.
        who: String,
        /// What was asked, such as “change accounts”.
        what: &'static str,
    },
    /// What was given cannot be used.
    #[error("{field} {reason}")]
    CallerInput {
        /// The field, as the page names it.
        field: &'static str,
        /// Why not, and what would do.
        reason: String,
    },
    /// A token does not open anything.
    #[error("{0}")]
    CallerToken(TokenFault),
    /// Something of that name or key is there already, or the change would contradict what is there.
    #[error("{0}")]
    CallerConflict(String),
    /// There is no such thing, or it is none that the caller may know of.
    #[error("there is no {thing} {id}")]
    CallerUnknown {
        /// What was looked for, such as “session”.
        thing: &'static str,
        /// Its id or name.
        id: String,
    },
    /// Other writers held the database for longer than a writer waits.
    #[error("the database {path} was busy for {waited_ms} ms; try again")]
    HostBusy {
        /// The database file.
        path: PathBuf,
        /// How long it was waited.
        waited_ms: u64,
    },
    /// The disk is full.
    #[error("the disk of the database {path} is full; free some space")]
    HostFull {
        /// The database file.
        path: PathBuf,
    },
    /// The file is no database or is damaged.
    #[error("{path} is not a sound database; restore a backup")]
    HostDamaged {
        /// The database file.
        path: PathBuf,
        /// What the database says.
        #[source]
        source: DbErr,
    },
    /// The file cannot be opened, or the database failed in another way.
    #[error("the database {path} failed")]
    HostDatabase {
        /// The database file.
        path: PathBuf,
        /// What the database says.
        #[source]
        source: DbErr,
    },
    /// A row holds something that this program did not write.
    #[error("{table}.{column} holds “{value}”, which is none of its values; restore a backup")]
    HostRow {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// What it holds, cut to a readable length.
        value: String,
    },
    /// The database has not been expanded for this program yet.
    #[error(
        "the database {path} has schema level {found}, and this program needs {needed}; run `sluis-site migrate --to {needed}`"
    )]
    SchemaBehind {
        /// The database file.
        path: PathBuf,
        /// The level it has; 0 when it is new.
        found: u32,
        /// The level that is needed.
        needed: u32,
    },
    /// The database has dropped what this program needs.
    #[error(
        "the database {path} serves programs from schema level {oldest} on, and this one was made for {level}; install a newer release"
    )]
    SchemaAhead {
        /// The database file.
        path: PathBuf,
        /// The oldest program that can still work on it.
        oldest: u32,
        /// The level of this program.
        level: u32,
    },
    /// This program does not know that level.
    #[error("schema level {wanted} is unknown: this program knows the levels 1 to {newest}")]
    SchemaUnknown {
        /// The level that was asked for.
        wanted: u32,
        /// The newest one that the program knows.
        newest: u32,
    },
    /// Somebody else took over this work.
    #[error("generation {holder} does “{name}” now; generation {generation} leaves it alone")]
    Fenced {
        /// The work.
        name: String,
        /// Who was refused.
        generation: Generation,
        /// Who holds it.
        holder: Generation,
    },
}

/// What is wrong with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// It was never given out, or has been withdrawn.
    #[error("this enrolment token is not known here; ask an administrator for a new one")]
    Unknown,
    /// Its time is over.
    #[error("this enrolment token expired at {0}; ask an administrator for a new one")]
    Expired(Timestamp),
    /// It has been used as often as it may be.
    #[error("this enrolment token has been used up; ask an administrator for a new one")]
    UsedUp,
}

impl Error {
    /// Whether the same call may well succeed a little later.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::HostBusy { .. })
    }

    /// Whether whoever called can do something about it, and may be shown the text.
    pub fn is_callers(&self) -> bool {
        matches!(
            self,
            Self::CallerForbidden { .. }
                | Self::CallerInput { .. }
                | Self::CallerToken(_)
                | Self::CallerConflict(_)
                | Self::CallerUnknown { .. }
        )
    }

    pub(crate) fn unknown(thing: &'static str, id: impl ToString) -> Self {
        Self::CallerUnknown { thing, id: id.to_string() }
    }

    pub(crate) fn input(field: &'static str, reason: impl Into<String>) -> Self {
        Self::CallerInput { field, reason: reason.into() }
    }
}

/// SQLite's primary result codes; the extended ones carry more in their higher bits.
mod code {
    pub const BUSY: u32 = 5;
    pub const LOCKED: u32 = 6;
    pub const CORRUPT: u32 = 11;
    pub const FULL: u32 = 13;
    pub const NOTADB: u32 = 26;
}

/// Sorts a failure of the database by who can do something about it.
pub(crate) fn sort(path: &std::path::Path, waited_ms: u64, source: DbErr) -> Error {
    let path = path.to_owned();
    match primary_code(&source) {
        Some(code::BUSY | code::LOCKED) => Error::HostBusy { path, waited_ms },
        Some(code::FULL) => Error::HostFull { path },
        Some(code::CORRUPT | code::NOTADB) => Error::HostDamaged { path, source },
        _ if matches!(source, DbErr::ConnectionAcquire(_)) => Error::HostBusy { path, waited_ms },
        _ => Error::HostDatabase { path, source },
    }
}

fn primary_code(error: &DbErr) -> Option<u32> {
    let (DbErr::Conn(runtime) | DbErr::Exec(runtime) | DbErr::Query(runtime)) = error else {
        return None;
    };
    let RuntimeErr::SqlxError(error) = runtime else { return None };
    let sqlx::Error::Database(error) = error.as_ref() else { return None };
    error.code()?.parse::<u32>().ok().map(|code| code & 0xff)
}

/// Whether a row with the same unique value is there already.
pub(crate) fn is_duplicate(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}
