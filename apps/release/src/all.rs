//! `release`: base, site, agent and console of one version, built and published in one go.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use model::PackageKind;
use release::{ClientKind, Requirement};

use crate::build::{self, About, Kind};
use crate::package::{self, Source};
use crate::publish::{self, Place};

#[derive(Args)]
pub struct ReleaseAll {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    about: About,
    /// Folder with `sluis-base`, `sluis-site`, `sluis-agent` and `sluis`.
    #[arg(long)]
    bin_dir: PathBuf,
    /// Takes this program instead, as `site=FILE`; also for base, agent and console.
    #[arg(long = "binary", value_parser = parse_binary)]
    binaries: Vec<(Kind, PathBuf)>,
    /// Publishes only these, such as `site,agent`.
    #[arg(long, value_delimiter = ',', value_parser = build::parse_kind)]
    only: Vec<Kind>,
    /// One more file for the site package, as PATH_IN_PACKAGE=FILE; replaces one of the same path.
    #[arg(long = "with", value_parser = package::parse_source)]
    with: Vec<Source>,
    /// What the site needs, such as `base >=1.1`.
    #[arg(long)]
    site_requires: Vec<Requirement>,
    /// What the base needs.
    #[arg(long)]
    base_requires: Vec<Requirement>,
    /// Keeps the packages here; below the repository when not given.
    #[arg(long)]
    out: Option<PathBuf>,
}

impl ReleaseAll {
    pub fn run(self) -> Result<()> {
        build::refuse_license(&self.only)?;
        let out = self.out.clone().unwrap_or_else(|| self.place.repo.join("built"));
        let agent = self.client(Kind::Agent, ClientKind::Agent, &out)?;
        let console = self.client(Kind::Console, ClientKind::Console, &out)?;
        let mut published = Vec::new();
        if self.wants(Kind::Base) {
            let sources = vec![source("bin/sluis-base", self.binary(Kind::Base)?)];
            let requires = self.base_requires.clone();
            published.push(build::software(
                &self.about,
                PackageKind::Base,
                sources,
                requires,
                &out,
            )?);
        }
        if self.wants(Kind::Site) {
            let mut sources = vec![source("bin/sluis-site", self.binary(Kind::Site)?)];
            for client in [&agent, &console].into_iter().flatten() {
                let name = client.file_name().context("a client has a name")?.to_string_lossy();
                sources.push(source(&format!("clients/{name}"), client.clone()));
            }
            sources.extend(self.with.clone());
            let requires = self.site_requires.clone();
            published.push(build::software(
                &self.about,
                PackageKind::Site,
                sources,
                requires,
                &out,
            )?);
        }
        published.extend(agent.filter(|_| self.wants(Kind::Agent)));
        published.extend(console.filter(|_| self.wants(Kind::Console)));
        publish::publish(&self.place, &published)
    }

    fn wants(&self, kind: Kind) -> bool {
        self.only.is_empty() || self.only.contains(&kind)
    }

    /// The stamped program; none when neither it nor the site, which carries it, is wanted.
    fn client(&self, kind: Kind, client: ClientKind, out: &Path) -> Result<Option<PathBuf>> {
        if !self.wants(kind) && !self.wants(Kind::Site) {
            return Ok(None);
        }
        build::stamp(&self.binary(kind)?, &self.about.client(client), out).map(Some)
    }

    fn binary(&self, kind: Kind) -> Result<PathBuf> {
        let name = match kind {
            Kind::Base => "sluis-base",
            Kind::Site => "sluis-site",
            Kind::Agent => "sluis-agent",
            Kind::Console | Kind::License => "sluis",
        };
        let given = self.binaries.iter().rev().find(|(other, _)| *other == kind);
        let path = given.map_or_else(|| self.bin_dir.join(name), |(_, path)| path.clone());
        ensure!(
            path.is_file(),
            "{} is not there: build it first, or name it with `--binary`",
            path.display()
        );
        Ok(path)
    }
}

fn source(path: &str, from: PathBuf) -> Source {
    Source { path: path.to_owned(), from }
}

fn parse_binary(text: &str) -> Result<(Kind, PathBuf), String> {
    let (kind, path) = text.split_once('=').ok_or_else(|| format!("“{text}” is not KIND=FILE"))?;
    let known: BTreeMap<&str, Kind> = BTreeMap::from([
        ("base", Kind::Base),
        ("site", Kind::Site),
        ("agent", Kind::Agent),
        ("console", Kind::Console),
    ]);
    let kind =
        known.get(kind).ok_or_else(|| format!("“{kind}” is not base, site, agent or console"))?;
    Ok((*kind, path.into()))
}
