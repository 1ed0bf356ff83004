use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::session::SigningKey;
use anyhow::{Context, Result, anyhow};
use model::PublicKey;
use serde::{Deserialize, Serialize};

use crate::exit::Problem;

/// What this console knows: its identity and its site.
pub struct Profile {
    folder: PathBuf,
}

/// The site that this console is registered at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// Host and port.
    pub address: String,
    /// The site's identity, pinned at the first sign-in.
    pub key: PublicKey,
    /// The account.
    pub user: String,
}

impl Profile {
    /// The profile in that folder, or in the usual one.
    pub fn open(folder: Option<PathBuf>) -> Result<Self> {
        let folder = match folder {
            Some(folder) => folder,
            None => usual_folder()?,
        };
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make the profile's folder {}", folder.display()))?;
        Ok(Self { folder })
    }

    /// This console's identity, made at first use.
    pub fn key(&self) -> Result<Arc<SigningKey>> {
        Ok(Arc::new(link::load_or_create_key(&self.folder.join("console.key"))?))
    }

    /// The site, if this console has signed in.
    pub fn site(&self) -> Result<Site, Problem> {
        let path = self.path();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Problem::new(
                    "this console has not signed in yet",
                    "run `sluis login HOST`",
                ));
            }
            Err(error) => return Err(anyhow!("cannot read {}: {error}", path.display()).into()),
        };
        toml::from_str(&text).map_err(|error| {
            let text = format!("{} cannot be read: {error}", path.display());
            Problem::new(text, "run `sluis login HOST` to write it anew")
        })
    }

    /// Keeps a site.
    pub fn set_site(&self, site: &Site) -> Result<()> {
        let text = toml::to_string(site).context("the site cannot be written")?;
        write_durably(&self.path(), text.as_bytes())
            .with_context(|| format!("cannot write {}", self.path().display()))
    }

    /// Forgets the site.
    pub fn forget_site(&self) -> Result<()> {
        match fs::remove_file(self.path()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", self.path().display()))
            }
            _ => Ok(()),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.join("site.toml")
    }

    /// Trusted metadata about software.
    pub fn tuf(&self) -> PathBuf {
        self.folder.join("tuf")
    }

    /// Downloads under way.
    pub fn downloads(&self) -> PathBuf {
        self.folder.join("downloads")
    }

    /// Where this profile keeps the token for `/appliance`.
    pub fn appliance_token(&self) -> PathBuf {
        self.folder.join("appliance.token")
    }
}

fn usual_folder() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("XDG_CONFIG_HOME") {
        return Ok(PathBuf::from(folder).join("sluis"));
    }
    let home = std::env::var_os("HOME").or_else(|| std::env::var_os("APPDATA"));
    let home = home.context("neither HOME nor SLUIS_HOME is set; say --home DIR")?;
    Ok(PathBuf::from(home).join(".config").join("sluis"))
}

/// Replaces a file so that it is either the old one or the new one, readable by its owner only.
pub fn write_durably(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension(format!("{}.new", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}
