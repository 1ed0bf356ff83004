use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The few things that the installer does to a disk.
///
/// Nothing is on stable storage before `sync` (a file's bytes) and `sync_dir` (names in a directory) returned.
pub trait Fs: Send + Sync + 'static {
    /// The whole file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Opens the file to be read from its beginning.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>>;
    /// Makes the file hold exactly this, keeping blocks that were reserved for it; answers its length.
    fn write(&self, path: &Path, mode: u32, content: &mut dyn Read) -> io::Result<u64>;
    /// Adds to the end of the file, creating it.
    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Cuts the file to that length.
    fn truncate(&self, path: &Path, length: u64) -> io::Result<()>;
    /// Creates the file with blocks for that many bytes, or fails when the disk has too few.
    fn reserve(&self, path: &Path, length: u64) -> io::Result<()>;
    /// Brings the file's bytes to stable storage.
    fn sync(&self, path: &Path) -> io::Result<()>;
    /// Brings the names in a directory to stable storage.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Puts a file or directory in the place of another name, atomically.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes a symbolic link.
    fn symlink(&self, target: &Path, path: &Path) -> io::Result<()>;
    /// Where a symbolic link points; `None` when there is none.
    fn read_link(&self, path: &Path) -> io::Result<Option<PathBuf>>;
    /// Makes a directory unless it is there.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Removes a file or link unless it is gone.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory with everything in it unless it is gone.
    fn remove_tree(&self, path: &Path) -> io::Result<()>;
    /// Names in a directory, sorted; none when there is no such directory.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
    /// Whether there is something by that name.
    fn exists(&self, path: &Path) -> bool;
}

/// The real disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealFs;

impl Fs for RealFs {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(path)?))
    }

    fn write(&self, path: &Path, mode: u32, content: &mut dyn Read) -> io::Result<u64> {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(mode).open(path)?;
        file.rewind()?;
        let mut buffer = vec![0; 256 * 1024];
        let mut length = 0;
        loop {
            let n = content.read(&mut buffer)?;
            if n == 0 {
                break;
            }
            file.write_all(&buffer[..n])?;
            length += n as u64;
        }
        file.set_len(length)?;
        file.set_permissions(std::fs::Permissions::from_mode(mode))?;
        Ok(length)
    }

    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        OpenOptions::new().append(true).create(true).mode(0o600).open(path)?.write_all(bytes)
    }

    fn truncate(&self, path: &Path, length: u64) -> io::Result<()> {
        OpenOptions::new().write(true).open(path)?.set_len(length)
    }

    fn reserve(&self, path: &Path, length: u64) -> io::Result<()> {
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        if length == 0 {
            return Ok(());
        }
        let flags = rustix::fs::FallocateFlags::empty();
        match rustix::fs::fallocate(&file, flags, 0, length) {
            // A file system without it reserves nothing; a full disk is then noticed while writing.
            Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
            other => Ok(other?),
        }
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn symlink(&self, target: &Path, path: &Path) -> io::Result<()> {
        std::os::unix::fs::symlink(target, path)
    }

    fn read_link(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        gone_is_none(std::fs::read_link(path))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        match std::fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            other => other,
        }
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        gone_is_none(std::fs::remove_file(path)).map(drop)
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        gone_is_none(std::fs::remove_dir_all(path)).map(drop)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let Some(entries) = gone_is_none(std::fs::read_dir(path))? else { return Ok(vec![]) };
        let mut names = vec![];
        for entry in entries {
            // A name that is not text is none of ours.
            names.extend(entry?.file_name().into_string().ok());
        }
        names.sort();
        Ok(names)
    }

    fn exists(&self, path: &Path) -> bool {
        path.symlink_metadata().is_ok()
    }
}

fn gone_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Bytes of memory that the machine has.
pub fn memory_total() -> io::Result<u64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Bytes that may still be written to the disk that holds `path`.
pub fn disk_free(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
