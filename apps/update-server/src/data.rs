//! The data directory: database, offer key, password of the page, certificate.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use model::PublicKey;
use release::Sha256;
use tuf::SigningKey;

use crate::store::Store;

/// Letters and digits that are not mistaken for each other when read aloud.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// The data directory.
#[derive(Debug, Clone)]
pub struct Data {
    dir: PathBuf,
}

impl Data {
    /// Makes the folder when it is missing, readable by its owner only.
    pub fn open(dir: &Path) -> Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// The database.
    pub async fn store(&self) -> Result<Store> {
        Store::open(&self.dir.join("update.db")).await
    }

    /// The key that signs offers; made at first use.
    pub fn offer_key(&self) -> Result<SigningKey> {
        let text = self.secret("offer.key", || Ok(release::to_hex(&random::<32>()?)))?;
        let path = self.dir.join("offer.key");
        let bad = || format!("{} is damaged: restore it from a copy", path.display());
        let seed = release::from_hex::<32>(text.trim()).with_context(bad)?;
        SigningKey::from_seed(&seed).with_context(bad)
    }

    /// The public half of [`Data::offer_key`].
    pub fn offer_public(&self) -> Result<PublicKey> {
        Ok(self.offer_key()?.key().keyval.public.parse()?)
    }

    /// The password of the page; made at first use.
    pub fn page_password(&self) -> Result<String> {
        Ok(self.secret("page.password", || code(5))?.trim().to_owned())
    }

    /// Where the password of the page stands.
    pub fn page_password_path(&self) -> PathBuf {
        self.dir.join("page.password")
    }

    /// Certificate and key of the server, as paths that may not be there yet.
    pub fn tls_paths(&self) -> (PathBuf, PathBuf) {
        (self.dir.join("tls-cert.pem"), self.dir.join("tls-key.pem"))
    }

    /// Remembers the address that appliances reach this server at.
    pub fn set_url(&self, url: &str) -> Result<()> {
        let path = self.dir.join("url");
        write_atomic(&path, format!("{url}\n").as_bytes())
    }

    /// The address that appliances reach this server at, once it has served.
    pub fn url(&self) -> Option<String> {
        Some(fs::read_to_string(self.dir.join("url")).ok()?.trim().to_owned())
    }

    /// Remembers the pins of the certificates that appliances meet.
    pub fn set_pins(&self, pins: &[Sha256]) -> Result<()> {
        let lines: Vec<String> = pins.iter().map(ToString::to_string).collect();
        write_atomic(&self.dir.join("pins"), lines.join("\n").as_bytes())
    }

    /// The pins of the certificates that appliances meet, once the server has served.
    pub fn pins(&self) -> Vec<Sha256> {
        let text = fs::read_to_string(self.dir.join("pins")).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// Reads a file that only its owner reads, and makes it when it is missing.
    ///
    /// Two processes that start at once end up with the same content: the first name wins.
    fn secret(&self, name: &str, make: impl FnOnce() -> Result<String>) -> Result<String> {
        let path = self.dir.join(name);
        if !path.exists() {
            let temporary = self.dir.join(format!(".{name}.{}", std::process::id()));
            write_secret(&temporary, make()?.as_bytes())?;
            let linked = fs::hard_link(&temporary, &path);
            let _ = fs::remove_file(&temporary);
            match linked {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(error).with_context(|| format!("cannot write {}", path.display()));
                }
                _ => sync(&self.dir)?,
            }
        }
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }
}

/// Writes a file that only its owner reads, to the disk.
pub fn write_secret(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let written = options.open(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.with_context(|| format!("cannot write {}", path.display()))
}

fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = path.with_extension(format!("{}.new", std::process::id()));
    write_secret(&temporary, bytes)?;
    fs::rename(&temporary, path).with_context(|| format!("cannot write {}", path.display()))?;
    sync(path.parent().unwrap_or(Path::new(".")))
}

fn sync(dir: &Path) -> Result<()> {
    let synced = fs::File::open(dir).and_then(|dir| dir.sync_all());
    synced.with_context(|| format!("cannot sync {}", dir.display()))
}

/// Random bytes.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).ok().context("the system gives no random bytes")?;
    Ok(bytes)
}

/// A random code of so many groups of four, such as `H7QK-2MWD`; 20 bits a group.
pub fn code(groups: usize) -> Result<String> {
    let mut parts = Vec::new();
    for _ in 0..groups {
        let letters = random::<4>()?.map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
        parts.push(letters.iter().collect::<String>());
    }
    Ok(parts.join("-"))
}

/// The form in which a code is kept; spaces and case do not matter when it is typed.
pub fn code_hash(code: &str) -> String {
    let plain: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
    tuf::sha256_hex(plain.to_ascii_uppercase().as_bytes())
}
