//! Target files that trusted metadata describes, and the proof that bytes are one.

use std::fmt;

use aws_lc_rs::digest;
use serde_json::Value;

use crate::error::{Error, TargetReason};
use crate::hex;
use crate::names;
use crate::schema::TargetFile;

/// What trusted metadata says of one target file.
///
/// Only a search through verified metadata makes one, so whoever holds it knows that enough of the
/// right keys signed for this name, length and hash. It says nothing about any bytes yet.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifiedTarget {
    name: String,
    role: String,
    length: u64,
    sha256: [u8; 32],
    custom: Option<Value>,
    path: String,
}

impl fmt::Debug for VerifiedTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifiedTarget({} by {}, {} bytes, {})", self.name, self.role, self.length, {
            self.sha256_hex()
        })
    }
}

impl VerifiedTarget {
    pub(crate) fn new(
        name: &str,
        role: &str,
        file: &TargetFile,
        consistent: bool,
    ) -> Result<Self, Error> {
        if !names::is_path(name) {
            return Err(Error::target(name, TargetReason::BadName));
        }
        let sha256: [u8; 32] = file
            .hashes
            .get("sha256")
            .and_then(|text| hex::decode(text)?.try_into().ok())
            .ok_or_else(|| Error::target(name, TargetReason::NoSha256))?;
        let prefix = consistent.then(|| hex::encode(&sha256));
        Ok(Self {
            name: name.to_owned(),
            role: role.to_owned(),
            length: file.length,
            sha256,
            custom: file.custom.clone(),
            path: names::target_path(name, prefix.as_deref()),
        })
    }

    /// Its name in the repository, such as `site/site-1.1.0-r2-x86_64.pkg`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The role that spoke for it.
    pub fn role(&self) -> &str {
        &self.role
    }

    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Its SHA-256.
    pub fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// Its SHA-256 as 64 lower-case hexadecimal digits.
    pub fn sha256_hex(&self) -> String {
        hex::encode(&self.sha256)
    }

    /// What the publisher says about it; in Sluis the package manifest.
    pub fn custom(&self) -> Option<&Value> {
        self.custom.as_ref()
    }

    /// Where it lies below the address of all targets, percent-encoded, with its hash in
    /// front of its name where the repository does so.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// A plain file name for it, the same for the same name.
    pub fn file_name(&self) -> String {
        names::target_file(&self.name)
    }

    /// The proof that bytes with this digest and length are this target.
    ///
    /// # Errors
    /// When they are not.
    pub fn check(&self, sha256: &[u8; 32], length: u64) -> Result<CheckedTarget, Error> {
        if length != self.length {
            let reason = TargetReason::Length { expected: self.length, actual: length };
            return Err(Error::target(&self.name, reason));
        }
        if *sha256 != self.sha256 {
            return Err(Error::target(&self.name, TargetReason::Hash));
        }
        Ok(CheckedTarget(self.clone()))
    }

    /// Takes the bytes piece by piece and gives the same proof.
    pub fn checker(&self) -> TargetChecker {
        let hash = digest::Context::new(&digest::SHA256);
        TargetChecker { target: self.clone(), hash, length: 0 }
    }
}

/// The proof that somebody holds the bytes of a [`VerifiedTarget`].
///
/// Only [`VerifiedTarget::check`] and [`TargetChecker::finish`] make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedTarget(VerifiedTarget);

impl CheckedTarget {
    /// The target that the bytes are.
    pub fn target(&self) -> &VerifiedTarget {
        &self.0
    }
}

/// Hashes and counts the bytes of one target.
#[derive(Clone)]
pub struct TargetChecker {
    target: VerifiedTarget,
    hash: digest::Context,
    length: u64,
}

impl TargetChecker {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// When there are more of them than were signed: endless data ends here.
    pub fn update(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let length = self.length.saturating_add(bytes.len() as u64);
        if length > self.target.length {
            let reason = TargetReason::Length { expected: self.target.length, actual: length };
            return Err(Error::target(&self.target.name, reason));
        }
        self.hash.update(bytes);
        self.length = length;
        Ok(())
    }

    /// How many bytes it took so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The proof, when the bytes were those of the target.
    ///
    /// # Errors
    /// When they were not.
    pub fn finish(self) -> Result<CheckedTarget, Error> {
        let digest = self.hash.finish();
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest.as_ref());
        self.target.check(&sha256, self.length)
    }
}

impl fmt::Debug for TargetChecker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TargetChecker({} of {:?})", self.length, self.target)
    }
}
