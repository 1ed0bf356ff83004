use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Extra, Hashes, RoleType, SPEC_VERSION, metadata, utc};

/// Which snapshot is the newest; short-lived, so that withholding news is noticed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timestamp {
    #[serde(rename = "_type")]
    role_type: RoleType,
    /// Version of the specification.
    pub spec_version: String,
    /// 1 for the first one.
    pub version: u64,
    /// From when on it must not be believed.
    #[serde(with = "utc")]
    pub expires: model::Timestamp,
    /// `snapshot.json` alone.
    pub meta: BTreeMap<String, MetaFile>,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Which versions of targets and delegated roles belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    #[serde(rename = "_type")]
    role_type: RoleType,
    /// Version of the specification.
    pub spec_version: String,
    /// 1 for the first one.
    pub version: u64,
    /// From when on it must not be believed.
    #[serde(with = "utc")]
    pub expires: model::Timestamp,
    /// `targets.json` and `ROLE.json` of each delegated role.
    pub meta: BTreeMap<String, MetaFile>,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// What one metadata file says about another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetaFile {
    /// The version that the file must have.
    pub version: u64,
    /// Its length in bytes, where it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// Its hashes, where they are said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashes: Option<Hashes>,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

metadata!(Timestamp, RoleType::Timestamp);
metadata!(Snapshot, RoleType::Snapshot);

impl Timestamp {
    /// The name under which it speaks of the snapshot.
    pub const SNAPSHOT: &str = "snapshot.json";

    /// A timestamp that points to that snapshot.
    pub fn new(version: u64, expires: model::Timestamp, snapshot: MetaFile) -> Self {
        Self {
            role_type: RoleType::Timestamp,
            spec_version: SPEC_VERSION.into(),
            version,
            expires,
            meta: BTreeMap::from([(Self::SNAPSHOT.to_owned(), snapshot)]),
            extra: Extra::new(),
        }
    }

    fn check_rules(&self) -> Result<(), String> {
        if !self.meta.contains_key(Self::SNAPSHOT) {
            return Err("it does not name snapshot.json".into());
        }
        check_versions(&self.meta)
    }
}

impl Snapshot {
    /// A snapshot of those files; the names are `targets.json` and `ROLE.json`.
    pub fn new(version: u64, expires: model::Timestamp, meta: BTreeMap<String, MetaFile>) -> Self {
        Self {
            role_type: RoleType::Snapshot,
            spec_version: SPEC_VERSION.into(),
            version,
            expires,
            meta,
            extra: Extra::new(),
        }
    }

    fn check_rules(&self) -> Result<(), String> {
        check_versions(&self.meta)
    }
}

impl MetaFile {
    /// What is said of a file with that content: version, length and SHA-256.
    pub fn of(version: u64, bytes: &[u8]) -> Self {
        let hashes = Hashes::from([("sha256".to_owned(), crate::sha256_hex(bytes))]);
        let length = Some(bytes.len() as u64);
        Self { version, length, hashes: Some(hashes), extra: Extra::new() }
    }
}

fn check_versions(meta: &BTreeMap<String, MetaFile>) -> Result<(), String> {
    match meta.iter().find(|(_, file)| file.version == 0) {
        Some((name, _)) => Err(format!("it names version 0 of {name}, the first one is 1")),
        None => Ok(()),
    }
}
