use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use model::PackageKind;

/// Where things are below the data directory; `docs/design/0002-processes.md` says what they mean.
#[derive(Debug, Clone)]
pub struct Paths {
    /// The data directory, absolute and without symbolic links.
    pub data: PathBuf,
}

impl Paths {
    /// The paths of an appliance that was set up.
    pub fn open(data: &Path) -> anyhow::Result<Self> {
        let data = data.canonicalize().with_context(|| {
            format!("{} is no data directory; make one with `sluis-base init`", data.display())
        })?;
        let paths = Self { data };
        if !paths.config().is_file() {
            bail!(
                "{} has no base.toml; set the appliance up with `sluis-base init`",
                paths.data.display()
            );
        }
        Ok(paths)
    }

    pub fn config(&self) -> PathBuf {
        self.data.join("base.toml")
    }

    pub fn ledger(&self) -> PathBuf {
        self.data.join("ledger.json")
    }

    pub fn install_log(&self) -> PathBuf {
        self.data.join("install.jsonl")
    }

    pub fn reported(&self) -> PathBuf {
        self.data.join("reported.json")
    }

    pub fn accounts(&self) -> PathBuf {
        self.data.join("accounts.json")
    }

    pub fn signed_in(&self) -> PathBuf {
        self.data.join("signed-in.json")
    }

    pub fn enrolment(&self) -> PathBuf {
        self.data.join("enrolment.json")
    }

    pub fn key(&self) -> PathBuf {
        self.data.join("appliance.key")
    }

    pub fn license(&self) -> PathBuf {
        self.data.join("license.json")
    }

    pub fn last_check(&self) -> PathBuf {
        self.data.join("last-check.json")
    }

    pub fn tuf(&self) -> PathBuf {
        self.data.join("tuf")
    }

    pub fn mirror(&self) -> PathBuf {
        self.data.join("mirror")
    }

    pub fn downloads(&self) -> PathBuf {
        self.data.join("downloads")
    }

    pub fn tls(&self) -> PathBuf {
        self.data.join("tls")
    }

    pub fn site(&self) -> PathBuf {
        self.data.join("site")
    }

    pub fn run(&self) -> PathBuf {
        self.data.join("run")
    }

    pub fn base_socket(&self) -> PathBuf {
        self.run().join("base.sock")
    }

    pub fn keeper_socket(&self) -> PathBuf {
        self.run().join("keeper.sock")
    }

    pub fn keeper_lock(&self) -> PathBuf {
        self.run().join("keeper.lock")
    }

    pub fn keeper_trial(&self) -> PathBuf {
        self.run().join("keeper-trial.json")
    }

    pub fn hand_over(&self) -> PathBuf {
        self.run().join("hand-over.json")
    }

    /// The link to the slot that runs or that is kept.
    pub fn pointer(&self, which: &str, kind: PackageKind) -> PathBuf {
        self.data.join(which).join(kind.to_string())
    }
}
