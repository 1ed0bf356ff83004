//! Passwords: their rules and their hashes.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use model::Timestamp;
use store::Store;
use tokio::sync::{Semaphore, SemaphorePermit};
use ui_kit::account::PasswordFault;

use crate::web::problem::Problem;
use crate::web::secrets;

/// Fewest characters of a password that a person chooses.
pub const CHARS_MIN: usize = 10;
/// Most characters that are looked at: hashing must not be made expensive by length.
pub const CHARS_MAX: usize = 256;
/// Hashes at the same time: each takes 19 MiB and some 20 ms of one core.
const AT_ONCE: usize = 2;
/// How long somebody waits for their turn, before they are asked to come back.
const TURN: Duration = Duration::from_secs(10);

/// Makes and checks hashes, a few at a time and off the async threads.
pub struct Passwords {
    turns: Semaphore,
    /// Compared with when there is no such account, so that the time does not tell.
    nobody: String,
    /// How many were compared.
    #[cfg(test)]
    pub compared: std::sync::atomic::AtomicUsize,
}

impl Passwords {
    /// Ready to hash.
    ///
    /// # Errors
    ///
    /// When the hash of a password cannot be made on this machine.
    pub fn new() -> anyhow::Result<Self> {
        let nobody = hash(&secrets::token())?;
        Ok(Self {
            turns: Semaphore::new(AT_ONCE),
            nobody,
            #[cfg(test)]
            compared: std::sync::atomic::AtomicUsize::new(0),
        })
    }

    /// The hash of a password, Argon2id in PHC string format.
    pub async fn hash(&self, password: &str) -> Result<String, Problem> {
        let password = password.to_owned();
        let _turn = self.turn().await?;
        let made = tokio::task::spawn_blocking(move || hash(&password)).await;
        made.map_err(anyhow::Error::from).and_then(|made| made).map_err(|error| {
            tracing::error!(%error, "Password cannot be hashed");
            Problem::broken("The password")
        })
    }

    /// Whether the password has that hash; `None` stands for an account that is not there.
    pub async fn fits(&self, password: &str, hash: Option<String>) -> Result<bool, Problem> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobody.clone());
        if password.chars().count() > CHARS_MAX {
            return Ok(false);
        }
        let password = password.to_owned();
        let _turn = self.turn().await?;
        #[cfg(test)]
        self.compared.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let checked = tokio::task::spawn_blocking(move || {
            let hash = PasswordHash::new(&hash);
            hash.is_ok_and(|hash| {
                Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
            })
        });
        Ok(checked.await.unwrap_or(false) && known)
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>, Problem> {
        match tokio::time::timeout(TURN, self.turns.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Problem::busy("Signing in", "Many people sign in at this moment.")),
        }
    }
}

fn hash(password: &str) -> anyhow::Result<String> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|error| anyhow!("no hash can be made: {error}"))
}

/// What is wrong with a password that somebody chooses for the account `name`, if anything is.
pub fn fault(name: &str, old: &str, new: &str) -> Option<PasswordFault> {
    let count = new.chars().count();
    let lower = new.to_lowercase();
    if count < CHARS_MIN {
        Some(PasswordFault::TooShort)
    } else if count > CHARS_MAX {
        Some(PasswordFault::TooLong(CHARS_MAX))
    } else if new == old {
        Some(PasswordFault::Same)
    } else if name.chars().count() >= 3 && lower.contains(&name.to_lowercase()) {
        Some(PasswordFault::HoldsName)
    } else {
        None
    }
}

/// The file with the password of the first account, below the site's data folder.
const FIRST_PASSWORD: &str = "first-password";

/// The first account of a new site.
pub struct FirstAccount {
    /// What to sign in with.
    pub name: &'static str,
    /// The file that holds the password, readable by its owner only; it has to be changed at the
    /// first sign-in.
    pub file: PathBuf,
}

/// Makes the account `admin` of a site that has none; `None` when there are accounts already.
///
/// The password is in the file before the account is in the database, and a file that is there is
/// used: whatever cuts this short, somebody can sign in. Once the password was changed the file is
/// worth nothing, and the next start removes it.
///
/// # Errors
///
/// When the file cannot be written, and what the store says.
pub async fn first_account(
    store: &Store,
    data: &Path,
    now: Timestamp,
) -> anyhow::Result<Option<FirstAccount>> {
    let (name, file) = ("admin", data.join(FIRST_PASSWORD));
    let people = store.operators().list().await?;
    if !people.is_empty() {
        if !people.iter().any(|person| person.name == name && person.must_change_password) {
            remove(&file)?;
        }
        return Ok(None);
    }
    let password = first_password(&file)?;
    let hash = tokio::task::spawn_blocking(move || hash(&password)).await??;
    let made = store.operators().create_first(name, hash, now).await?;
    Ok(made.map(|_| FirstAccount { name, file }))
}

/// The password in the file, made up and written when there is none.
fn first_password(file: &Path) -> anyhow::Result<String> {
    let context = || format!("cannot write {}", file.display());
    let mut open = std::fs::OpenOptions::new();
    open.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut open, 0o600);
    match open.open(file) {
        Ok(mut made) => {
            let password = secrets::first_password();
            made.write_all(password.as_bytes()).with_context(context)?;
            made.sync_all().with_context(context)?;
            Ok(password)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let text = std::fs::read_to_string(file).with_context(context)?;
            if text.trim().chars().count() < CHARS_MIN {
                // Cut off while it was written; nobody has it.
                std::fs::remove_file(file).with_context(context)?;
                return first_password(file);
            }
            Ok(text.trim().to_owned())
        }
        Err(error) => Err(error).with_context(context),
    }
}

fn remove(file: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", file.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_long_and_new_and_does_not_hold_the_name() {
        assert_eq!(fault("ada", "old", "short"), Some(PasswordFault::TooShort));
        let long = "x".repeat(257);
        assert_eq!(fault("ada", "old", &long), Some(PasswordFault::TooLong(256)));
        assert_eq!(fault("ada", "same-as-ever", "same-as-ever"), Some(PasswordFault::Same));
        assert_eq!(fault("ada", "old", "ADA-lovelace"), Some(PasswordFault::HoldsName));
        assert_eq!(fault("ada", "old", "тринадцать-14"), None);
    }

    #[tokio::test]
    async fn a_hash_fits_its_password_only_and_nobody_fits_nothing() {
        let passwords = Passwords::new().expect("ready");
        let hash = passwords.hash("tidal-copper").await.expect("a hash");
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        let fits = async |text: &str, hash| passwords.fits(text, hash).await.ok();
        assert_eq!(fits("tidal-copper", Some(hash.clone())).await, Some(true));
        assert_eq!(fits("tidal-coppes", Some(hash)).await, Some(false));
        assert_eq!(fits("tidal-copper", None).await, Some(false));
        assert_eq!(fits("x", Some("no hash".to_owned())).await, Some(false));
    }
}
