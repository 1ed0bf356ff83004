use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use install::Limits;
use release::Hostname;
use serde::{Deserialize, Serialize};

use crate::paths::Paths;

/// What an administrator sets in `base.toml`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Primary hostname of the site.
    pub hostname: Hostname,
    /// Addresses that `https` listens on.
    pub listen: Vec<SocketAddr>,
    /// How long things may take.
    #[serde(default)]
    pub limits: Times,
}

/// How long things may take, in seconds, and what a new version may take of the machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Times {
    /// A new version, from its start to the end of its checks beside the old one.
    pub prove_s: u64,
    /// A new version, to take over.
    pub switch_s: u64,
    /// A new version, from taking over to the commit.
    pub trial_s: u64,
    /// The least time that a new version serves before the commit.
    pub stable_s: u64,
    /// A schema migration: it may hold the database for as long, so that nobody else writes.
    pub migrate_s: u64,
    /// A committed version, before nothing older may be installed.
    pub soak_s: u64,
    /// Silence of the base after which the keeper starts it again.
    pub watchdog_s: u64,
    /// Time without a keeper after which the base starts one, and time that a new keeper is on trial.
    pub keeper_s: u64,
    /// Time without a serving site after which the base answers `https` itself.
    pub maintenance_s: u64,
    /// Memory that a new version may take while it is on trial, in MiB; half of the machine's when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u64>,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            prove_s: 45,
            switch_s: 15,
            trial_s: 60,
            stable_s: 3,
            migrate_s: 45,
            soak_s: 7 * 86_400,
            watchdog_s: 15,
            keeper_s: 30,
            maintenance_s: 2,
            memory_mib: None,
        }
    }
}

impl Times {
    /// Memory that a new version may take while it is on trial, in bytes.
    pub fn memory_max(&self) -> u64 {
        let half = || host::memory_total().map_or(u64::MAX, |total| total / 2);
        self.memory_mib.map_or_else(half, |mib| mib.saturating_mul(1 << 20))
    }

    pub fn limits(&self) -> Limits {
        Limits {
            prove: Duration::from_secs(self.prove_s),
            switch: Duration::from_secs(self.switch_s),
            trial: Duration::from_secs(self.trial_s),
            ..Limits::default()
        }
    }
}

impl Config {
    pub fn load(paths: &Paths) -> anyhow::Result<Self> {
        let path = paths.config();
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        let config: Self =
            toml::from_str(&text).with_context(|| format!("{} is wrong", path.display()))?;
        anyhow::ensure!(
            !config.listen.is_empty(),
            "{}: `listen` names no address; write for example listen = [\"0.0.0.0:443\"]",
            path.display()
        );
        anyhow::ensure!(
            config.limits.stable_s < config.limits.trial_s,
            "{}: `stable_s` must be less than `trial_s`",
            path.display()
        );
        Ok(config)
    }
}
