use std::fmt;
use std::str::FromStr;

use model::{BadVersion, PackageKind, Release, Revision, Version, VersionRange};
use serde::{Deserialize, Serialize};

use crate::hash::Sha256;
use crate::license::License;
use crate::path::{PathError, check_paths};

/// The form of manifest that this crate reads; a higher number means that an older updater must not guess.
pub const MANIFEST_SCHEMA: u32 = 1;

/// Bounds on what a manifest may hold; whatever is beyond is refused before it costs memory or disk.
pub mod limits {
    /// Bytes of `manifest.json`.
    pub const MANIFEST_BYTES: usize = 256 * 1024;
    /// Files of one package.
    pub const FILES: usize = 512;
    /// Bytes of one file.
    pub const FILE_BYTES: u64 = 4 << 30;
    /// Bytes of all files of one package.
    pub const INSTALLED_BYTES: u64 = 8 << 30;
    /// Entries of `requires`, `conflicts` or `floors`.
    pub const RULES: usize = 32;
    /// Bytes of the release notes.
    pub const NOTES_BYTES: usize = 16 * 1024;
    /// Bytes of a package's name or architecture.
    pub const NAME_BYTES: usize = 64;
    /// The highest minor, patch or revision number: each has three digits in `seq`.
    pub const NUMBER: u64 = 999;
}

/// What a package says about itself.
///
/// It stands as `manifest.json` in the package and, identical, in the `custom` field of the signed TUF target,
/// so that what an appliance may install is decided before a download.
/// Fields and kinds that this version does not know are tolerated.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Manifest {
    /// Form of this document; [`MANIFEST_SCHEMA`] here.
    pub schema: u32,
    /// What the package carries.
    pub kind: PackageKind,
    /// Name that rules refer to: `base`, `site`, `license`.
    pub name: String,
    /// Version, without a pre-release part.
    pub version: Version,
    /// Build of that version.
    pub revision: Revision,
    /// Orders the releases of one name; always [`sequence`] of version and revision.
    pub seq: u64,
    /// Machine that the files run on, or `any`.
    pub arch: String,
    /// What must be installed before.
    #[serde(default)]
    pub requires: Vec<Requirement>,
    /// What must not be installed beside it.
    #[serde(default)]
    pub conflicts: Vec<Requirement>,
    /// Versions that an update to this one must pass through.
    #[serde(default)]
    pub floors: Vec<Floor>,
    /// How running processes get to it.
    #[serde(default)]
    pub restart: Restart,
    /// Versions of the wire that it speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wire: Option<Wire>,
    /// Levels of the database schema that it works with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub db: Option<Database>,
    /// Every file besides `manifest.json`, sorted by path.
    pub files: Vec<FileEntry>,
    /// Sum of the files' sizes in bytes.
    pub size_installed: u64,
    /// SHA-256 of the license agreement to accept, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eula_sha256: Option<Sha256>,
    /// Release notes, plain text.
    #[serde(default)]
    pub notes: String,
    /// What a package of kind `license` grants; nothing in other kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<License>,
}

/// A package in some versions: `base >=1.3`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Requirement {
    /// Name of the other package.
    pub name: String,
    /// Which of its versions.
    pub range: VersionRange,
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.range)
    }
}

impl FromStr for Requirement {
    type Err = BadVersion;

    /// Reads `base >=1.3`.
    fn from_str(text: &str) -> Result<Self, BadVersion> {
        let (name, range) = text.trim().split_once(' ').ok_or_else(|| BadVersion(text.into()))?;
        Ok(Self { name: name.to_owned(), range: range.trim().parse()? })
    }
}

/// A version that an update must pass through: whoever runs something older installs one from here on first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Floor(pub Version);

impl fmt::Display for Floor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Floor {
    type Err = BadVersion;

    /// Reads `1.2` or `1.2.0`.
    fn from_str(text: &str) -> Result<Self, BadVersion> {
        let whole =
            if text.split('.').count() == 2 { format!("{text}.0") } else { text.to_owned() };
        Version::parse(&whole).map(Self).map_err(|_| BadVersion(text.chars().take(100).collect()))
    }
}

impl TryFrom<String> for Floor {
    type Error = BadVersion;

    fn try_from(text: String) -> Result<Self, BadVersion> {
        text.parse()
    }
}

impl From<Floor> for String {
    fn from(floor: Floor) -> Self {
        floor.to_string()
    }
}

/// How running processes get to what a package brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Restart {
    /// Nothing restarts.
    #[default]
    None,
    /// A new process takes over from the old one.
    Handover,
    /// A way that a later release knows.
    #[serde(other)]
    Unknown,
}

/// Versions of each wire protocol that a package speaks, lowest and highest.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Wire {
    /// With agents.
    pub agent: (u16, u16),
    /// With access consoles.
    pub console: (u16, u16),
    /// With the other appliance of a pair.
    pub peer: (u16, u16),
}

/// Levels of the database schema that a site works with.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Database {
    /// Levels it can run on, lowest and highest.
    pub reads: (u32, u32),
    /// Level up to which it migrates.
    pub writes: u32,
}

/// One file of a package.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileEntry {
    /// Path below the slot, with `/` between names.
    pub path: String,
    /// Permission bits: `0o644` or `0o755`.
    pub mode: u32,
    /// Length in bytes.
    pub size: u64,
    /// SHA-256 of the content.
    pub sha256: Sha256,
}

/// Why a manifest is refused.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Longer than [`limits::MANIFEST_BYTES`].
    #[error("the manifest has {0} bytes; {max} are allowed", max = limits::MANIFEST_BYTES)]
    TooLong(usize),
    /// Not JSON of the right form.
    #[error("the manifest is not valid: {0}")]
    Malformed(String),
    /// Of a form that came after this version.
    #[error(
        "the manifest has form {0}, and this version reads form {MANIFEST_SCHEMA}: install the newest base software first"
    )]
    TooNew(u32),
    /// A value is outside its rule.
    #[error("the manifest's `{field}` is refused: {reason}")]
    Field {
        /// Name of the field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A path breaks the rules.
    #[error("the manifest's `files` are refused: {0}")]
    Path(#[from] PathError),
}

fn refuse(field: &'static str, reason: impl Into<String>) -> ManifestError {
    ManifestError::Field { field, reason: reason.into() }
}

impl Manifest {
    /// Reads and checks `manifest.json`.
    ///
    /// # Errors
    /// Whatever [`Manifest::check`] refuses, and text that is no manifest.
    pub fn parse(json: &[u8]) -> Result<Self, ManifestError> {
        if json.len() > limits::MANIFEST_BYTES {
            return Err(ManifestError::TooLong(json.len()));
        }
        let value: serde_json::Value =
            serde_json::from_slice(json).map_err(|e| ManifestError::Malformed(e.to_string()))?;
        Self::from_value(&value)
    }

    /// Reads and checks a manifest that was parsed as JSON before, such as a TUF target's `custom`.
    pub fn from_value(value: &serde_json::Value) -> Result<Self, ManifestError> {
        // Asked before anything else is read: a later form may mean other things by the same names.
        let schema = value.get("schema").and_then(serde_json::Value::as_u64);
        match schema {
            Some(schema) if schema > u64::from(MANIFEST_SCHEMA) => {
                return Err(ManifestError::TooNew(u32::try_from(schema).unwrap_or(u32::MAX)));
            }
            Some(1) => {}
            _ => return Err(ManifestError::Malformed("`schema` is missing or no number".into())),
        }
        let manifest =
            Self::deserialize(value).map_err(|e| ManifestError::Malformed(e.to_string()))?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Holds every rule that a manifest must keep.
    ///
    /// # Errors
    /// Names the field and the rule.
    pub fn check(&self) -> Result<(), ManifestError> {
        check_name("name", &self.name)?;
        check_name("arch", &self.arch)?;
        self.check_numbers()?;
        self.check_rules()?;
        self.check_files()?;
        if self.notes.len() > limits::NOTES_BYTES {
            return Err(refuse("notes", format!("longer than {} bytes", limits::NOTES_BYTES)));
        }
        // Rules refer to packages by name, so a kind has one name.
        if self.kind != PackageKind::Unknown && self.name != self.kind.to_string() {
            return Err(refuse("name", format!("a {} package is called `{0}`", self.kind)));
        }
        match (self.kind, &self.license) {
            (PackageKind::License, None) => Err(refuse("license", "a license package needs one")),
            (PackageKind::Base | PackageKind::Site, Some(_)) => {
                Err(refuse("license", "only a license package has one"))
            }
            _ => Ok(()),
        }
    }

    fn check_numbers(&self) -> Result<(), ManifestError> {
        let seq = sequence(&self.release())?;
        if seq != self.seq {
            return Err(refuse("seq", format!("{} where the version makes {seq}", self.seq)));
        }
        for (low, high) in self.wire.iter().flat_map(|w| [w.agent, w.console, w.peer]) {
            if low > high {
                return Err(refuse("wire", format!("{low} is above {high}")));
            }
        }
        match &self.db {
            Some(db) if db.reads.0 > db.reads.1 => {
                Err(refuse("db", format!("reads {} to {}", db.reads.0, db.reads.1)))
            }
            Some(db) if db.writes < db.reads.0 || db.writes > db.reads.1 => {
                Err(refuse("db", format!("writes level {} and cannot read it", db.writes)))
            }
            _ => Ok(()),
        }
    }

    fn check_rules(&self) -> Result<(), ManifestError> {
        let lists = [
            ("requires", self.requires.len()),
            ("conflicts", self.conflicts.len()),
            ("floors", self.floors.len()),
        ];
        if let Some((field, _)) = lists.iter().find(|(_, count)| *count > limits::RULES) {
            return Err(refuse(field, format!("more than {} entries", limits::RULES)));
        }
        for rule in &self.requires {
            check_name("requires", &rule.name)?;
            if rule.name == self.name {
                return Err(refuse("requires", "a package cannot require itself; use `floors`"));
            }
        }
        for rule in &self.conflicts {
            check_name("conflicts", &rule.name)?;
        }
        match self.floors.iter().find(|floor| floor.0 > self.version) {
            Some(floor) => Err(refuse("floors", format!("{floor} is above the version itself"))),
            None => Ok(()),
        }
    }

    fn check_files(&self) -> Result<(), ManifestError> {
        if self.files.len() > limits::FILES {
            return Err(refuse("files", format!("more than {} entries", limits::FILES)));
        }
        check_paths(self.files.iter().map(|file| file.path.as_str()))?;
        for file in &self.files {
            if !matches!(file.mode, 0o644 | 0o755) {
                return Err(refuse("files", format!("{} has mode {:o}", file.path, file.mode)));
            }
            if file.size > limits::FILE_BYTES {
                return Err(refuse("files", format!("{} has {} bytes", file.path, file.size)));
            }
        }
        // No overflow: count and sizes are bounded above.
        let total: u64 = self.files.iter().map(|file| file.size).sum();
        if total != self.size_installed || total > limits::INSTALLED_BYTES {
            return Err(refuse("size_installed", format!("{} for {total}", self.size_installed)));
        }
        Ok(())
    }

    /// Name of the package file: `site-1.1.0-r2-x86_64.pkg`.
    ///
    /// A license carries the hostname in place of the machine, so that sites do not collide.
    pub fn file_name(&self) -> String {
        let place = self.license.as_ref().map_or(self.arch.as_str(), |l| l.hostname.as_str());
        format!("{}-{}-r{}-{place}.pkg", self.name, self.version, self.revision.0)
    }

    /// Name of the TUF target: `site/site-1.1.0-r2-x86_64.pkg`.
    pub fn target_name(&self) -> String {
        format!("{}/{}", self.name, self.file_name())
    }

    /// Whether it may stand under that name: each folder has its own signers.
    ///
    /// # Errors
    /// When a role speaks for a package that is not its own.
    pub fn check_target(&self, target: &str) -> Result<(), ManifestError> {
        let name = self.target_name();
        if name == target {
            return Ok(());
        }
        Err(refuse("name", format!("it describes {name}, and the target is {target}")))
    }

    /// Version and revision together.
    pub fn release(&self) -> Release {
        Release { version: self.version.clone(), revision: self.revision }
    }

    /// Level up to which the package migrates the database, if it has one.
    pub fn schema_level(&self) -> Option<u32> {
        self.db.as_ref().map(|db| db.writes)
    }

    /// The file with that path.
    pub fn file(&self, path: &str) -> Option<&FileEntry> {
        let at = self.files.binary_search_by(|file| file.path.as_str().cmp(path)).ok()?;
        self.files.get(at)
    }

    /// Whether the package runs on that machine.
    pub fn fits(&self, arch: &str) -> bool {
        self.arch == "any" || self.arch == arch
    }
}

/// Puts the releases of one name in order: `1.4.2 (rev 57)` is 1004002057.
///
/// # Errors
/// A pre-release, or a number with more than three digits, has no place in the order.
pub fn sequence(release: &Release) -> Result<u64, ManifestError> {
    let Version { major, minor, patch, .. } = release.version;
    if !release.version.pre.is_empty() || !release.version.build.is_empty() {
        return Err(refuse("version", format!("{} is not plain numbers", release.version)));
    }
    let revision = u64::from(release.revision.0);
    if major > 1_000_000 || [minor, patch, revision].iter().any(|n| *n > limits::NUMBER) {
        return Err(refuse("version", format!("a number of {release} has too many digits")));
    }
    Ok(((major * 1000 + minor) * 1000 + patch) * 1000 + revision)
}

/// Names are short, of lower-case letters, digits, `-` and `_`: they become parts of file names.
pub(crate) fn check_name(field: &'static str, name: &str) -> Result<(), ManifestError> {
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    if name.is_empty() || name.len() > limits::NAME_BYTES || !name.bytes().all(good) {
        let shown: String = name.chars().take(80).collect();
        return Err(refuse(field, format!("“{shown}” is not a name such as `base` or `x86_64`")));
    }
    Ok(())
}
