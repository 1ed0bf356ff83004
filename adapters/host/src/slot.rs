use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use install::Disk;
use release::{Manifest, ManifestError, Sha256, VerifiedPackage};

use crate::digest::sha256_of;
use crate::{Fs, unpack};

/// Why a package cannot be brought into a slot, or a slot not be used.
#[derive(Debug, thiserror::Error)]
pub enum SlotError {
    /// The archive is not what was signed.
    #[error("the package {package} is not what was signed: {reason}")]
    Package {
        /// The package.
        package: String,
        /// What differs.
        reason: String,
    },
    /// Its manifest is refused.
    #[error("the package's manifest is refused: {0}")]
    Manifest(#[from] ManifestError),
    /// Too little disk.
    #[error("{path} has too little room: the package takes {needed} bytes")]
    Full {
        /// Where.
        path: PathBuf,
        /// Bytes that it takes.
        needed: u64,
    },
    /// The disk refuses.
    #[error("{path} cannot be read or written")]
    Disk {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The unpacked packages of a data directory.
#[derive(Debug, Clone)]
pub struct Slots<F> {
    pub(crate) fs: F,
    pub(crate) root: PathBuf,
}

impl<F: Fs> Slots<F> {
    /// The slots below that data directory.
    pub fn new(fs: F, data: &Path) -> Self {
        Self { fs, root: data.to_owned() }
    }

    /// Where the slot of a package is.
    pub fn path(&self, package: Sha256) -> PathBuf {
        self.root.join("packages").join(package.to_string())
    }

    /// Where the file of a package is fetched to.
    pub fn download(&self, package: Sha256) -> PathBuf {
        self.root.join("downloads").join(format!("{package}.pkg"))
    }

    /// Unpacks a verified package into its slot; on return it is on stable storage. Repeatable.
    ///
    /// Everything is checked again on the way: the archive's hash, every path, size and file hash.
    pub fn unpack(&self, package: &VerifiedPackage) -> Result<(), SlotError> {
        let sha256 = package.sha256();
        unpack::unpack(self, package.manifest(), sha256, &self.download(sha256))
    }

    /// Unpacks the package that an administrator hands over when an appliance is set up, before there is any trust
    /// to hold it against: whoever runs this already runs its program.
    pub fn unpack_first(&self, archive: &Path) -> Result<(Manifest, Sha256), SlotError> {
        let disk = |source| SlotError::Disk { path: archive.to_owned(), source };
        let mut file = self.fs.open(archive).map_err(disk)?;
        let (sha256, _) = sha256_of(&mut file).map_err(disk)?;
        let manifest = Manifest::parse(&unpack::manifest_of(&self.fs, archive)?)?;
        unpack::unpack(self, &manifest, sha256, archive)?;
        Ok((manifest, sha256))
    }

    /// The bytes of the manifest that a package file begins with; they prove nothing by themselves.
    pub fn manifest_in(&self, archive: &Path) -> Result<Vec<u8>, SlotError> {
        unpack::manifest_of(&self.fs, archive)
    }

    /// The manifest in a slot.
    pub fn manifest(&self, package: Sha256) -> Result<Manifest, SlotError> {
        let path = self.path(package).join("manifest.json");
        let bytes = self.fs.read(&path).map_err(|source| SlotError::Disk { path, source })?;
        Ok(Manifest::parse(&bytes)?)
    }

    /// Compares every file of a slot with its manifest: what it takes to start a kept slot again.
    pub fn check(&self, package: Sha256) -> Result<Manifest, SlotError> {
        let manifest = self.manifest(package)?;
        for file in &manifest.files {
            let path = self.path(package).join(&file.path);
            let found = self.fs.open(&path).and_then(|mut content| sha256_of(&mut content));
            let found = found.map_err(|source| SlotError::Disk { path: path.clone(), source })?;
            if found != (file.sha256, file.size) {
                return Err(SlotError::Package {
                    package: package.to_string(),
                    reason: format!("{} has changed on the disk", path.display()),
                });
            }
        }
        Ok(manifest)
    }

    /// What recovery has to know of the disk.
    pub fn on_disk(&self) -> io::Result<Disk> {
        let is_hash = |name: &String| name.parse::<Sha256>().is_ok();
        let slots: BTreeSet<String> =
            self.fs.list(&self.root.join("packages"))?.into_iter().filter(is_hash).collect();
        let mut downloads = BTreeSet::new();
        for name in self.fs.list(&self.root.join("downloads"))? {
            let Some(Ok(hash)) = name.strip_suffix(".pkg").map(str::parse::<Sha256>) else {
                continue;
            };
            let found =
                self.fs.open(&self.download(hash)).and_then(|mut file| sha256_of(&mut file));
            if found.is_ok_and(|(found, _)| found == hash) {
                downloads.insert(hash.to_string());
            }
        }
        Ok(Disk { slots, downloads })
    }

    /// Removes slots and downloads that neither a pointer nor `keep` names.
    pub fn collect(&self, keep: &[Sha256]) -> io::Result<()> {
        let mut kept: BTreeSet<String> = keep.iter().map(ToString::to_string).collect();
        for kind in
            [model::PackageKind::Base, model::PackageKind::Site, model::PackageKind::License]
        {
            kept.extend(self.current(kind)?.map(|hash| hash.to_string()));
            kept.extend(self.previous(kind)?.map(|hash| hash.to_string()));
        }
        let packages = self.root.join("packages");
        for name in self.fs.list(&packages)? {
            if !kept.contains(&name) {
                self.fs.remove_tree(&packages.join(name))?;
            }
        }
        let downloads = self.root.join("downloads");
        for name in self.fs.list(&downloads)? {
            let hash = name.split('.').next().unwrap_or_default();
            if !keep.iter().any(|package| package.to_string() == hash) {
                let path = downloads.join(&name);
                if self.fs.remove_file(&path).is_err() {
                    self.fs.remove_tree(&path)?;
                }
            }
        }
        Ok(())
    }
}
