//! The Update Framework, version 1.0.34, as a pure client: metadata in, decisions out.
//!
//! [`Refresh`] walks from a trusted root to the newest metadata, [`TrustedSet`] searches it for
//! targets, and a [`VerifiedTarget`] turns bytes into a [`CheckedTarget`], the proof that
//! installing builds on. [`schema`] and [`sign`] are also what the release tool makes metadata with.
//! Fetching, the store on disk and the clock are in the crate `sluis-tuf-client`.

pub mod canonical;
mod check;
pub mod clock;
mod error;
mod hex;
mod key;
mod limits;
mod names;
mod pattern;
mod refresh;
pub mod schema;
pub mod sign;
mod target;
mod trusted;
mod verify;

use aws_lc_rs::digest;

pub use error::{Error, Reason, TargetReason};
pub use key::{Key, KeyId, KeyVal};
pub use limits::Limits;
pub use names::{role_file, versioned_role_file};
pub use refresh::{Change, Event, Refresh, Stored, Want, demand_predecessor, read_root};
pub use sign::{Signed, SigningKey};
pub use target::{CheckedTarget, TargetChecker, VerifiedTarget};
pub use trusted::{Lookup, Need, TrustedSet};

/// SHA-256 as 64 lower-case hexadecimal digits: how hashes stand in metadata.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes).as_ref())
}
