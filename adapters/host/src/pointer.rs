use std::io;
use std::path::{Path, PathBuf};

use model::PackageKind;
use release::Sha256;

use crate::{Fs, Slots, failpoint};

impl<F: Fs> Slots<F> {
    /// The package behind `current/<kind>`.
    pub fn current(&self, kind: PackageKind) -> io::Result<Option<Sha256>> {
        self.pointed("current", kind)
    }

    /// The package behind `previous/<kind>`.
    pub fn previous(&self, kind: PackageKind) -> io::Result<Option<Sha256>> {
        self.pointed("previous", kind)
    }

    /// Points `previous` and then `current` at these slots, each atomically and on stable storage. Repeatable.
    ///
    /// `previous` goes first: whatever a power cut leaves, `current` names a version that served.
    pub fn point(
        &self,
        kind: PackageKind,
        current: Sha256,
        previous: Option<Sha256>,
    ) -> io::Result<()> {
        if let Some(previous) = previous {
            self.link("previous", kind, previous)?;
        } else {
            let dir = self.root.join("previous");
            self.fs.create_dir(&dir)?;
            self.fs.remove_file(&dir.join(kind.to_string()))?;
            self.fs.sync_dir(&dir)?;
        }
        failpoint("point-between")?;
        self.link("current", kind, current)
    }

    fn link(&self, which: &str, kind: PackageKind, slot: Sha256) -> io::Result<()> {
        let dir = self.root.join(which);
        if !self.fs.exists(&dir) {
            self.fs.create_dir(&dir)?;
            self.fs.sync_dir(&self.root)?;
        }
        let new = dir.join(format!(".{kind}.new"));
        self.fs.remove_file(&new)?;
        self.fs.symlink(&Path::new("../packages").join(slot.to_string()), &new)?;
        self.fs.rename(&new, &dir.join(kind.to_string()))?;
        self.fs.sync_dir(&dir)
    }

    fn pointed(&self, which: &str, kind: PackageKind) -> io::Result<Option<Sha256>> {
        let path = self.root.join(which).join(kind.to_string());
        let target: Option<PathBuf> = self.fs.read_link(&path)?;
        Ok(target
            .as_deref()
            .and_then(Path::file_name)
            .and_then(|name| name.to_str())
            .and_then(|name| name.parse().ok()))
    }
}
