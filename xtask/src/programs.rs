//! Builds the programs that tests, demo and benchmarks run, and says where they are.

use std::path::PathBuf;

use anyhow::Result;

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

    /// Cargo's profile and its folder, for the servers and for the clients.
    fn profiles(self) -> [(&'static str, &'static str); 2] {
        match self {
            Self::Debug => [("dev", "debug"); 2],
            Self::Shipped => [("release", "release"), ("small", "small")],
        }
    }
}

/// Where the programs are.
pub struct Programs {
    all: PathBuf,
    clients: PathBuf,
}

impl Programs {
    /// Builds them all.
    pub fn build(workspace: &Workspace, speed: Speed) -> Result<Self> {
        let [(server, server_dir), (client, client_dir)] = speed.profiles();
        let args = ["build", "--workspace", "--locked", "--profile", server];
        Step::cargo(workspace, &args).args(speed.servers()).run()?;
        let all = workspace.target.join(server_dir);
        if !setup::has_target(workspace, MUSL)? {
            println!(
                "left out: static clients, as {MUSL} is not to be had; they need this machine's libc"
            );
            return Ok(Self { clients: all.clone(), all });
        }
        let args = ["build", "--locked", "--target", MUSL, "--profile", client];
        let packages = ["--package", "sluis-agent", "--package", "sluis-console"];
        Step::cargo(workspace, &args).args(&packages).run()?;
        Ok(Self { all, clients: workspace.target.join(MUSL).join(client_dir) })
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
