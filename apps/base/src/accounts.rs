//! Accounts of `/appliance`: who may administer it. They have nothing to do with those of `/login`.

use std::time::Duration;

use anyhow::anyhow;
use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use host::{RealFs, load_json, save_json};
use model::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, Semaphore};

use crate::paths::Paths;

/// Fewest characters of a password that a person chooses.
pub const CHARS_MIN: usize = 10;
/// Longest password that is looked at: hashing must not be made expensive by its length.
pub const CHARS_MAX: usize = 256;
/// Wrong passwords in a row after which an account is locked.
const WRONG_MAX: u32 = 5;
/// How long it is locked.
const LOCKED: Duration = Duration::from_mins(15);
/// Hashes made at the same time: each takes 19 MiB.
const AT_ONCE: usize = 2;

/// One account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Account {
    /// What its owner signs in with.
    pub name: String,
    /// Argon2id, in the PHC form.
    hash: String,
    /// Whether the password was set by somebody else.
    pub must_change_password: bool,
    /// Wrong passwords in a row.
    #[serde(default)]
    wrong: u32,
    /// Until when nobody can sign in.
    #[serde(default)]
    pub locked_until: Option<Timestamp>,
    /// When its owner last signed in.
    #[serde(default)]
    pub last_sign_in: Option<Timestamp>,
}

impl Account {
    /// An account with a first password, which has to be changed.
    pub fn first(name: &str, password: &str) -> anyhow::Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            hash: hash(password)?,
            must_change_password: true,
            wrong: 0,
            locked_until: None,
            last_sign_in: None,
        })
    }
}

/// All accounts, as `accounts.json` holds them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Accounts {
    /// In the order in which they were added.
    pub accounts: Vec<Account>,
}

/// Somebody cannot sign in: name or password are wrong, or the account is locked.
///
/// Which of the three is not said, and each costs the same work: nobody learns by it which accounts there are, or
/// that a password tried on a locked account was right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused;

/// Why a password or an account is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// The present password is wrong.
    #[error("The present password is wrong.")]
    WrongOld,
    /// Too short.
    #[error("A password has at least {CHARS_MIN} characters.")]
    TooShort,
    /// Too long.
    #[error("A password has at most {CHARS_MAX} characters.")]
    TooLong,
    /// The same as before.
    #[error("The new password must be another one.")]
    Same,
    /// The name is taken.
    #[error("An account with the name {0} exists. Choose another name.")]
    Taken(String),
    /// The name cannot be one.
    #[error("A name has 1 to 32 letters, digits, dots, dashes or underscores.")]
    BadName,
    /// There is no such account.
    #[error("There is no account with the name {0}.")]
    Unknown(String),
    /// Nobody could administer the appliance any more.
    #[error("You cannot remove your own account. Ask another administrator to do it.")]
    Own,
    /// It could not be written down.
    #[error("The accounts cannot be saved: {0}")]
    Disk(String),
}

/// The accounts of a running base.
pub struct AccountBook {
    paths: Paths,
    accounts: Mutex<Accounts>,
    hashing: Semaphore,
    /// Compared with when there is no such account, so that the time does not tell.
    nobody: String,
    /// Passwords compared so far.
    #[cfg(test)]
    verified: std::sync::atomic::AtomicUsize,
}

impl AccountBook {
    pub fn open(paths: &Paths) -> anyhow::Result<Self> {
        let accounts: Option<Accounts> = load_json(&RealFs, &paths.accounts())?;
        let accounts = accounts.ok_or_else(|| {
            anyhow!("{} is missing: restore it from a backup", paths.accounts().display())
        })?;
        Ok(Self {
            paths: paths.clone(),
            accounts: Mutex::new(accounts),
            hashing: Semaphore::new(AT_ONCE),
            nobody: hash("a password that nobody has")?,
            #[cfg(test)]
            verified: std::sync::atomic::AtomicUsize::default(),
        })
    }

    pub async fn list(&self) -> Vec<Account> {
        self.accounts.lock().await.accounts.clone()
    }

    /// Whether this name and password belong together; counts wrong tries.
    ///
    /// Every try costs one hash and one write, whether there is such an account, and whether it is locked.
    pub async fn sign_in(
        &self,
        name: &str,
        password: &str,
        now: Timestamp,
    ) -> Result<Account, Refused> {
        let found = self.list().await.into_iter().find(|account| account.name == name);
        let hash = found.as_ref().map_or_else(|| self.nobody.clone(), |a| a.hash.clone());
        let right = self.matches(password, hash).await;
        let mut accounts = self.accounts.lock().await;
        let account = accounts.accounts.iter_mut().find(|account| account.name == name);
        let result = account.ok_or(Refused).and_then(|account| tried(account, right, now));
        if let Err(error) = save_json(&RealFs, &self.paths.accounts(), &*accounts) {
            tracing::error!(%error, "Accounts cannot be saved");
        }
        result
    }

    /// Lets the owner of an account choose another password.
    pub async fn change_password(
        &self,
        name: &str,
        old: &str,
        new: &str,
    ) -> Result<(), AccountError> {
        let found = self.list().await.into_iter().find(|account| account.name == name);
        let account = found.ok_or_else(|| AccountError::Unknown(name.to_owned()))?;
        if !self.matches(old, account.hash).await {
            return Err(AccountError::WrongOld);
        }
        match new.chars().count() {
            n if n < CHARS_MIN => return Err(AccountError::TooShort),
            n if n > CHARS_MAX => return Err(AccountError::TooLong),
            _ if new == old => return Err(AccountError::Same),
            _ => {}
        }
        let hash = self.hash(new).await?;
        self.change(|accounts| {
            let account = find(accounts, name)?;
            account.hash = hash;
            account.must_change_password = false;
            Ok(())
        })
        .await
    }

    /// Adds an account with a first password.
    pub async fn add(&self, name: &str, password: &str) -> Result<(), AccountError> {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if name.is_empty() || name.len() > 32 || !name.chars().all(good) {
            return Err(AccountError::BadName);
        }
        let hash = self.hash(password).await?;
        self.change(|accounts| {
            if accounts.accounts.iter().any(|account| account.name == name) {
                return Err(AccountError::Taken(name.to_owned()));
            }
            accounts.accounts.push(Account {
                name: name.to_owned(),
                hash,
                must_change_password: true,
                wrong: 0,
                locked_until: None,
                last_sign_in: None,
            });
            Ok(())
        })
        .await
    }

    /// Gives an account a new first password.
    pub async fn reset(&self, name: &str, password: &str) -> Result<(), AccountError> {
        let hash = self.hash(password).await?;
        self.change(|accounts| {
            let account = find(accounts, name)?;
            account.hash = hash;
            account.must_change_password = true;
            account.wrong = 0;
            account.locked_until = None;
            Ok(())
        })
        .await
    }

    /// Removes an account; nobody removes their own, so one always stays.
    pub async fn remove(&self, name: &str, by: &str) -> Result<(), AccountError> {
        if name == by {
            return Err(AccountError::Own);
        }
        self.change(|accounts| {
            find(accounts, name)?;
            accounts.accounts.retain(|account| account.name != name);
            Ok(())
        })
        .await
    }

    async fn change(
        &self,
        change: impl FnOnce(&mut Accounts) -> Result<(), AccountError>,
    ) -> Result<(), AccountError> {
        let mut accounts = self.accounts.lock().await;
        let mut next = accounts.clone();
        change(&mut next)?;
        save_json(&RealFs, &self.paths.accounts(), &next)
            .map_err(|error| AccountError::Disk(error.to_string()))?;
        *accounts = next;
        Ok(())
    }

    async fn matches(&self, password: &str, hash: String) -> bool {
        let short = password.chars().count() <= CHARS_MAX;
        // A longer one is nobody's, and costs what others cost.
        let password = if short { password.to_owned() } else { String::new() };
        let _turn = self.hashing.acquire().await;
        let verified = tokio::task::spawn_blocking(move || {
            PasswordHash::new(&hash).is_ok_and(|hash| {
                Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
            })
        });
        #[cfg(test)]
        self.verified.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        verified.await.unwrap_or(false) && short
    }

    async fn hash(&self, password: &str) -> Result<String, AccountError> {
        let password = password.to_owned();
        let _turn = self.hashing.acquire().await;
        let hashed = tokio::task::spawn_blocking(move || hash(&password)).await;
        match hashed {
            Ok(Ok(hash)) => Ok(hash),
            Ok(Err(error)) => Err(AccountError::Disk(error.to_string())),
            Err(error) => Err(AccountError::Disk(error.to_string())),
        }
    }
}

/// What one try makes of an account; a locked one stays as it is, whatever the password.
fn tried(account: &mut Account, right: bool, now: Timestamp) -> Result<Account, Refused> {
    if account.locked_until.is_some_and(|until| until > now) {
        return Err(Refused);
    }
    if right {
        account.wrong = 0;
        account.locked_until = None;
        account.last_sign_in = Some(now);
        return Ok(account.clone());
    }
    account.wrong += 1;
    if account.wrong >= WRONG_MAX {
        account.wrong = 0;
        account.locked_until = Some(now.plus(LOCKED));
        tracing::warn!(name = account.name, "Account is locked after too many wrong passwords");
    }
    Err(Refused)
}

fn find<'a>(accounts: &'a mut Accounts, name: &str) -> Result<&'a mut Account, AccountError> {
    let found = accounts.accounts.iter_mut().find(|account| account.name == name);
    found.ok_or_else(|| AccountError::Unknown(name.to_owned()))
}

fn hash(password: &str) -> anyhow::Result<String> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string())
        .map_err(|error| anyhow!("a password cannot be hashed: {error}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::sync::atomic::Ordering;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000);

    #[tokio::test]
    async fn unknown_wrong_and_locked_are_told_apart_by_nothing() {
        let dir = tempfile::tempdir().expect("a folder");
        let paths = Paths { data: dir.path().to_owned() };
        let first = Account::first("ada", "the right password").expect("an account");
        save_json(&RealFs, &paths.accounts(), &Accounts { accounts: vec![first] }).expect("a disk");
        let book = AccountBook::open(&paths).expect("accounts");
        let written = || std::fs::metadata(paths.accounts()).expect("a file").ino();
        let long = "x".repeat(CHARS_MAX + 1);
        let tries = [
            ("nobody", "a password"),
            ("ada", "wrong 1"),
            ("ada", "wrong 2"),
            ("ada", long.as_str()),
            ("ada", "wrong 4"),
            ("ada", "wrong 5, which locks it"),
            ("ada", "wrong while locked"),
            ("ada", "the right password"),
            ("nobody", long.as_str()),
        ];
        for (done, (name, password)) in tries.into_iter().enumerate() {
            let before = written();
            assert_eq!(
                book.sign_in(name, password, NOW).await.err(),
                Some(Refused),
                "{name} {password}"
            );
            assert_eq!(
                book.verified.load(Ordering::Relaxed),
                done + 1,
                "one comparison: {name} {password}"
            );
            // Each write is a new file in the place of the old one.
            assert_ne!(written(), before, "one write: {name} {password}");
        }
        let later = NOW.plus(LOCKED);
        assert!(
            book.sign_in("ada", "the right password", later).await.is_ok(),
            "the lock ends by itself"
        );
    }
}
