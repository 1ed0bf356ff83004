//! How much a repository may ask of a client.

use crate::schema::MetaFile;

/// Bounds on lengths in bytes and on counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// New roots followed in one refresh.
    pub root_rotations: u32,
    /// Length of a root.
    pub root: u64,
    /// Length of a timestamp.
    pub timestamp: u64,
    /// Length of a snapshot, where the timestamp does not say a smaller one.
    pub snapshot: u64,
    /// Length of targets metadata, where the snapshot does not say a smaller one.
    pub targets: u64,
    /// Delegated roles visited in one search.
    pub delegations: u32,
    /// Delegations from one role to the next in one search.
    pub delegation_depth: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            root_rotations: 256,
            root: 512_000,
            timestamp: 16_384,
            snapshot: 2_000_000,
            targets: 5_000_000,
            delegations: 32,
            delegation_depth: 32,
        }
    }
}

/// The length that the metadata above names, within the bound.
pub(crate) fn length_max(named: &MetaFile, bound: u64) -> u64 {
    named.length.map_or(bound, |length| length.min(bound))
}
