//! The site's database: migrations, repositories, and the fence between two generations.
//!
//! One SQLite file holds operators, consoles, Jump Clients, sessions, recordings and the audit log.
//! Two processes work on it at once while one generation of the site hands over to the next, and the
//! older of them may know an older schema.
//! So a migration only adds ([`migrate`]), a [`Store`] is told the level that its program was made
//! for and uses nothing above it, and work that only one process may do takes a [`Fence`].
//!
//! [`Store`] acts as the site itself; [`Store::by`] acts for a person, and each method then asks what
//! that person may see or change before it reads anything ([`Caller`]).
//! Moments come in as [`model::Timestamp`]: nothing here reads a clock.
//!
//! # How a write reaches the disk
//!
//! The journal is a write-ahead log. A commit that somebody is told about and would act on — an
//! enrolment, a password, a token, an account, a fence — is synced before it returns
//! (`synchronous = FULL`). What describes a session while it runs is not (`synchronous = NORMAL`): a
//! killed process loses nothing of it, and after a power cut the newest of these rows may be missing,
//! never torn. A sync there would put the disk into the path of opening a session, and the recording,
//! which has its own file and its own chain, is what proves the session.

mod agents;
mod api_tokens;
mod audit;
mod caller;
mod consoles;
mod convert;
mod enrolment;
mod entity;
mod error;
mod fence;
mod legs;
mod notes;
mod operators;
mod probe;
mod recordings;
mod schema;
mod self_test;
mod sessions;
mod settings;
mod store;
mod sweep;
mod token;
mod web_sessions;

pub use agents::{
    Agent, AgentMode, Agents, Enrolment, LOST_AFTER, PASSIVE_CHECK_IN, Upgrade, UpgradeStage,
};
pub use api_tokens::{ApiToken, ApiTokens, NewApiToken};
pub use audit::{Actor, Audit, AuditEntry, AuditFilter, NewAudit};
pub use caller::{Action, Caller, Resource, Scope};
pub use consoles::{Console, ConsoleRefused, Consoles};
pub use enrolment::{EnrolmentToken, EnrolmentTokens, NewEnrolmentToken};
pub use error::{Error, Result, TokenFault};
pub use fence::Fence;
pub use legs::{Leg, LegRow, NewLeg};
pub use notes::Note;
pub use operators::{
    Access, LOCK_LONGEST, LOGIN_TRIES, LoginTry, NewOperator, Operator, Operators, PasswordChange,
    PasswordCheck, SelfTestActors,
};
pub use recordings::{Recording, Recordings};
pub use schema::{LEVEL_MAX, Migrated, migrate};
pub use sessions::{COMMAND_MOST, NewSession, Session, SessionEnd, Sessions, Stalls};
pub use store::{Acting, Store};
pub use sweep::{Gone, Swept};
pub use token::TokenHash;
pub use web_sessions::{NewWebSession, WebSession, WebSessions};
