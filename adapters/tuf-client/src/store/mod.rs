//! The trusted metadata on disk.
//!
//! Every role has two copies: `ROLE.json`, byte for byte what was signed, and an entry in
//! `.trusted`, one file with a checksum that is replaced as a whole and always first. So `.trusted`
//! is the truth and the files follow it; a crash between the two is mended at the next start.
//! If `.trusted` is damaged, the files must hold by their signatures alone; if they do not, the
//! store refuses to open, because whatever is left may be older than what was trusted.

mod mirror;
mod vault;

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use tuf::schema::Metadata;
use tuf::{Change, Signed, Stored, read_root, role_file, schema};

use crate::disk;
use vault::{Entry, Vault};

/// The second copy.
const VAULT: &str = ".trusted";
/// Held by the one process that uses the store.
const LOCK: &str = ".lock";

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nobody has put a first root there yet.
    #[error("{} holds no trusted root", directory.display())]
    NotInitialised {
        /// The store.
        directory: PathBuf,
    },
    /// It follows another root already.
    #[error("{} already follows another root", directory.display())]
    OtherRoot {
        /// The store.
        directory: PathBuf,
    },
    /// Both copies are damaged or gone; what is left may be older than what was trusted.
    #[error("the trusted metadata in {} is damaged in both copies", directory.display())]
    Damaged {
        /// The store.
        directory: PathBuf,
        /// What is wrong with the files.
        #[source]
        source: tuf::Error,
    },
    /// A root that was given cannot be trusted.
    #[error("the given root cannot be used")]
    BadRoot(#[source] tuf::Error),
    /// A change would go back to an older version: a bug, refused all the same.
    #[error("{role} would go back from version {trusted} to {offered}")]
    Rollback {
        /// The role.
        role: String,
        /// What is trusted.
        trusted: u64,
        /// What was to replace it.
        offered: u64,
    },
    /// Another process uses it.
    #[error("another process uses {}", directory.display())]
    InUse {
        /// The store.
        directory: PathBuf,
    },
    /// Not all that a mirror needs is trusted yet.
    #[error("{0} is not complete yet")]
    Incomplete(String),
    /// The disk does not do what it should.
    #[error("{} cannot be read or written", path.display())]
    Disk {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl StoreError {
    /// The way out, for a person.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NotInitialised { .. } => "Initialise it with a root that you trust.",
            Self::OtherRoot { .. } => {
                "To follow the new root, remove the directory and initialise it again."
            }
            Self::Damaged { .. } => {
                "Remove the directory and initialise it again with a root that you got in a way \
                 that you trust."
            }
            Self::BadRoot(_) => "Get the root again from where you trust it.",
            Self::InUse { .. } => "Wait until the other process is done, or stop it.",
            Self::Incomplete(_) => "Refresh first.",
            Self::Rollback { .. } => "Report this as a bug.",
            Self::Disk { .. } => {
                "Check the free space, the permissions and the health of the disk."
            }
        }
    }
}

/// The trusted metadata in one directory, held by one process.
#[derive(Debug)]
pub struct TrustedStore {
    directory: PathBuf,
    vault: Vault,
    /// Gives way when the store is dropped or its process dies.
    _lock: File,
}

impl TrustedStore {
    /// Starts to trust a root that a person or the program vouches for.
    ///
    /// Doing it again with a root that the store has seen changes nothing.
    ///
    /// # Errors
    /// When the root is not signed by its own keys, or the store follows another one.
    pub fn init(directory: &Path, root: &[u8]) -> Result<Self, StoreError> {
        let parsed = read_root(root).map_err(StoreError::BadRoot)?;
        fs::create_dir_all(directory).map_err(at(directory))?;
        match Self::open(directory) {
            Err(StoreError::NotInitialised { .. }) => {}
            Ok(store) if store.vault.roots.values().any(|known| known == root) => {
                return Ok(store);
            }
            Ok(_) => return Err(StoreError::OtherRoot { directory: directory.into() }),
            Err(error) => return Err(error),
        }
        let lock = lock(directory)?;
        let mut store = Self { directory: directory.into(), vault: Vault::default(), _lock: lock };
        let version = parsed.version();
        store.apply(&[Change::Save { role: "root".into(), version, bytes: root.to_vec() }])?;
        Ok(store)
    }

    /// Opens the store, or starts one from the root that the program carries.
    ///
    /// A store that is there goes on from what it trusts, whatever root is given.
    ///
    /// # Errors
    /// As [`TrustedStore::open`] and [`TrustedStore::init`].
    pub fn open_or_init(directory: &Path, root: &[u8]) -> Result<Self, StoreError> {
        match Self::open(directory) {
            Err(StoreError::NotInitialised { .. }) => Self::init(directory, root),
            other => other,
        }
    }

    /// Opens the store and mends what a crash left half done.
    ///
    /// # Errors
    /// When there is none, when both copies are damaged, or when another process holds it.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        if !directory.is_dir() {
            return Err(StoreError::NotInitialised { directory: directory.into() });
        }
        let lock = lock(directory)?;
        let bytes = disk::read(directory, VAULT).map_err(at(&directory.join(VAULT)))?;
        let vault = match bytes.as_deref().and_then(Vault::decode) {
            Some(vault) => vault,
            None => rebuild(directory, bytes.is_some())?,
        };
        let store = Self { directory: directory.into(), vault, _lock: lock };
        store.mend()?;
        Ok(store)
    }

    /// What a refresh starts from.
    pub fn stored(&self) -> Stored {
        self.vault.stored()
    }

    /// The oldest root that is here, with its version.
    pub(crate) fn oldest_root(&self) -> Option<(u64, &[u8])> {
        self.vault.roots.first_key_value().map(|(version, bytes)| (*version, bytes.as_slice()))
    }

    /// Keeps a root from before the oldest one here, which only mirrors need.
    pub(crate) fn add_older_root(&mut self, version: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let mut next = self.vault.clone();
        next.roots.entry(version).or_insert_with(|| bytes.to_vec());
        self.replace(VAULT, &next.encode())?;
        self.vault = next;
        Ok(())
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Makes changes that belong together last: after a crash all of them are there or none.
    ///
    /// # Errors
    /// When the disk fails, the store stays as it was; opening it again tells how far it came.
    pub fn apply(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        let next = self.next(changes)?;
        self.replace(VAULT, &next.encode())?;
        self.vault = next;
        for change in changes {
            match change {
                Change::Save { role, bytes, .. } => self.replace(&role_file(role), bytes)?,
                Change::Forget { role } => self.remove(&role_file(role))?,
            }
        }
        Ok(())
    }

    /// The content after the changes, none of which may go back.
    fn next(&self, changes: &[Change]) -> Result<Vault, StoreError> {
        let mut next = self.vault.clone();
        for change in changes {
            if let Change::Save { role, version, .. } = change
                && ["root", "timestamp", "snapshot"].contains(&role.as_str())
                && let Some(trusted) = next.version(role)
                && *version < trusted
            {
                return Err(StoreError::Rollback {
                    role: role.clone(),
                    trusted,
                    offered: *version,
                });
            }
            next.apply(change);
        }
        Ok(next)
    }

    /// Makes the files say what `.trusted` says.
    fn mend(&self) -> Result<(), StoreError> {
        let encoded = self.vault.encode();
        if self.read(VAULT)?.as_ref() != Some(&encoded) {
            self.replace(VAULT, &encoded)?;
        }
        let mut names = vec![VAULT.to_owned(), LOCK.to_owned()];
        for (role, bytes) in self.vault.files() {
            let name = role_file(role);
            if self.read(&name)?.as_deref() != Some(bytes) {
                tracing::warn!(file = %name, "Restored trusted metadata from its second copy");
                self.replace(&name, bytes)?;
            }
            names.push(name);
        }
        self.remove_others(&names)
    }

    /// Removes metadata that is no longer trusted and temporary files of a process that died.
    fn remove_others(&self, names: &[String]) -> Result<(), StoreError> {
        let entries = fs::read_dir(&self.directory).map_err(at(&self.directory))?;
        for entry in entries {
            let name = entry.map_err(at(&self.directory))?.file_name();
            let Some(name) = name.to_str() else { continue };
            let is_ours = Path::new(name).extension().is_some_and(|e| e == "json" || e == "tmp");
            if is_ours && !names.iter().any(|own| own == name) {
                self.remove(name)?;
            }
        }
        Ok(())
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        disk::read(&self.directory, name).map_err(at(&self.directory.join(name)))
    }

    fn replace(&self, name: &str, content: &[u8]) -> Result<(), StoreError> {
        disk::replace(&self.directory, name, content).map_err(at(&self.directory.join(name)))
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        disk::remove(&self.directory, name).map_err(at(&self.directory.join(name)))
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Disk { path, source }
}

fn lock(directory: &Path) -> Result<File, StoreError> {
    let path = directory.join(LOCK);
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(at(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { directory: directory.into() }),
        Err(TryLockError::Error(error)) => Err(at(&path)(error)),
    }
}

/// Takes the files as they are when they hold by their signatures.
fn rebuild(directory: &Path, was_there: bool) -> Result<Vault, StoreError> {
    let read = |role: &str| {
        let name = role_file(role);
        disk::read(directory, &name).map_err(at(&directory.join(name)))
    };
    let damaged = |source| StoreError::Damaged { directory: directory.into(), source };
    let Some(root) = read("root")? else {
        return Err(if was_there || read("timestamp")?.is_some() {
            damaged(tuf::Error::Stored { role: "root".into(), reason: tuf::Reason::Missing })
        } else {
            StoreError::NotInitialised { directory: directory.into() }
        });
    };
    let mut stored = Stored { root, ..Stored::default() };
    (stored.timestamp, stored.snapshot) = (read("timestamp")?, read("snapshot")?);
    stored.demand_whole().map_err(damaged)?;
    // Targets and delegated roles are fetched again: the snapshot says which versions they have.
    let mut vault = Vault::default();
    let version = read_root(&stored.root).map_err(damaged)?.version();
    vault.roots.insert(version, stored.root);
    vault.add::<schema::Timestamp>(stored.timestamp);
    vault.add::<schema::Snapshot>(stored.snapshot);
    tracing::warn!(directory = %directory.display(), "Rebuilt the second copy of the trusted metadata");
    Ok(vault)
}

impl Vault {
    /// Adds metadata whose signatures were checked.
    fn add<T: Metadata>(&mut self, bytes: Option<Vec<u8>>) {
        let version =
            |bytes: &[u8]| Some(Signed::<T>::read_unverified(bytes).ok()?.signed.version());
        if let Some(bytes) = bytes
            && let Some(version) = version(&bytes)
        {
            self.roles.insert(T::TYPE.to_string(), Entry { version, bytes });
        }
    }
}
