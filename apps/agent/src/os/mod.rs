//! What depends on the operating system, in one place.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

#[cfg(unix)]
mod unix;

#[cfg(unix)]
pub use unix::{
    become_reaper, end_with_parent, execute, go_first, inherited_fd, is_child, keep_on_exec, kill,
    memory_file, name_of_signal, raise_descriptor_limit, reap_any, register,
};

/// Not known here: sessions are not carried over on this operating system.
#[cfg(not(unix))]
pub const fn go_first(_: bool) {}

/// Writes a file so that after a crash either the old or the new content is there, whole.
///
/// Only its owner may read it.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = create(&temporary, 0o600)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    std::fs::rename(&temporary, path)?;
    sync_folder_of(path)
}

/// Creates or empties a file with that mode, which Windows ignores.
pub fn create(path: &Path, mode: u32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    options.open(path)
}

/// Creates a folder that only its owner may enter, with those above it.
pub fn create_private_folder(path: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Makes a rename in the folder of `path` durable.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}
