//! Bringing Jump Clients to the site's version.
//!
//! Begins when the base has committed the site's version, so that clients never follow a version
//! that is taken back. At most [`AT_ONCE`] upgrade at a time.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::{AgentId, Release};
use session::UpgradeAvailable;
use std::collections::HashSet;
use tokio::sync::Semaphore;

use crate::clock::now;
use crate::hub::{Entry, Peer};
use crate::serve::Site;
use crate::settings::Settings;

/// Jump Clients that upgrade at the same time.
const AT_ONCE: usize = 20;

/// A client that has not come back with the new version by then gives up its place.
const TURN: Duration = Duration::from_mins(5);

/// Who upgrades and who waits.
pub struct Upgrades {
    /// Names of the agent binaries in the package.
    targets: Vec<String>,
    begun: AtomicBool,
    turns: Arc<Semaphore>,
    told: Mutex<HashSet<AgentId>>,
}

impl Upgrades {
    /// Nothing is upgraded until [`Upgrades::begin`].
    pub fn new(settings: &Settings) -> Self {
        Self {
            targets: targets(&settings.package.join("clients")),
            begun: AtomicBool::new(false),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            told: Mutex::default(),
        }
    }

    /// Whether the package brings programs for clients.
    pub fn has_clients(&self) -> bool {
        !self.targets.is_empty()
    }

    /// Brings every connected client after, and those that connect later.
    pub fn begin(&self, site: &Arc<Site>) {
        if !self.begun.swap(true, Ordering::AcqRel) {
            for entry in site.hub.agents() {
                self.consider(site, &entry);
            }
        }
    }

    /// Upgrades a client when it is older than the site, and it is time.
    pub fn consider(&self, site: &Arc<Site>, entry: &Arc<Entry>) {
        let Peer::Agent { id, release, .. } = &entry.peer else { return };
        let wanted = &site.settings.release;
        if release == wanted || site.is_self_test(*id) || !self.begun.load(Ordering::Acquire) {
            return;
        }
        let Some(target) = self.target_for(wanted) else { return };
        if !self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(*id) {
            return;
        }
        tokio::spawn(upgrade(site.clone(), entry.clone(), *id, target));
    }

    fn target_for(&self, wanted: &Release) -> Option<String> {
        let wanted = format!("agent-{}-r{}-x86_64-linux", wanted.version, wanted.revision.0);
        self.targets.iter().find(|name| **name == wanted).map(|name| format!("agent/{name}"))
    }
}

async fn upgrade(site: Arc<Site>, entry: Arc<Entry>, id: AgentId, target: String) {
    let turns = site.upgrades.turns.clone();
    let Ok(_turn) = turns.acquire_owned().await else { return };
    let text = format!("to {}", site.settings.release);
    let pending = Some((store::UpgradeStage::Pending, text.as_str()));
    if let Err(error) = site.store.agents().set_upgrade(id, pending, now()).await {
        tracing::warn!(agent = %id, %error, "Upgrade is not in the database");
    }
    let mut changed = site.hub.watch();
    let offer = UpgradeAvailable {
        target,
        version: site.settings.release.version.to_string(),
        revision: site.settings.release.revision.0,
    };
    entry.tell(offer).await;
    // The place is free when the client is back with the version, or has taken too long.
    let arrived = async {
        while changed.changed().await.is_ok() {
            let back = site.hub.agents().into_iter().any(|entry| {
                matches!(&entry.peer, Peer::Agent { id: other, release, .. }
                    if *other == id && *release == site.settings.release)
            });
            if back {
                return;
            }
        }
    };
    let in_time = tokio::time::timeout(TURN, arrived).await.is_ok();
    if in_time {
        let done = site.store.agents().set_upgrade(id, None, now()).await;
        tracing::info!(agent = %id, ?done, "Jump Client runs the site's version");
    } else {
        tracing::warn!(agent = %id, "Jump Client has not come back with the site's version");
        site.upgrades.told.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

fn targets(clients: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(clients) else { return Vec::new() };
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
