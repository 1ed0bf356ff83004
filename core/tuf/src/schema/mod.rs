//! The files of a repository as types.
//!
//! Fields that are not known are kept, because signatures cover them, and otherwise ignored.

mod root;
mod snapshot;
mod targets;

use std::collections::BTreeMap;
use std::fmt;

use model::Timestamp as Moment;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

pub use root::{Role, Root};
pub use snapshot::{MetaFile, Snapshot, Timestamp};
pub use targets::{DelegatedRole, Delegations, TargetFile, Targets};

/// The version of the specification that metadata made here names.
pub const SPEC_VERSION: &str = "1.0.34";

/// Algorithm (`sha256`, `sha512`) to hexadecimal hash.
pub type Hashes = BTreeMap<String, String>;

/// The four types of metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RoleType {
    /// Which keys speak for which top-level role.
    Root,
    /// Which snapshot is the newest.
    Timestamp,
    /// Which versions of the targets files belong together.
    Snapshot,
    /// Target files and delegations; delegated roles have this type too.
    Targets,
}

impl RoleType {
    /// The word in `_type` and in file names.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Timestamp => "timestamp",
            Self::Snapshot => "snapshot",
            Self::Targets => "targets",
        }
    }

    /// Whether a role has the name of a top-level role, which no delegation may take.
    pub(crate) fn is_top_level(name: &str) -> bool {
        [Self::Root, Self::Timestamp, Self::Snapshot, Self::Targets]
            .into_iter()
            .any(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for RoleType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What all four types have in common.
pub trait Metadata: Serialize + DeserializeOwned {
    /// Its type.
    const TYPE: RoleType;
    /// Version of the specification that it follows.
    fn spec_version(&self) -> &str;
    /// Its version: 1 or more, and one more each time.
    fn version(&self) -> u64;
    /// From when on it must not be believed.
    fn expires(&self) -> Moment;
    /// The rules that its type alone cannot say.
    ///
    /// # Errors
    /// What is wrong, for a person.
    fn check(&self) -> Result<(), String>;
}

macro_rules! metadata {
    ($name:ty, $kind:expr) => {
        impl crate::schema::Metadata for $name {
            const TYPE: crate::schema::RoleType = $kind;
            fn spec_version(&self) -> &str {
                &self.spec_version
            }
            fn version(&self) -> u64 {
                self.version
            }
            fn expires(&self) -> model::Timestamp {
                self.expires
            }
            fn check(&self) -> Result<(), String> {
                self.check_rules()
            }
        }
    };
}
use metadata;

/// Fields that a release does not know.
pub type Extra = Map<String, Value>;

/// Moments as metadata writes them: `2030-01-01T00:00:00Z`.
mod utc {
    use super::{Deserialize, Deserializer, Moment, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
    pub(super) fn serialize<S: Serializer>(at: &Moment, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(at)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Moment, D::Error> {
        let text = String::deserialize(deserializer)?;
        Moment::parse_utc(&text)
            .ok_or_else(|| serde::de::Error::custom(format!("“{text}” is not a moment in UTC")))
    }
}
