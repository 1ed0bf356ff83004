//! Builds the programs that tests, demo and benchmarks run, and says where they are.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::command::Step;
use crate::needs::MUSL;
use crate::setup;
use crate::workspace::Workspace;

/// How well they are optimised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speed {
    /// Built fast; what runs hot is optimised all the same (see `Cargo.toml`).
    Debug,
    /// As users get them; takes many minutes.
    Shipped,
}

impl Speed {
    /// What is built of the servers, and of what measures them. Programs that fail on purpose are for tests,
    /// and optimising them takes as long as everything else.
    const fn servers(self) -> &'static [&'static str] {
        match self {
            Self::Debug => &["--bins"],
            Self::Shipped => &[
                "--bin=sluis-base",
                "--bin=sluis-site",
                "--bin=sluis-update",
                "--bin=sluis-release",
                "--bin=sluis-bench",
                "--bin=sluis-ticker",
            ],
        }
    }

    /// Cargo's profile of the servers, and its folder.
    const fn server_profile(self) -> (&'static str, &'static str) {
        match self {
            Self::Debug => ("dev", "debug"),
            Self::Shipped => ("release", "release"),
        }
    }

    /// Clients that are built together: Cargo's profile, its folder, packages, programs.
    const fn clients(self) -> &'static [Clients] {
        match self {
            Self::Debug => &[Clients {
                profile: "dev",
                folder: "debug",
                packages: &["--package=sluis-agent", "--package=sluis-console"],
                programs: &["sluis-agent", "sluis"],
            }],
            // The agent is on ten thousand machines and idle; the console is waited for.
            Self::Shipped => &[
                Clients {
                    profile: "small",
                    folder: "small",
                    packages: &["--package=sluis-agent"],
                    programs: &["sluis-agent"],
                },
                Clients {
                    profile: "release",
                    folder: "release",
                    packages: &["--package=sluis-console"],
                    programs: &["sluis"],
                },
            ],
        }
    }
}

struct Clients {
    profile: &'static str,
    folder: &'static str,
    packages: &'static [&'static str],
    programs: &'static [&'static str],
}

/// Where the programs are.
pub struct Programs {
    all: PathBuf,
    clients: PathBuf,
}

impl Programs {
    /// Builds them all.
    pub fn build(workspace: &Workspace, speed: Speed) -> Result<Self> {
        let (profile, folder) = speed.server_profile();
        let args = ["build", "--workspace", "--locked", "--profile", profile];
        Step::cargo(workspace, &args).args(speed.servers()).run()?;
        let all = workspace.target.join(folder);
        if !setup::has_target(workspace, MUSL)? {
            println!(
                "left out: static clients, as {MUSL} is not to be had; they need this machine's libc"
            );
            Step::cargo(workspace, &args).args(&["--bin=sluis", "--bin=sluis-agent"]).run()?;
            return Ok(Self { clients: all.clone(), all });
        }
        for clients in speed.clients() {
            let args = ["build", "--locked", "--target", MUSL, "--profile", clients.profile];
            Step::cargo(workspace, &args).args(clients.packages).run()?;
        }
        Ok(Self { all, clients: gather(workspace, speed)? })
    }

    /// The program of that name.
    pub fn path(&self, name: &str) -> PathBuf {
        self.all.join(name)
    }

    /// `SLUIS_BIN_DIR`: all programs. `SLUIS_CLIENT_DIR`: static `sluis-agent` and `sluis`, as they
    /// go into packages.
    pub fn envs(&self) -> Vec<(&'static str, PathBuf)> {
        vec![("SLUIS_BIN_DIR", self.all.clone()), ("SLUIS_CLIENT_DIR", self.clients.clone())]
    }
}

/// Brings static clients that were built in several folders into one.
fn gather(workspace: &Workspace, speed: Speed) -> Result<PathBuf> {
    let built = workspace.target.join(MUSL);
    if let [only] = speed.clients() {
        return Ok(built.join(only.folder));
    }
    let together = built.join("clients");
    // Anew: one of them may be running.
    let _ = fs::remove_dir_all(&together);
    fs::create_dir_all(&together).with_context(|| format!("cannot make {}", together.display()))?;
    for clients in speed.clients() {
        for program in clients.programs {
            let (from, to) = (built.join(clients.folder).join(program), together.join(program));
            fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
        }
    }
    Ok(together)
}
