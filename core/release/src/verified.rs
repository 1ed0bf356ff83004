use std::fmt;
use std::sync::Arc;

use model::{PackageKind, Release};
use serde::{Deserialize, Serialize};
use tuf::CheckedTarget;

use crate::hash::Sha256;
use crate::manifest::{Manifest, ManifestError, limits};

/// A package that maintainers signed and whose bytes were checked: the only thing an installer takes.
///
/// It is a proof, so it has no other constructor than verification and cannot be saved: a program that
/// restarts reads its [`PackageRef`] and verifies again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VerifiedPackage {
    target: String,
    length: u64,
    sha256: Sha256,
    manifest: Arc<Manifest>,
}

/// Why a file is no package to install, although maintainers signed for its bytes.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The metadata says nothing about it.
    #[error("{0} is signed without a manifest: ask your vendor for a package made for Sluis")]
    NoManifest(String),
    /// `manifest.json` and the signed metadata differ.
    #[error("the manifest inside {0} is not the one that was signed: fetch the package again")]
    OtherManifest(String),
    /// The manifest breaks a rule.
    #[error("{target} is refused: {source}")]
    Manifest {
        /// Name of the TUF target.
        target: String,
        /// The rule.
        source: ManifestError,
    },
}

impl VerifiedPackage {
    /// Turns the proof about bytes into the proof about a package.
    ///
    /// `manifest_json` is the first member of those bytes; it must say the same as the signed metadata.
    ///
    /// # Errors
    /// When it does not, or when the manifest breaks a rule.
    pub fn verify(checked: &CheckedTarget, manifest_json: &[u8]) -> Result<Self, PackageError> {
        let target = checked.target();
        let name = target.name().to_owned();
        let other = || PackageError::OtherManifest(name.clone());
        let signed = target.custom().ok_or_else(|| PackageError::NoManifest(name.clone()))?;
        if manifest_json.len() > limits::MANIFEST_BYTES {
            return Err(other());
        }
        let inside: serde_json::Value =
            serde_json::from_slice(manifest_json).map_err(|_| other())?;
        if inside != *signed {
            return Err(other());
        }
        let refused = |source| PackageError::Manifest { target: name.clone(), source };
        let manifest = Manifest::from_value(signed).map_err(refused)?;
        manifest.check_target(&name).map_err(refused)?;
        Ok(Self {
            target: name,
            length: target.length(),
            sha256: Sha256(*target.sha256()),
            manifest: manifest.into(),
        })
    }

    /// Kind, name, release, hash and target, for journals and logs.
    pub fn reference(&self) -> PackageRef {
        PackageRef {
            kind: self.manifest.kind,
            name: self.manifest.name.clone(),
            release: self.manifest.release(),
            sha256: self.sha256,
            target: self.target.clone(),
        }
    }

    /// What the package says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Name of the TUF target.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// SHA-256 of the `.pkg` file; also the name of its slot.
    pub fn sha256(&self) -> Sha256 {
        self.sha256
    }

    /// Length of the `.pkg` file in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }
}

/// Which package is meant, in a form that can be saved; it proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PackageRef {
    /// What the package carries.
    pub kind: PackageKind,
    /// Its name, as rules refer to it.
    pub name: String,
    /// Version and revision.
    pub release: Release,
    /// SHA-256 of the `.pkg` file.
    pub sha256: Sha256,
    /// Name of the TUF target.
    pub target: String,
}

impl fmt::Display for PackageRef {
    /// `site 1.4.2 (rev 57)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.release)
    }
}

/// Packages out of nothing, for the tests of crates that take a [`VerifiedPackage`].
#[cfg(any(test, feature = "fixtures"))]
pub mod fixtures {
    use model::{PackageKind, Release};

    use super::VerifiedPackage;
    use crate::hash::Sha256;
    use crate::license::License;
    use crate::manifest::{MANIFEST_SCHEMA, Manifest, Restart, sequence};

    /// A manifest without files or rules; a license is for 10 operators of `access.example.com`.
    pub fn manifest(kind: PackageKind, release: Release) -> Manifest {
        Manifest {
            schema: MANIFEST_SCHEMA,
            kind,
            name: kind.to_string(),
            seq: sequence(&release).expect("a release with small numbers"),
            version: release.version,
            revision: release.revision,
            arch: "x86_64".into(),
            requires: vec![],
            conflicts: vec![],
            floors: vec![],
            restart: Restart::Handover,
            wire: None,
            db: None,
            files: vec![],
            size_installed: 0,
            eula_sha256: None,
            notes: String::new(),
            license: (kind == PackageKind::License).then(|| License {
                hostname: "access.example.com".parse().expect("a hostname"),
                users: 10,
                endpoints: None,
                expires: None,
                maintenance_until: None,
            }),
        }
    }

    /// A package that nobody signed; its hash is made from kind and release.
    pub fn package(kind: PackageKind, release: Release) -> VerifiedPackage {
        let manifest = manifest(kind, release);
        let mut sha256 = [kind as u8; 32];
        sha256[..8].copy_from_slice(&manifest.seq.to_be_bytes());
        let (target, sha256) = (manifest.target_name(), Sha256(sha256));
        VerifiedPackage { target, length: 1000, sha256, manifest: manifest.into() }
    }
}
