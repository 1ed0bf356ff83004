//! Installs what [`crate::needs`] lists: says first what, and does nothing when all is there.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::command::Step;
use crate::needs::{NEEDS, Need, Purpose, What};
use crate::workspace::Workspace;

/// Keeps Debian from starting what it installs; present only while it installs.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs what is missing for these purposes.
pub fn run(workspace: &Workspace, purposes: &[Purpose]) -> Result<()> {
    let mut missing = vec![];
    for need in NEEDS.iter().filter(|need| purposes.contains(&need.purpose)) {
        if !is_there(workspace, &need.what)? {
            missing.push(need);
        }
    }
    if missing.is_empty() {
        println!("set-up: everything is there");
        return Ok(());
    }
    println!("set-up installs what is missing:");
    for need in &missing {
        println!("  {:<46} {}", describe(workspace, &need.what)?, need.why);
    }
    let packages = debian_packages(&missing);
    if !packages.is_empty() {
        install_debian(workspace, &packages)?;
    }
    missing.iter().try_for_each(|need| install(workspace, &need.what))
}

/// What the tests are told about what set-up made.
pub fn envs(workspace: &Workspace) -> Vec<(&'static str, PathBuf)> {
    vec![("SLUIS_TUF_PYTHON", venv(workspace, "tuf").join("bin/python"))]
}

/// Whether the compiler can build for that target.
pub fn has_target(workspace: &Workspace, target: &str) -> Result<bool> {
    let sysroot = Step::new(workspace, "rustc", &["--print", "sysroot"]).output()?;
    Ok(Path::new(sysroot.trim()).join("lib/rustlib").join(target).join("lib").is_dir())
}

fn is_there(workspace: &Workspace, what: &What) -> Result<bool> {
    match what {
        What::Debian { program, .. } | What::Cargo { program, .. } => {
            Ok(on_path(workspace, program))
        }
        What::Target(target) => has_target(workspace, target),
        What::Python { venv: name, requirements } => {
            let made_of = std::fs::read_to_string(marker(workspace, name)).unwrap_or_default();
            Ok(made_of == listed(workspace, requirements)?)
        }
    }
}

/// An absolute path must exist; a name must be on the search path or where daemons live.
fn on_path(workspace: &Workspace, program: &str) -> bool {
    let usual = std::env::var_os("PATH").unwrap_or_default();
    let own = [PathBuf::from("/usr/sbin"), PathBuf::from("/sbin"), workspace.tools().join("bin")];
    std::env::split_paths(&usual).chain(own).any(|dir| dir.join(program).exists())
}

fn describe(workspace: &Workspace, what: &What) -> Result<String> {
    Ok(match what {
        What::Debian { package, .. } => format!("Debian package {package}"),
        What::Target(target) => format!("rustup target {target}"),
        What::Cargo { package, .. } => format!("cargo install {package} (minutes)"),
        What::Python { requirements, .. } => {
            let listed = listed(workspace, requirements)?;
            format!("PyPI {}", listed.split_whitespace().collect::<Vec<_>>().join(" "))
        }
    })
}

fn debian_packages(missing: &[&Need]) -> Vec<&'static str> {
    let packages = missing.iter().filter_map(|need| match need.what {
        What::Debian { package, .. } => Some(package),
        _ => None,
    });
    packages.collect()
}

fn install_debian(workspace: &Workspace, packages: &[&str]) -> Result<()> {
    let user = Step::new(workspace, "id", &["-u"]).output()?;
    if user.trim() != "0" {
        bail!(
            "Debian packages need root, and this is user {}. Run this as root, then start again:\n\n  \
             apt-get update && apt-get install --no-install-recommends {}\n",
            user.trim(),
            packages.join(" ")
        );
    }
    let _quiet = Quiet::begin()?;
    let lock = ["-o", "DPkg::Lock::Timeout=600"];
    let apt = |args: &[&str]| {
        let step = Step::new(workspace, "apt-get", &lock).args(args);
        step.env("DEBIAN_FRONTEND", "noninteractive").run()
    };
    apt(&["update", "-q"])?;
    apt(&[&["install", "-q", "-y", "--no-install-recommends"], packages].concat())
}

fn install(workspace: &Workspace, what: &What) -> Result<()> {
    match what {
        What::Debian { .. } => Ok(()),
        What::Target(target) => {
            if let Err(error) = Step::new(workspace, "rustup", &["target", "add", target]).run() {
                println!("{error:#}\nset-up goes on: what is built for {target} is left out");
            }
            Ok(())
        }
        What::Cargo { package, .. } => {
            let root = workspace.tools();
            let root = root.to_str().context("the target folder's path is no UTF-8")?;
            // Unoptimised: it is built in a third of the time and runs well enough.
            let args = ["install", "--locked", "--debug", "--root", root, package];
            Step::cargo(workspace, &args).run()
        }
        What::Python { venv, requirements } => install_python(workspace, venv, requirements),
    }
}

/// Makes the environment anew; its marker is written last, so a torn one is made again.
fn install_python(workspace: &Workspace, name: &str, requirements: &str) -> Result<()> {
    let venv = venv(workspace, name);
    let dir = venv.to_str().context("the target folder's path is no UTF-8")?;
    Step::new(workspace, "/usr/bin/python3", &["-m", "venv", "--clear", dir]).run()?;
    let pip = format!("{dir}/bin/pip");
    let install = ["install", "--quiet", "--disable-pip-version-check", "--requirement"];
    Step::new(workspace, &pip, &install).args(&[requirements]).run()?;
    let marker = marker(workspace, name);
    std::fs::write(&marker, listed(workspace, requirements)?)
        .with_context(|| format!("{}", marker.display()))
}

/// What a file of requirements says.
fn listed(workspace: &Workspace, requirements: &str) -> Result<String> {
    std::fs::read_to_string(workspace.root.join(requirements)).context(requirements.to_owned())
}

fn venv(workspace: &Workspace, name: &str) -> PathBuf {
    workspace.target.join("venv").join(name)
}

fn marker(workspace: &Workspace, name: &str) -> PathBuf {
    venv(workspace, name).join("made-of")
}

/// While this lives, installed daemons do not start by themselves.
struct Quiet {
    ours: bool,
}

impl Quiet {
    fn begin() -> Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        if Path::new(POLICY).exists() {
            return Ok(Self { ours: false });
        }
        std::fs::write(POLICY, "#!/bin/sh\nexit 101\n").context(POLICY)?;
        std::fs::set_permissions(POLICY, PermissionsExt::from_mode(0o755)).context(POLICY)?;
        Ok(Self { ours: true })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if self.ours
            && let Err(error) = std::fs::remove_file(POLICY)
        {
            eprintln!("{POLICY} stays behind, and keeps daemons from starting: {error}");
        }
    }
}
