//! `config.toml` in the agent's data folder: what enrolment wrote and an administrator may change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use link::{ClientKind, Dialer};
use model::{AgentId, PublicKey, Release};
use serde::{Deserialize, Serialize};
use session::SigningKey;

use crate::os;

/// The agent's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Host and port of the site, such as `support.example.com:443`.
    pub site: String,
    /// Identities that the site may have: one, or several while it rotates.
    pub site_keys: Vec<PublicKey>,
    /// What the endpoint is called.
    pub name: String,
    /// Who this agent is to the site; absent when the site gave no id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// Only checks in instead of holding a connection.
    #[serde(default)]
    pub passive: bool,
    /// How often a passive agent checks in.
    #[serde(default)]
    pub check_in: CheckInConfig,
    /// How the keeper judges.
    #[serde(default)]
    pub keeper: KeeperConfig,
}

/// How often a passive agent checks in, and how long it stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckInConfig {
    /// Seconds from one check-in to the next: at most a day.
    pub every_s: u64,
    /// Seconds that it stays when there is nothing to do, so that waiting work can begin.
    pub stay_s: u64,
}

impl Default for CheckInConfig {
    fn default() -> Self {
        Self { every_s: 24 * 3600, stay_s: 30 }
    }
}

/// How long the keeper waits; the defaults are right outside of tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeeperConfig {
    /// Milliseconds in which a new version must reach the site and pass its self-test.
    pub prove_ms: u64,
    /// Milliseconds of silence after which a new version counts as hanging.
    pub silent_ms: u64,
    /// Milliseconds of silence after which a proven version is restarted.
    pub watchdog_ms: u64,
    /// Milliseconds before the first restart; doubled each time.
    pub restart_min_ms: u64,
    /// Milliseconds before a restart at most.
    pub restart_max_ms: u64,
}

impl Default for KeeperConfig {
    fn default() -> Self {
        Self {
            prove_ms: 120_000,
            silent_ms: 15_000,
            watchdog_ms: 300_000,
            restart_min_ms: 250,
            restart_max_ms: 30_000,
        }
    }
}

impl KeeperConfig {
    /// How often the serving process says that it is alive: well within both limits.
    pub fn beat(&self) -> Duration {
        Duration::from_millis((self.silent_ms.min(self.watchdog_ms) / 4).clamp(20, 5_000))
    }
}

impl Config {
    /// Reads the configuration of that data folder.
    pub fn load(data: &Path) -> Result<Self> {
        let path = path(data);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => bail!(
                "{} is not enrolled with a site; run `sluis-agent enrol --data {}` first",
                data.display(),
                data.display()
            ),
            Err(e) => return Err(e).context(format!("cannot read {}", path.display())),
        };
        let config: Self =
            toml::from_str(&text).with_context(|| format!("{} is not valid", path.display()))?;
        config.check().with_context(|| format!("{} is not valid", path.display()))?;
        Ok(config)
    }

    /// Dials the site as the Jump Client with that key.
    pub fn dialer(&self, key: Arc<SigningKey>, release: &Release) -> Dialer {
        Dialer {
            address: self.site.clone(),
            kind: if self.passive { ClientKind::PassiveAgent } else { ClientKind::Agent },
            key,
            pinned: self.site_keys.clone(),
            name: self.name.clone(),
            software: release.version.to_string(),
            revision: release.revision.0,
            token: None,
            tls: link::client_config(),
        }
    }

    /// Writes it durably, readable by its owner alone.
    pub fn save(&self, data: &Path) -> Result<()> {
        let text = toml::to_string_pretty(self)?;
        let path = path(data);
        os::replace_file(&path, text.as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))
    }

    fn check(&self) -> Result<()> {
        check_address(&self.site)?;
        if self.site_keys.is_empty() {
            bail!("site_keys is empty: name the site's identity, or enrol again");
        }
        if !(1..=24 * 3600).contains(&self.check_in.every_s) {
            bail!("[check_in]: every_s must be 1 to 86400, which is a day");
        }
        if self.check_in.stay_s == 0 {
            bail!("[check_in]: stay_s must be at least 1");
        }
        let keeper = &self.keeper;
        if keeper.prove_ms == 0 || keeper.silent_ms < 100 || keeper.watchdog_ms < 100 {
            bail!("[keeper]: prove_ms must be above 0, silent_ms and watchdog_ms at least 100");
        }
        Ok(())
    }
}

/// Whether the text is a host and a port.
pub fn check_address(address: &str) -> Result<()> {
    let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    match port.map(|(_, port)| port.parse::<u16>()) {
        Some(Ok(port)) if port > 0 => Ok(()),
        _ => {
            bail!("“{address}” is not an address; write it as HOST:PORT, such as site.example:443")
        }
    }
}

/// Where the configuration lies.
pub fn path(data: &Path) -> PathBuf {
    data.join("config.toml")
}

/// Where the agent's identity lies: 32 bytes, mode 0600.
pub fn key_path(data: &Path) -> PathBuf {
    data.join("identity.key")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_reads_back_and_mistakes_are_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let missing = Config::load(dir.path()).expect_err("nothing there").to_string();
        assert!(missing.contains("sluis-agent enrol"), "{missing}");
        let config = Config {
            site: "[::1]:443".into(),
            site_keys: vec![PublicKey([7; 32])],
            name: "web-1".into(),
            agent: Some(AgentId::from_bytes([1; 16])),
            passive: true,
            check_in: CheckInConfig::default(),
            keeper: KeeperConfig::default(),
        };
        config.save(dir.path()).expect("saved");
        assert_eq!(Config::load(dir.path()).expect("loaded"), config);
        for (from, to, word) in [
            ("443", "none", "HOST:PORT"),
            ("passive", "pasive", "pasive"),
            ("prove_ms = 120000", "prove_ms = 0", "prove_ms"),
        ] {
            let text = std::fs::read_to_string(path(dir.path())).expect("text");
            std::fs::write(path(dir.path()), text.replace(from, to)).expect("written");
            let error = format!("{:#}", Config::load(dir.path()).expect_err("wrong"));
            assert!(error.contains(word), "{error}");
            std::fs::write(path(dir.path()), text).expect("written");
        }
    }
}
