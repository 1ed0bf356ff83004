//! Waits for the disk once for all recordings.

use std::fs::File;
use std::io;
use std::path::Path;

use super::{RecorderError, failed};

/// Waits until everything that was flushed to recordings in this folder is on the disk; waits as long as the
/// disk takes, so call it on a thread that may wait.
///
/// The whole file system is synced, as `syncfs(2)` does it: with two files for each of two hundred sessions,
/// syncing them one by one means as many flushes of the disk's own cache, a quarter of a processor core here.
/// Other files that share the file system are synced too.
///
/// An error of any file on it since the last call is reported here. Where there is no such call the error is
/// [`io::ErrorKind::Unsupported`].
pub fn sync_all(dir: &Path) -> Result<(), RecorderError> {
    let synced = File::open(dir).and_then(|folder| sync_file_system(&folder));
    synced.map_err(|source| failed("sync", dir, source))
}

#[cfg(target_os = "linux")]
fn sync_file_system(folder: &File) -> io::Result<()> {
    Ok(rustix::fs::syncfs(folder)?)
}

#[cfg(not(target_os = "linux"))]
fn sync_file_system(_: &File) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
