//! `build`: one package or program from files.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use model::{PackageKind, Revision, Timestamp, Version};
use release::{
    ClientBuild, ClientKind, Database, Floor, Hostname, License, MANIFEST_SCHEMA, Manifest,
    Requirement, Restart, STAMP_BYTES_MAX, Wire, sequence,
};

use crate::package::{self, Source};
use crate::{files, when};

/// What is built.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    Base,
    Site,
    License,
    Agent,
    Console,
}

#[derive(Args)]
pub struct Build {
    /// What to build.
    #[arg(long, value_enum)]
    kind: Kind,
    #[command(flatten)]
    about: About,
    /// Folder to write it to.
    #[arg(long, default_value = ".")]
    out: PathBuf,
    /// Takes every file below this folder.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Takes one file, as PATH_IN_PACKAGE=FILE; replaces one of the same path.
    #[arg(long = "file", value_parser = package::parse_source)]
    files: Vec<Source>,
    /// The program, for kind agent or console.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Another package that must be there, such as `base >=1.1`.
    #[arg(long)]
    requires: Vec<Requirement>,
    /// Another package that must not be there, such as `base <1.1`.
    #[arg(long)]
    conflicts: Vec<Requirement>,
    /// A version that updates must pass through, such as `1.2`.
    #[arg(long = "floor")]
    floors: Vec<Floor>,
    /// File with the license agreement to accept.
    #[arg(long)]
    eula: Option<PathBuf>,
    /// Versions of the wire as `agent=1-1,console=1-1,peer=1-1`.
    #[arg(long, default_value = "agent=1-1,console=1-1,peer=1-1", value_parser = parse_wire)]
    wire: Wire,
    #[command(flatten)]
    license: LicenseArgs,
}

/// What every kind needs to know.
#[derive(Args, Clone)]
pub struct About {
    /// Version, such as 1.1.0.
    #[arg(long)]
    pub version: Version,
    /// Build of that version.
    #[arg(long)]
    pub revision: u32,
    /// Level up to which the site migrates its database.
    #[arg(long)]
    pub schema: Option<u32>,
    /// Machine that it runs on.
    #[arg(long, default_value = "x86_64")]
    pub arch: String,
    /// Release notes.
    #[arg(long, default_value = "", conflicts_with = "notes_file")]
    pub notes: String,
    /// File with the release notes.
    #[arg(long)]
    pub notes_file: Option<PathBuf>,
    /// How hard to compress, 1 to 19.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(i32).range(1..=19))]
    pub level: i32,
}

#[derive(Args)]
pub struct LicenseArgs {
    /// Primary hostname of the one site that a license is for.
    #[arg(long)]
    hostname: Option<Hostname>,
    /// Operators who may work at the same time.
    #[arg(long)]
    users: Option<u32>,
    /// Endpoints that may be enrolled.
    #[arg(long)]
    endpoints: Option<u32>,
    /// When the license ends, such as 2027-12-31.
    #[arg(long, value_parser = when::moment)]
    license_expires: Option<Timestamp>,
    /// Until when new releases are offered.
    #[arg(long, value_parser = when::moment)]
    maintenance_until: Option<Timestamp>,
}

impl About {
    fn notes(&self) -> Result<String> {
        match &self.notes_file {
            Some(path) => String::from_utf8(files::read_bounded(path, 16 * 1024)?)
                .with_context(|| format!("{} is not plain text", path.display())),
            None => Ok(self.notes.clone()),
        }
    }

    fn manifest(&self, kind: PackageKind) -> Result<Manifest> {
        let release =
            model::Release { version: self.version.clone(), revision: Revision(self.revision) };
        Ok(Manifest {
            schema: MANIFEST_SCHEMA,
            kind,
            name: kind.to_string(),
            seq: sequence(&release)?,
            version: release.version,
            revision: release.revision,
            arch: self.arch.clone(),
            requires: vec![],
            conflicts: vec![],
            floors: vec![],
            restart: Restart::Handover,
            wire: None,
            db: None,
            files: vec![],
            size_installed: 0,
            eula_sha256: None,
            notes: self.notes()?,
            license: None,
        })
    }

    fn database(&self) -> Option<Database> {
        // A release works on the level before its own too: two neighbours share one database.
        self.schema
            .map(|level| Database { reads: (level.saturating_sub(1).max(1), level), writes: level })
    }

    /// What a program's stamp says.
    pub fn client(&self, kind: ClientKind) -> ClientBuild {
        ClientBuild {
            kind,
            version: self.version.clone(),
            revision: Revision(self.revision),
            arch: format!("{}-linux", self.arch),
        }
    }
}

impl Build {
    pub fn run(self) -> Result<()> {
        let path = match self.kind {
            Kind::Agent => self.client(ClientKind::Agent)?,
            Kind::Console => self.client(ClientKind::Console)?,
            Kind::Base => self.package(PackageKind::Base)?,
            Kind::Site => self.package(PackageKind::Site)?,
            Kind::License => self.license()?,
        };
        println!("{}", path.display());
        Ok(())
    }

    fn client(&self, kind: ClientKind) -> Result<PathBuf> {
        let binary = self.binary.as_ref().context("kind agent or console needs `--binary FILE`")?;
        stamp(binary, &self.about.client(kind), &self.out)
    }

    fn package(self, kind: PackageKind) -> Result<PathBuf> {
        ensure!(
            self.binary.is_none(),
            "`--binary` is for kind agent or console: use `--file PATH=FILE`"
        );
        ensure!(self.license.hostname.is_none(), "`--hostname` is for kind license");
        let mut sources = Vec::new();
        if let Some(dir) = &self.dir {
            let walked = files::walk(dir)?;
            sources.extend(walked.into_iter().map(|(path, from)| Source { path, from }));
        }
        sources.extend(self.files);
        let mut manifest = self.about.manifest(kind)?;
        if let Some(eula) = self.eula {
            manifest.eula_sha256 = Some(files::hash_file(&eula)?.1);
            sources.push(Source { path: "eula.txt".into(), from: eula });
        }
        ensure!(!sources.is_empty(), "a {kind} package needs files: give `--dir` or `--file`");
        manifest.requires = self.requires;
        manifest.conflicts = self.conflicts;
        manifest.floors = self.floors;
        manifest.wire = Some(self.wire);
        manifest.db = self.about.database();
        finish(manifest, sources, &self.out, self.about.level)
    }

    fn license(self) -> Result<PathBuf> {
        let args = self.license;
        let license = License {
            hostname: args.hostname.context("a license needs `--hostname` of its one site")?,
            users: args.users.context("a license needs `--users`")?,
            endpoints: args.endpoints,
            expires: args.license_expires,
            maintenance_until: args.maintenance_until,
        };
        let mut manifest = self.about.manifest(PackageKind::License)?;
        manifest.arch = "any".into();
        manifest.restart = Restart::None;
        manifest.license = Some(license);
        finish(manifest, vec![], &self.out, self.about.level)
    }
}

/// A base or site package as the `release` command makes it.
pub fn software(
    about: &About,
    kind: PackageKind,
    sources: Vec<Source>,
    requires: Vec<Requirement>,
    out: &Path,
) -> Result<PathBuf> {
    let mut manifest = about.manifest(kind)?;
    manifest.requires = requires;
    manifest.wire = Some(Wire { agent: (1, 1), console: (1, 1), peer: (1, 1) });
    manifest.db = if kind == PackageKind::Site { about.database() } else { None };
    finish(manifest, sources, out, about.level)
}

fn finish(mut manifest: Manifest, sources: Vec<Source>, out: &Path, level: i32) -> Result<PathBuf> {
    let sources = package::ordered(sources);
    manifest.files = package::entries(&sources)?;
    manifest.size_installed = manifest.files.iter().map(|file| file.size).sum();
    let path = out.join(manifest.file_name());
    package::write(&path, &manifest, &sources, level)?;
    Ok(path)
}

/// Copies a program and writes behind it which release it is.
pub fn stamp(binary: &Path, build: &ClientBuild, out: &Path) -> Result<PathBuf> {
    build.check()?;
    let target = build.target_name();
    let name = target.rsplit('/').next().unwrap_or(&target);
    let path = out.join(name);
    let mut file =
        File::open(binary).with_context(|| format!("cannot read {}", binary.display()))?;
    let length =
        file.metadata().with_context(|| format!("cannot read {}", binary.display()))?.len();
    // A program that was stamped before is stamped anew.
    let own = length - read_stamp(binary)?.map_or(0, |(_, stamp)| stamp as u64);
    file.rewind()?;
    files::write_with(&path, |out| {
        io::copy(&mut file.take(own), out)?;
        io::Write::write_all(out, &build.stamp())?;
        out.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
    })?;
    Ok(path)
}

/// The stamp at the end of a file and its length, if there is one.
pub fn read_stamp(path: &Path) -> Result<Option<(ClientBuild, usize)>> {
    let read = || {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(STAMP_BYTES_MAX as u64)))?;
        let mut tail = Vec::new();
        file.take(STAMP_BYTES_MAX as u64).read_to_end(&mut tail)?;
        Ok::<_, io::Error>(ClientBuild::read_stamp(&tail))
    };
    read().with_context(|| format!("cannot read {}", path.display()))
}

fn parse_wire(text: &str) -> Result<Wire, String> {
    let bad = || format!("“{text}” is not agent=LOW-HIGH,console=LOW-HIGH,peer=LOW-HIGH");
    let mut found = std::collections::BTreeMap::new();
    for part in text.split(',') {
        let (name, range) = part.split_once('=').ok_or_else(bad)?;
        let (low, high) = range.split_once('-').ok_or_else(bad)?;
        let range: (u16, u16) = (low.parse().map_err(|_| bad())?, high.parse().map_err(|_| bad())?);
        found.insert(name, range);
    }
    let mut take = |name: &str| found.remove(name).ok_or_else(bad);
    Ok(Wire { agent: take("agent")?, console: take("console")?, peer: take("peer")? })
}

/// Says which kinds a comma-separated list names, for commands that make several.
pub fn parse_kind(text: &str) -> Result<Kind, String> {
    Kind::from_str(text, true).map_err(|_| format!("“{text}” is not base, site, agent or console"))
}

/// Refuses kinds that one release of the software does not have.
pub fn refuse_license(kinds: &[Kind]) -> Result<()> {
    if kinds.contains(&Kind::License) {
        bail!("a license is made by itself: use `build --kind license` and `publish`");
    }
    Ok(())
}
