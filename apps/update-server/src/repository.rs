//! The published repository: a folder that `sluis-release` writes and this server only reads.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::Timestamp;
use release::catalog::{Catalog, CatalogError, catalog};

use crate::clock;

/// A catalog is read anew after that long even when nothing was published: it may have expired.
const FRESH: Duration = Duration::from_mins(1);
/// Bytes of the longest root that is read.
const ROOT_MAX: u64 = 1 << 20;

/// The repository, with what was read of it last.
pub struct Repository {
    dir: PathBuf,
    last: Mutex<Option<Seen>>,
}

struct Seen {
    timestamp: Vec<u8>,
    at: Timestamp,
    catalog: Arc<Catalog>,
}

/// Why there is nothing to offer, and what its operator does about it.
#[derive(Debug, Clone)]
pub struct Unusable {
    pub error: String,
    pub remedy: String,
}

impl Repository {
    /// The repository in that folder; it need not be whole yet.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), last: Mutex::new(None) }
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Everything that is published, verified from the first root on. Blocks on the disk.
    ///
    /// # Errors
    /// When the metadata cannot be read, is not to be believed, or has expired.
    pub fn catalog(&self) -> Result<Arc<Catalog>, Unusable> {
        let metadata = self.dir.join("metadata");
        let timestamp =
            read(&metadata.join("timestamp.json"), ROOT_MAX).map_err(|e| missing(&e))?;
        let now = clock::now();
        // One reader at a time: the others find its result.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |seen: &&Seen| {
            seen.timestamp == timestamp && now >= seen.at && now.since(seen.at) < FRESH
        };
        if let Some(seen) = last.as_ref().filter(fresh) {
            return Ok(Arc::clone(&seen.catalog));
        }
        let root = read(&metadata.join("1.root.json"), ROOT_MAX).map_err(|e| missing(&e))?;
        let catalog = catalog(&root, now, |want| {
            match read(&metadata.join(&want.file), want.max_length + 1) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            }
        });
        let catalog = Arc::new(catalog.map_err(unusable)?);
        *last = Some(Seen { timestamp, at: now, catalog: Arc::clone(&catalog) });
        Ok(catalog)
    }
}

fn read(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn missing(error: &io::Error) -> Unusable {
    Unusable {
        error: format!("the repository of this update server cannot be read: {error}"),
        remedy: "The operator of the update server publishes with `sluis-release` into the folder that `--repo` names.".into(),
    }
}

fn unusable(error: CatalogError<io::Error>) -> Unusable {
    match error {
        CatalogError::Fetch(error) => missing(&error),
        CatalogError::Metadata(error) => Unusable {
            error: format!("the repository of this update server cannot be offered: {error}"),
            remedy: format!(
                "The operator of the update server signs it anew with `sluis-release timestamp`. {}",
                error.remedy()
            ),
        },
    }
}
