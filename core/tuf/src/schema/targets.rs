use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::root::check_signers;
use super::{Extra, Hashes, RoleType, SPEC_VERSION, metadata, utc};
use crate::key::{Key, KeyId};
use crate::pattern;
use crate::verify::Authority;

/// Target files, and roles that speak for some of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Targets {
    #[serde(rename = "_type")]
    role_type: RoleType,
    /// Version of the specification.
    pub spec_version: String,
    /// 1 for the first one.
    pub version: u64,
    /// From when on it must not be believed.
    #[serde(with = "utc")]
    pub expires: model::Timestamp,
    /// Target files by name.
    pub targets: BTreeMap<String, TargetFile>,
    /// Who else speaks for target files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegations: Option<Delegations>,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// What is said of one target file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetFile {
    /// Its length in bytes.
    pub length: u64,
    /// Its hashes; `sha256` is needed to use it.
    pub hashes: Hashes,
    /// What the application says about it; Sluis puts the package manifest here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<Value>,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Roles to which others hand part of their say, in order of trust.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Delegations {
    /// All keys that these roles refer to.
    pub keys: BTreeMap<KeyId, Key>,
    /// The roles; earlier ones win.
    #[serde(default)]
    pub roles: Vec<DelegatedRole>,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// One delegated role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DelegatedRole {
    /// Its name, and that of its file.
    pub name: String,
    /// Who signs for it.
    pub keyids: Vec<KeyId>,
    /// How many of them must sign: 1 or more.
    pub threshold: u32,
    /// Whether the search for a target that this role speaks for ends here.
    pub terminating: bool,
    /// Patterns of the targets it speaks for, such as `base/*`; `*` does not cross `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    /// Instead of `paths`: beginnings of the SHA-256 of the target names it speaks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_hash_prefixes: Option<Vec<String>>,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

metadata!(Targets, RoleType::Targets);

impl Targets {
    /// Metadata of no targets yet.
    pub fn new(version: u64, expires: model::Timestamp) -> Self {
        Self {
            role_type: RoleType::Targets,
            spec_version: SPEC_VERSION.into(),
            version,
            expires,
            targets: BTreeMap::new(),
            delegations: None,
            extra: Extra::new(),
        }
    }

    /// The delegations, made empty when there are none.
    pub fn delegations_mut(&mut self) -> &mut Delegations {
        self.delegations.get_or_insert_default()
    }

    /// The delegated roles, in order of trust.
    pub fn delegated(&self) -> impl Iterator<Item = &DelegatedRole> {
        self.delegations.iter().flat_map(|delegations| &delegations.roles)
    }

    fn check_rules(&self) -> Result<(), String> {
        let mut names = BTreeSet::new();
        for role in self.delegated() {
            if !names.insert(&role.name) {
                return Err(format!("it delegates to {} twice", role.name));
            }
            role.check_rules()?;
        }
        Ok(())
    }
}

impl TargetFile {
    /// What is said of a file with that content: length and SHA-256.
    pub fn of(bytes: &[u8], custom: Option<Value>) -> Self {
        Self::with_digest(bytes.len() as u64, &crate::sha256_hex(bytes), custom)
    }

    /// What is said of a file that was hashed while it was read.
    pub fn with_digest(length: u64, sha256: &str, custom: Option<Value>) -> Self {
        let hashes = Hashes::from([("sha256".to_owned(), sha256.to_owned())]);
        Self { length, hashes, custom, extra: Extra::new() }
    }
}

impl Delegations {
    /// Hands the targets that match `paths` to a role, after those that are there already.
    ///
    /// A role of the same name is replaced where it stands.
    pub fn delegate(
        &mut self,
        name: &str,
        keys: &[Key],
        threshold: u32,
        paths: &[&str],
        terminating: bool,
    ) {
        let keyids: Vec<KeyId> = keys.iter().map(Key::id).collect();
        self.keys.extend(keyids.iter().cloned().zip(keys.iter().cloned()));
        let role = DelegatedRole {
            name: name.to_owned(),
            keyids,
            threshold,
            terminating,
            paths: Some(paths.iter().map(|path| (*path).to_owned()).collect()),
            path_hash_prefixes: None,
            extra: Extra::new(),
        };
        match self.roles.iter_mut().find(|other| other.name == name) {
            Some(other) => *other = role,
            None => self.roles.push(role),
        }
        let used: BTreeSet<&KeyId> = self.roles.iter().flat_map(|role| &role.keyids).collect();
        self.keys.retain(|id, _| used.contains(id));
    }

    /// The keys and threshold of a delegated role.
    pub(crate) fn authority(&self, name: &str) -> Option<Authority<'_>> {
        let role = self.roles.iter().find(|role| role.name == name)?;
        Some(Authority { keys: &self.keys, keyids: &role.keyids, threshold: role.threshold })
    }
}

impl DelegatedRole {
    /// Whether this role speaks for a target of that name.
    pub fn speaks_for(&self, target: &str) -> bool {
        let by_pattern = |paths: &Vec<String>| paths.iter().any(|p| pattern::matches(p, target));
        let by_hash = |prefixes: &Vec<String>| {
            let hash = crate::sha256_hex(target.as_bytes());
            prefixes.iter().any(|prefix| hash.starts_with(prefix.as_str()))
        };
        self.paths.as_ref().is_some_and(by_pattern)
            || self.path_hash_prefixes.as_ref().is_some_and(by_hash)
    }

    fn check_rules(&self) -> Result<(), String> {
        if self.name.is_empty() || RoleType::is_top_level(&self.name) {
            return Err(format!("“{}” cannot be the name of a delegated role", self.name));
        }
        if self.paths.is_some() == self.path_hash_prefixes.is_some() {
            return Err(format!("{} needs either paths or path_hash_prefixes", self.name));
        }
        check_signers(&self.name, &self.keyids, self.threshold)
    }
}
