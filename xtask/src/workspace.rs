//! What `cargo metadata` says about this workspace.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::command::Step;

/// The workspace's folders and crates.
pub struct Workspace {
    /// The folder with the root `Cargo.toml`.
    pub root: PathBuf,
    /// Where cargo puts what it builds.
    pub target: PathBuf,
    /// The crates of the workspace, by folder.
    pub members: Vec<Member>,
}

/// One crate of the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its folder, relative to the root: `core/tuf`.
    pub folder: String,
    /// The folders of the workspace's crates that it uses, for itself or for its tests.
    pub uses: Vec<String>,
    /// The crates from elsewhere that it uses for itself.
    pub outside: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    path: Option<PathBuf>,
}

impl Workspace {
    /// Asks cargo.
    pub fn read() -> Result<Self> {
        let here = Self { root: root(), target: PathBuf::new(), members: vec![] };
        let args = ["metadata", "--format-version", "1", "--no-deps", "--locked", "--quiet"];
        let text = Step::cargo(&here, &args).output()?;
        Self::parse(&text).context("`cargo metadata` printed something unexpected")
    }

    /// Where set-up puts programs that only this workspace uses.
    pub fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }

    /// Reads what `cargo metadata --no-deps` prints.
    pub fn parse(text: &str) -> Result<Self> {
        let metadata: Metadata = serde_json::from_str(text)?;
        let root = metadata.workspace_root;
        let mut members = BTreeMap::new();
        for package in metadata.packages {
            let folder = package.manifest_path.parent().context("a manifest has a folder")?;
            let folder = relative(folder, &root);
            members.insert(folder.clone(), member(folder, &package.dependencies, &root));
        }
        Ok(Self {
            root,
            target: metadata.target_directory,
            members: members.into_values().collect(),
        })
    }
}

fn member(folder: String, dependencies: &[Dependency], root: &Path) -> Member {
    let mut member = Member { folder, uses: vec![], outside: vec![] };
    for dependency in dependencies {
        match &dependency.path {
            Some(path) => member.uses.push(relative(path, root)),
            None if dependency.kind.as_deref() != Some("dev") => {
                member.outside.push(dependency.name.clone());
            }
            None => {}
        }
    }
    member
}

fn relative(folder: &Path, root: &Path) -> String {
    folder.strip_prefix(root).unwrap_or(folder).to_string_lossy().into_owned()
}

/// The folder above the one that this crate was compiled in.
fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}
