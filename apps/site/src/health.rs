//! Whether a generation can do its work: asked by the base, by load balancers and by the API.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use model::Timestamp;
use serde::Serialize;
use store::Store;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How old an answer may be for those who ask often.
const FRESH: Duration = Duration::from_secs(1);

/// One thing that was checked.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// Whether it is well.
    pub ok: bool,
    /// What was found, in words.
    pub text: String,
}

/// Checks what a site cannot do without, one check at a time: each writes to the disk.
pub struct Health {
    store: Store,
    recordings: PathBuf,
    certificate: PathBuf,
    last: Mutex<Option<(Instant, Vec<Check>)>>,
}

impl Health {
    /// Of a site with that database, that folder of recordings and that certificate.
    pub fn new(store: Store, recordings: PathBuf, certificate: PathBuf) -> Self {
        Self { store, recordings, certificate, last: Mutex::new(None) }
    }

    /// What is found now. For the base, which decides by the answer whether a version stays.
    pub async fn now(&self, now: Timestamp) -> Vec<Check> {
        let mut last = self.last.lock().await;
        let checks = self.check(now).await;
        *last = Some((Instant::now(), checks.clone()));
        checks
    }

    /// What was found within the last second. For whoever may ask as often as they like.
    pub async fn lately(&self, now: Timestamp) -> Vec<Check> {
        let mut last = self.last.lock().await;
        if let Some((at, checks)) = last.as_ref()
            && at.elapsed() < FRESH
        {
            return checks.clone();
        }
        let checks = self.check(now).await;
        *last = Some((Instant::now(), checks.clone()));
        checks
    }

    async fn check(&self, now: Timestamp) -> Vec<Check> {
        let checks = vec![
            check("database", self.database(now).await),
            check("recordings", self.probe_recordings().await),
            check("certificate", self.read_certificate().await),
        ];
        for check in checks.iter().filter(|check| !check.ok) {
            tracing::error!(check = check.name, found = check.text, "The site is not well");
        }
        checks
    }

    async fn database(&self, now: Timestamp) -> Result<String, String> {
        let took = self.store.probe_write(now).await.map_err(|error| error.to_string())?;
        Ok(format!("written and read in {} ms", took.as_millis()))
    }

    async fn probe_recordings(&self) -> Result<String, String> {
        // One name for each generation: what a cut check leaves behind is overwritten by the next.
        let probe = self.recordings.join(format!(".probe-{}", self.store.generation()));
        let written = async {
            tokio::fs::write(&probe, b"probe").await?;
            tokio::fs::remove_file(&probe).await
        };
        let folder = self.recordings.display();
        let fault = |error: io::Error| format!("{folder} cannot be written: {error}");
        written.await.map(|()| "writable".to_owned()).map_err(fault)
    }

    async fn read_certificate(&self) -> Result<String, String> {
        let path = self.certificate.display();
        let fault = |error: io::Error| format!("{path} cannot be read: {error}");
        tokio::fs::read(&self.certificate).await.map(|_| "readable".to_owned()).map_err(fault)
    }
}

/// Whether all is well.
pub fn well(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.ok)
}

fn check(name: &'static str, found: Result<String, String>) -> Check {
    let ok = found.is_ok();
    Check { name, ok, text: found.unwrap_or_else(|fault| fault) }
}
