//! Passwords: their rules and their hashes.

use std::time::Duration;

use anyhow::anyhow;
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
}

impl Passwords {
    /// Ready to hash.
    ///
    /// # Errors
    ///
    /// When the hash of a password cannot be made on this machine.
    pub fn new() -> anyhow::Result<Self> {
        let nobody = hash(&secrets::token())?;
        Ok(Self { turns: Semaphore::new(AT_ONCE), nobody })
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

/// The first account of a new site.
pub struct FirstAccount {
    /// What to sign in with.
    pub name: &'static str,
    /// The password, to be changed at the first sign-in; it is kept nowhere else.
    pub password: String,
}

/// Makes the account `admin` of a site that has none, with the password given or with one that is
/// made up; `None` when there are accounts already.
///
/// # Errors
///
/// What the store says.
pub async fn first_account(
    store: &Store,
    password: Option<String>,
    now: Timestamp,
) -> anyhow::Result<Option<FirstAccount>> {
    let (name, password) = ("admin", password.unwrap_or_else(secrets::first_password));
    let text = password.clone();
    let hash = tokio::task::spawn_blocking(move || hash(&text)).await??;
    let made = store.operators().create_first(name, hash, now).await?;
    Ok(made.map(|_| FirstAccount { name, password }))
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
