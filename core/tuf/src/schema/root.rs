use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Extra, RoleType, SPEC_VERSION, metadata, utc};
use crate::key::{Key, KeyId};
use crate::verify::Authority;

/// Which keys speak for the four top-level roles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    #[serde(rename = "_type")]
    role_type: RoleType,
    /// Version of the specification.
    pub spec_version: String,
    /// 1 for the first root.
    pub version: u64,
    /// From when on it must not be believed.
    #[serde(with = "utc")]
    pub expires: model::Timestamp,
    /// Whether files carry version or hash in their names; repositories made here always do.
    #[serde(default)]
    pub consistent_snapshot: bool,
    /// All keys that roles refer to.
    pub keys: BTreeMap<KeyId, Key>,
    /// `root`, `timestamp`, `snapshot` and `targets`.
    pub roles: BTreeMap<String, Role>,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Who signs for a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// The keys, each once.
    pub keyids: Vec<KeyId>,
    /// How many of them must sign: 1 or more.
    pub threshold: u32,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

metadata!(Root, RoleType::Root);

impl Root {
    /// A root without keys; it needs [`Root::set_role`] for all four roles before it is of use.
    pub fn new(version: u64, expires: model::Timestamp) -> Self {
        Self {
            role_type: RoleType::Root,
            spec_version: SPEC_VERSION.into(),
            version,
            expires,
            consistent_snapshot: true,
            keys: BTreeMap::new(),
            roles: BTreeMap::new(),
            extra: Extra::new(),
        }
    }

    /// Says who signs for a top-level role from now on.
    ///
    /// Keys that no role refers to any more are left out.
    pub fn set_role(&mut self, role: RoleType, keys: &[Key], threshold: u32) {
        let keyids: Vec<KeyId> = keys.iter().map(Key::id).collect();
        self.keys.extend(keyids.iter().cloned().zip(keys.iter().cloned()));
        let entry = Role { keyids, threshold, extra: Extra::new() };
        self.roles.insert(role.as_str().to_owned(), entry);
        let used: BTreeSet<&KeyId> = self.roles.values().flat_map(|role| &role.keyids).collect();
        self.keys.retain(|id, _| used.contains(id));
    }

    /// Who signs for a top-level role.
    pub fn role(&self, role: RoleType) -> Option<&Role> {
        self.roles.get(role.as_str())
    }

    /// The keys and threshold of a top-level role; without the role, nobody can sign for it.
    pub(crate) fn authority(&self, role: RoleType) -> Authority<'_> {
        let (keyids, threshold) =
            self.role(role).map_or((&[][..], 1), |role| (&role.keyids[..], role.threshold));
        Authority { keys: &self.keys, keyids, threshold }
    }

    /// Whether a key that spoke for the role no longer does in `next`.
    pub(crate) fn rotates(&self, role: RoleType, next: &Self) -> bool {
        let now = next.authority(role).materials();
        self.authority(role).materials().iter().any(|key| !now.contains(key))
    }

    fn check_rules(&self) -> Result<(), String> {
        for kind in [RoleType::Root, RoleType::Timestamp, RoleType::Snapshot, RoleType::Targets] {
            if self.role(kind).is_none() {
                return Err(format!("it names no keys for the role {kind}"));
            }
        }
        self.roles.iter().try_for_each(|(name, role)| role.check_rules(name))
    }
}

impl Role {
    fn check_rules(&self, name: &str) -> Result<(), String> {
        check_signers(name, &self.keyids, self.threshold)
    }
}

/// A threshold is 1 or more, and no key stands twice.
pub(super) fn check_signers(name: &str, keyids: &[KeyId], threshold: u32) -> Result<(), String> {
    if threshold == 0 {
        return Err(format!("the threshold of {name} is 0"));
    }
    if keyids.iter().collect::<BTreeSet<_>>().len() != keyids.len() {
        return Err(format!("a key of {name} stands twice"));
    }
    Ok(())
}
