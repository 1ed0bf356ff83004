//! Ids, versions, times and nouns that every other crate speaks.
//!
//! This crate is the vocabulary: it holds no behaviour beyond parsing, printing and comparing.
//! Every crate of the workspace may use it; it uses none of them. Its words are those of the
//! glossary, one per thing.

mod identity;
mod ids;
mod nouns;
mod time;
mod version;

pub use identity::{BadKey, PublicKey};
pub use ids::{AgentId, ApplianceId, AttemptId, ConsoleId, OperatorId, SessionId, SiteId};
pub use nouns::{
    ClientState, Generation, PackageKind, Role, SessionKind, SessionOutcome, SessionState,
};
pub use time::Timestamp;
pub use version::{BadVersion, Release, Revision, Version, VersionRange};
