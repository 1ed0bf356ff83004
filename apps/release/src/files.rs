//! Files that are either whole or not there, whatever is killed when.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use aws_lc_rs::digest;
use release::Sha256;

/// How the names of files end that are still being written; they begin with a dot.
pub const HALF_WRITTEN: &str = ".new";
/// Bytes read at once.
const CHUNK: usize = 1 << 20;

/// Replaces a file so that a reader, and whoever comes after a power cut, sees the old or the new one.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with(path, |file| file.write_all(bytes))
}

/// As [`write_atomic`], with the content written piece by piece.
pub fn write_with(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let name = path.file_name().context("a file needs a name")?.to_string_lossy();
    // One writer at a time: whoever writes here holds the repository's lock, or owns the folder.
    let temporary = folder.join(format!(".{name}.{}{HALF_WRITTEN}", std::process::id()));
    let written = File::create(&temporary)
        .and_then(|mut file| write(&mut file).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, path))
        .and_then(|()| sync_folder(folder));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// Writes a file that only its owner reads, and refuses to replace one.
pub fn write_secret(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            bail!(
                "{} is there already and a key is written only once: give another folder",
                path.display()
            )
        }
        other => other.with_context(|| format!("cannot write {}", path.display()))?,
    };
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written.with_context(|| format!("cannot write {}", path.display()))?;
    sync_folder(path.parent().unwrap_or(Path::new("."))).context("cannot sync the folder of keys")
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Reads a file that has at most so many bytes.
pub fn read_bounded(path: &Path, max: usize) -> Result<Vec<u8>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut bytes = Vec::new();
    file.take(max as u64 + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {}", path.display()))?;
    if bytes.len() > max {
        bail!("{} has more than {max} bytes", path.display());
    }
    Ok(bytes)
}

/// Length and SHA-256 of a file.
pub fn hash_file(path: &Path) -> Result<(u64, Sha256)> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    hash_reader(file).with_context(|| format!("cannot read {}", path.display()))
}

/// Length and SHA-256 of all that a reader gives.
pub fn hash_reader(mut reader: impl Read) -> io::Result<(u64, Sha256)> {
    let mut hash = Hasher::default();
    let mut chunk = vec![0; CHUNK];
    loop {
        match reader.read(&mut chunk) {
            Ok(0) => return Ok(hash.finish()),
            Ok(count) => hash.update(&chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

struct Hasher(digest::Context, u64);

impl Default for Hasher {
    fn default() -> Self {
        Self(digest::Context::new(&digest::SHA256), 0)
    }
}

impl Hasher {
    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
        self.1 += bytes.len() as u64;
    }

    fn finish(self) -> (u64, Sha256) {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(self.0.finish().as_ref());
        (self.1, Sha256(sha256))
    }
}

/// Every plain file below a folder, as path with `/` and place on disk, in the order of the paths.
pub fn walk(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    let mut todo = vec![(String::new(), folder.to_owned())];
    while let Some((prefix, folder)) = todo.pop() {
        let entries =
            fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                bail!("{} has no plain name: rename it", entry.path().display())
            };
            let path = format!("{prefix}{name}");
            let kind = entry.file_type().with_context(|| format!("cannot read {path}"))?;
            if kind.is_dir() {
                todo.push((format!("{path}/"), entry.path()));
            } else if kind.is_file() {
                found.push((path, entry.path()));
            } else {
                bail!(
                    "{} is neither a file nor a folder: packages hold no links",
                    entry.path().display()
                );
            }
        }
    }
    found.sort();
    Ok(found)
}
