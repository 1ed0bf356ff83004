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
    /// Where the server listened last.
    address: Option<String>,
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
        let vendor = Self { folder: folder.to_owned(), server: None, address: None };
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

    /// Builds and publishes a license for one site.
    ///
    /// # Errors
    /// When `sluis-release` refuses.
    pub fn license(&self, hostname: &str, revision: u32, users: u32, expires: &str) -> Result<()> {
        let (revision, users) = (revision.to_string(), users.to_string());
        let out = self.text("licenses");
        std::fs::create_dir_all(&out)?;
        let built = Self::release_tool(&[
            "build",
            "--kind",
            "license",
            "--version",
            "1.0.0",
            "--revision",
            &revision,
            "--hostname",
            hostname,
            "--users",
            &users,
            "--license-expires",
            expires,
            "--out",
            &out,
        ])?;
        let (repo, keys) = (self.text("repo"), self.text("keys"));
        Self::release_tool(&["publish", "--repo", &repo, "--keys", &keys, built.trim()]).map(drop)
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
        self.serve_with(&[])
    }

    /// Starts the update server with more options, where it was before if it ran before.
    ///
    /// # Errors
    /// When it does not start.
    pub fn serve_with(&mut self, more: &[&str]) -> Result<String> {
        self.stop();
        let log = std::fs::File::create(self.path("update-server.log"))?;
        let listen = self.address.as_deref().unwrap_or("127.0.0.1:0");
        let mut child = Command::new(program("sluis-update"))
            .args(["--data", &self.text("update"), "serve", "--repo", &self.text("repo")])
            .args(["--listen", listen])
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("the update server does not start")?;
        let stdout = child.stdout.take().context("the update server has no output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        self.server = Some(child);
        let url = line.split_whitespace().find(|word| word.contains("://"));
        let url = url.with_context(|| format!("the update server said “{}”", line.trim()))?;
        self.address = url.split_once("://").map(|(_, address)| address.to_owned());
        Ok(url.to_owned())
    }

    /// Ends the update server.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// The update server's data.
    pub fn update_data(&self) -> PathBuf {
        self.path("update")
    }

    /// A new enrolment text for a customer.
    ///
    /// # Errors
    /// When the update server refuses.
    pub fn enrolment_text(&self, customer: &str) -> Result<String> {
        let said = self.admin(&["appliance", "code", "--customer", customer])?;
        let text = said.split_whitespace().find(|word| word.contains('#') && word.contains("://"));
        Ok(text.with_context(|| format!("no enrolment text in “{said}”"))?.to_owned())
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
        self.enrolment_text(name)
    }
}

impl Drop for Vendor {
    fn drop(&mut self) {
        self.stop();
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
