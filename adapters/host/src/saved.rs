use std::io;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Fs;

/// Puts these bytes into a file so that a power cut leaves either the old or the new content.
pub fn write_atomic<F: Fs>(fs: &F, path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().ok_or_else(|| io::Error::other("the path has no directory"))?;
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| io::Error::other("the path has no file name"))?;
    let new = dir.join(format!(".{name}.new"));
    fs.remove_file(&new)?;
    fs.write(&new, mode, &mut &*bytes)?;
    fs.sync(&new)?;
    fs.rename(&new, path)?;
    fs.sync_dir(dir)
}

/// Saves a value as JSON, for the owner's eyes only.
pub fn save_json<F: Fs>(fs: &F, path: &Path, value: &impl Serialize) -> io::Result<()> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    write_atomic(fs, path, 0o600, &bytes)
}

/// Reads a value saved as JSON; `None` when there is no such file.
pub fn load_json<F: Fs, T: DeserializeOwned>(fs: &F, path: &Path) -> io::Result<Option<T>> {
    match fs.read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display()))
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
