//! What the base tells a generation through its environment (`docs/design/0002-processes.md`).

use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use model::{Generation, Release, Revision};
use release::Manifest;

/// Where a generation finds its things, and who it is.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Number of this generation.
    pub generation: Generation,
    /// Database, recordings and keys.
    pub data: PathBuf,
    /// Sockets of running processes.
    pub run: PathBuf,
    /// The slot that it runs from.
    pub package: PathBuf,
    /// Web certificate and its key.
    pub tls: PathBuf,
    /// TUF metadata for clients.
    pub mirror: PathBuf,
    /// The file that tells which license is installed; none under a base that does not tell.
    pub license: Option<PathBuf>,
    /// Version and revision, as the package says.
    pub release: Release,
    /// The schema level that the package writes.
    pub schema: u32,
}

impl Settings {
    /// Reads the environment and the package's manifest.
    pub fn from_env() -> Result<Self> {
        let package = folder("SLUIS_PACKAGE")?;
        let manifest_path = package.join("manifest.json");
        let text = fs::read(&manifest_path)
            .with_context(|| format!("the package has no readable {}", manifest_path.display()))?;
        let manifest = Manifest::parse(&text)
            .with_context(|| format!("{} is not a manifest", manifest_path.display()))?;
        let Some(db) = &manifest.db else {
            bail!(
                "{} names no schema level (`db`); this is not a site package",
                manifest_path.display()
            );
        };
        let generation = match env::var("SLUIS_GENERATION") {
            Ok(text) => text
                .parse()
                .with_context(|| format!("SLUIS_GENERATION is “{text}”, not a number"))?,
            Err(_) => 1,
        };
        Ok(Self {
            generation: Generation(generation),
            data: folder("SLUIS_DATA")?,
            run: folder("SLUIS_RUN")?,
            tls: folder("SLUIS_TLS")?,
            mirror: folder("SLUIS_MIRROR")?,
            license: env::var_os("SLUIS_LICENSE").map(PathBuf::from),
            release: Release {
                version: manifest.version.clone(),
                revision: Revision(manifest.revision.0),
            },
            schema: db.writes,
            package,
        })
    }

    /// The database file.
    pub fn database(&self) -> PathBuf {
        self.data.join("site.db")
    }

    /// Where recordings are.
    pub fn recordings(&self) -> PathBuf {
        self.data.join("recordings")
    }
}

fn folder(name: &str) -> Result<PathBuf> {
    let value = env::var_os(name).with_context(|| {
        format!("{name} is not set; the base sets it, see docs/design/0002-processes.md")
    })?;
    Ok(PathBuf::from(value))
}
