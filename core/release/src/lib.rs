//! What a package is, which one may follow which, and the proof that one was verified.
//!
//! `sluis-release` writes [`Manifest`]s, the update server plans with them  and the base
//! installs what it holds a [`VerifiedPackage`] for. Everything here is pure: bytes and values in,
//! decisions out. Signatures and metadata are those of `core/tuf`; the archive format is written and read
//! by programs.

pub mod catalog;
mod client;
mod enrolment;
mod hash;
mod hostname;
mod license;
mod manifest;
pub mod offer;
mod path;
pub mod plan;
mod verified;

pub use client::{ClientBuild, ClientKind, STAMP_BYTES_MAX};
pub use hash::{BadSha256, Sha256, from_hex, to_hex};
pub use hostname::{BadHostname, Hostname};
pub use license::{InstalledLicense, License, LicenseError, LicenseState};
pub use manifest::{
    Database, FileEntry, Floor, MANIFEST_SCHEMA, Manifest, ManifestError, Requirement, Restart,
    Wire, limits, sequence,
};
pub use path::{PathError, check_path};
#[cfg(any(test, feature = "fixtures"))]
pub use verified::fixtures;
pub use verified::{PackageError, PackageRef, VerifiedPackage};
