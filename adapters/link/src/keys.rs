use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use session::SigningKey;

/// A key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The disk failed.
    #[error("cannot read or write the key file {path}: {source}")]
    Host {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds something else.
    #[error(
        "{path} is not a key: it must hold 32 bytes; restore it from a backup or remove it to get a new identity"
    )]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
}

/// Reads the Ed25519 seed in `path`, or draws one and writes it (mode 0600, durable) first.
///
/// # Errors
/// When the file is no key or the disk fails; an existing file is never overwritten.
pub fn load_or_create_key(path: &Path) -> Result<SigningKey, KeyFileError> {
    let host = |source| KeyFileError::Host { path: path.to_owned(), source };
    match fs::read(path) {
        Ok(seed) => from_seed(path, &seed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let seed: [u8; 32] = random()?;
            write_once(path, &seed).map_err(host)?;
            // Another process may have been first; what is in the file counts.
            from_seed(path, &fs::read(path).map_err(host)?)
        }
        Err(error) => Err(host(error)),
    }
}

fn from_seed(path: &Path, seed: &[u8]) -> Result<SigningKey, KeyFileError> {
    SigningKey::from_seed(seed).map_err(|_| KeyFileError::NotAKey { path: path.to_owned() })
}

/// Sixteen random bytes, for an id that carries no time.
///
/// # Errors
/// When the system has no randomness.
pub fn fresh_id_bytes() -> Result<[u8; 16], KeyFileError> {
    random()
}

fn random<const N: usize>() -> Result<[u8; N], KeyFileError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| KeyFileError::Host {
        path: PathBuf::from("the system's random source"),
        source: io::ErrorKind::Other.into(),
    })?;
    Ok(bytes)
}

/// Writes beside the place, then links into it: the file is either whole or not there, and one
/// that is there stays.
fn write_once(path: &Path, seed: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let temporary = folder.join(format!(
        ".{}.{}.new",
        path.file_name().unwrap_or_default().to_string_lossy(),
        std::process::id()
    ));
    let _ = fs::remove_file(&temporary);
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary)?;
    file.write_all(seed)?;
    file.sync_all()?;
    let linked = match fs::hard_link(&temporary, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    };
    let _ = fs::remove_file(&temporary);
    linked?;
    #[cfg(unix)]
    fs::File::open(folder)?.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("site.key");
        let first = load_or_create_key(&path).expect("made").public();
        assert_eq!(load_or_create_key(&path).expect("read").public(), first);
    }

    #[test]
    fn a_damaged_key_is_an_error_and_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("site.key");
        fs::write(&path, b"torn").expect("written");
        assert!(matches!(load_or_create_key(&path), Err(KeyFileError::NotAKey { .. })));
        assert_eq!(fs::read(&path).expect("still there"), b"torn");
    }
}
