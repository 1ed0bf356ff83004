use std::io;
use std::path::{Path, PathBuf};

use install::{Course, JournalDamaged, PackageRef, Record};
use model::Timestamp;

use crate::{Fs, failpoint, write_atomic};

/// The journal is written anew with its last record alone when it passes this many bytes.
const COMPACT_ABOVE: u64 = 1 << 20;
/// Bytes kept aside so that a full disk cannot keep the installer from writing down that it rolls back.
const SPARE: u64 = 4 << 20;

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It is damaged in its middle.
    #[error(transparent)]
    Damaged(#[from] JournalDamaged),
    /// The disk refuses.
    #[error("{path}: the journal cannot be read or written")]
    Disk {
        /// The journal's path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The installer's states in the order in which they were entered, on stable storage.
#[derive(Debug)]
pub struct Journal<F> {
    fs: F,
    path: PathBuf,
    next: u64,
    length: u64,
}

impl<F: Fs> Journal<F> {
    /// Opens the journal of a data directory, cutting off a torn last record.
    pub fn open(fs: F, data: &Path) -> Result<(Self, Option<Record>), JournalError> {
        let path = data.join("journal");
        let disk = |source| JournalError::Disk { path: path.clone(), source };
        let bytes = match fs.read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => vec![],
            other => other.map_err(disk)?,
        };
        let read = install::read(&bytes)?;
        if read.good < bytes.len() {
            tracing::warn!(bytes = bytes.len() - read.good, "Torn end of the journal dropped");
            fs.truncate(&path, read.good as u64).map_err(disk)?;
            fs.sync(&path).map_err(disk)?;
        }
        let spare = spare(&path);
        if !fs.exists(&spare) {
            // Without the spare bytes everything works but a rollback on a full disk.
            let _ = fs.reserve(&spare, SPARE);
        }
        let next = read.last.as_ref().map_or(1, |record| record.n + 1);
        Ok((Self { fs, path, next, length: read.good as u64 }, read.last))
    }

    /// Writes down a state with its plan, with one fsync; when this returns it is on stable storage.
    pub fn append(
        &mut self,
        course: &Course<PackageRef>,
        at: Timestamp,
    ) -> Result<(), JournalError> {
        self.try_append(course, at)
            .map_err(|source| JournalError::Disk { path: self.path.clone(), source })
    }

    fn try_append(&mut self, course: &Course<PackageRef>, at: Timestamp) -> io::Result<()> {
        failpoint("journal-before-append")?;
        let Course { install, plan } = course.clone();
        let record = Record { n: self.next, at, install, plan };
        let bytes = install::write(&record)?;
        if self.length + bytes.len() as u64 > COMPACT_ABOVE {
            write_atomic(&self.fs, &self.path, 0o600, &bytes)?;
            self.length = bytes.len() as u64;
        } else {
            self.append_bytes(&bytes)?;
            self.length += bytes.len() as u64;
        }
        self.next += 1;
        failpoint("journal-after-append")
    }

    fn append_bytes(&self, bytes: &[u8]) -> io::Result<()> {
        let mut result = self.fs.append(&self.path, bytes);
        if result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::StorageFull) {
            self.fs.truncate(&self.path, self.length)?;
            self.fs.remove_file(&spare(&self.path))?;
            result = self.fs.append(&self.path, bytes);
        }
        let synced = result.and_then(|()| {
            failpoint("journal-before-sync")?;
            self.fs.sync(&self.path)?;
            let dir = self.path.parent().unwrap_or(Path::new("."));
            if self.length == 0 { self.fs.sync_dir(dir) } else { Ok(()) }
        });
        if synced.is_err() {
            // What may stand there half is cut off, so that the next record does not follow damage.
            let _ = self.fs.truncate(&self.path, self.length);
        }
        synced
    }
}

fn spare(journal: &Path) -> PathBuf {
    journal.with_file_name("journal.spare")
}
