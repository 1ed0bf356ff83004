//! Maintainers and vendor: keys, a repository with releases, and a running update server.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::bins::{client_program, program};

/// Keys, repository and update server below one folder.
pub struct Vendor {
    folder: PathBuf,
    server: Option<Child>,
}

/// A version to publish.
pub struct Release<'a> {
    /// The version, such as `1.1.0`.
    pub version: &'a str,
    /// The revision.
    pub revision: u32,
    /// The schema level up to which its site migrates.
    pub schema: u32,
    /// Release notes.
    pub notes: &'a str,
    /// Base versions that the site asks for, such as `base >=1.1`.
    pub site_requires: Option<&'a str>,
    /// More options of `sluis-release release`.
    pub more: &'a [&'a str],
}

impl Vendor {
    /// Makes keys and an empty repository.
    ///
    /// # Errors
    /// When `sluis-release` refuses.
    pub fn new(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let vendor = Self { folder: folder.to_owned(), server: None };
        Self::release_tool(&["keys", "create", "--out", &vendor.text("keys")])?;
        Self::release_tool(&[
            "repo",
            "init",
            "--repo",
            &vendor.text("repo"),
            "--keys",
            &vendor.text("keys"),
        ])?;
        Ok(vendor)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn release_tool(arguments: &[&str]) -> Result<String> {
        run(Command::new(program("sluis-release")).args(arguments))
    }

    /// Builds and publishes base, site, agent and console of one version.
    ///
    /// # Errors
    /// When `sluis-release` refuses.
    pub fn publish(&self, release: &Release<'_>) -> Result<()> {
        let notes = self.path(&format!("notes-{}.txt", release.version));
        std::fs::write(&notes, release.notes)?;
        let agent = format!("agent={}", client_program("sluis-agent").display());
        let console = format!("console={}", client_program("sluis").display());
        let bins = program("sluis-base").parent().map(Path::to_owned).unwrap_or_default();
        let mut command = Command::new(program("sluis-release"));
        command
            .args(["release", "--repo", &self.text("repo"), "--keys", &self.text("keys")])
            .arg("--bin-dir")
            .arg(bins)
            .args(["--version", release.version, "--revision", &release.revision.to_string()])
            .args(["--schema", &release.schema.to_string()])
            .args(["--binary", &agent, "--binary", &console])
            .arg("--notes-file")
            .arg(&notes);
        if let Some(requires) = release.site_requires {
            command.args(["--site-requires", requires]);
        }
        run(command.args(release.more)).map(drop)
    }

    /// A published package's file.
    ///
    /// # Errors
    /// When it is not there.
    pub fn package(&self, kind: &str, version: &str, revision: u32) -> Result<PathBuf> {
        self.target(kind, &format!("{kind}-{version}-r{revision}-x86_64.pkg"))
    }

    /// A published client program's file, stamped with its release.
    ///
    /// # Errors
    /// When it is not there.
    pub fn client(&self, kind: &str, version: &str, revision: u32) -> Result<PathBuf> {
        self.target(kind, &format!("{kind}-{version}-r{revision}-x86_64-linux"))
    }

    fn target(&self, kind: &str, wanted: &str) -> Result<PathBuf> {
        let folder = self.path("repo/targets").join(kind);
        for entry in std::fs::read_dir(&folder)?.flatten() {
            if entry.file_name().to_string_lossy().ends_with(wanted) {
                return Ok(entry.path());
            }
        }
        anyhow::bail!("{} has no {wanted}", folder.display())
    }

    /// The first root of trust.
    pub fn root(&self) -> PathBuf {
        self.path("repo/metadata/1.root.json")
    }

    /// Starts the update server; its address is on its first line.
    ///
    /// # Errors
    /// When it does not start.
    pub fn serve(&mut self) -> Result<String> {
        let log = std::fs::File::create(self.path("update-server.log"))?;
        let mut child = Command::new(program("sluis-update"))
            .args(["--data", &self.text("update"), "serve", "--repo", &self.text("repo")])
            .args(["--listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("the update server does not start")?;
        let stdout = child.stdout.take().context("the update server has no output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        self.server = Some(child);
        let address = line.split_whitespace().find(|word| word.contains("://"));
        Ok(address.with_context(|| format!("the update server said “{}”", line.trim()))?.to_owned())
    }

    /// Runs an administration command of the update server.
    ///
    /// # Errors
    /// When it refuses.
    pub fn admin(&self, arguments: &[&str]) -> Result<String> {
        run(Command::new(program("sluis-update"))
            .args(["--data", &self.text("update")])
            .args(arguments))
    }

    /// Adds a customer with an entitlement and answers the enrolment text for one appliance.
    ///
    /// # Errors
    /// When the update server refuses.
    pub fn customer(&self, name: &str, hostname: &str) -> Result<String> {
        self.admin(&["customer", "add", name])?;
        self.admin(&[
            "entitlement",
            "set",
            "--customer",
            name,
            "--hostname",
            hostname,
            "--licenses",
            "25",
            "--expires",
            "2030-01-01",
        ])?;
        let said = self.admin(&["appliance", "code", "--customer", name])?;
        let text = said.split_whitespace().find(|word| word.contains('#') && word.contains("://"));
        Ok(text.with_context(|| format!("no enrolment text in “{said}”"))?.to_owned())
    }
}

impl Drop for Vendor {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// Runs a command and answers what it printed.
///
/// # Errors
/// When it fails; with what it said.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{command:?}"))?;
    let (said, wrong) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{command:?}: {}\n{said}{wrong}", output.status);
    Ok(said.into_owned())
}
