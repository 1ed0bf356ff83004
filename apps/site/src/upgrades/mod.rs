//! Bringing Jump Clients to the site's version.
//!
//! Begins when the base has committed the site's version, so that clients never follow a version
//! that is taken back. [`queue`] decides; here is what it needs from outside, and what it brings
//! about.
//!
//! Only an older client is brought along. One that is newer stays as it is: the site was rolled back,
//! a rollback reaches the slot before at most, and neighbouring versions speak with each other. To
//! take an endpoint back as well would install an older package, which an update never does, and
//! disturb its sessions a second time for nothing.

mod queue;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{AgentId, Release};
use session::{AgentStatus, UpgradeAvailable};
use store::{Store, UpgradeStage};
use tokio::sync::Notify;

use crate::clock::now;
use crate::hub::{Entry, Peer};
use crate::serve::Site;
use crate::settings::Settings;
use crate::web::UpgradeView;
use queue::{Again, Place, Queue, Step};

/// Between two offers.
const APART: Duration = Duration::from_millis(150);

/// The longest that the queue sleeps; what happens wakes it before.
const LONGEST_SLEEP: Duration = Duration::from_hours(1);

/// Who upgrades and who waits.
pub struct Upgrades {
    /// Names of the agent binaries in the package.
    targets: Vec<String>,
    wanted: Release,
    begun: AtomicBool,
    queue: Mutex<Queue>,
    changed: Notify,
    notes: Arc<Notes>,
}

/// What is to be written down of each client: the newest only, so it is never more than clients.
#[derive(Default)]
struct Notes {
    waiting: Mutex<HashMap<AgentId, Note>>,
    more: Notify,
}

/// How an upgrade stands; none when there is nothing to say.
type Note = Option<(UpgradeStage, String)>;

impl Upgrades {
    /// Nothing is upgraded until [`Upgrades::begin`].
    pub fn new(settings: &Settings, store: &Store) -> Arc<Self> {
        let notes = Arc::new(Notes::default());
        tokio::spawn(write_down(store.clone(), notes.clone()));
        Arc::new(Self {
            notes,
            targets: targets(&settings.package.join("clients")),
            wanted: settings.release.clone(),
            begun: AtomicBool::new(false),
            queue: Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// Whether the package brings programs for clients.
    pub fn has_clients(&self) -> bool {
        !self.targets.is_empty()
    }

    /// Brings every connected client after, and those that connect later.
    pub fn begin(&self, site: &Arc<Site>) {
        if self.begun.swap(true, Ordering::AcqRel) {
            return;
        }
        for entry in site.hub.agents() {
            self.consider(site, &entry);
        }
        tokio::spawn(keep(site.clone()));
    }

    /// Takes a client that connected into the queue when it is older than the site.
    pub fn consider(&self, site: &Arc<Site>, entry: &Arc<Entry>) {
        let Peer::Agent { id, release, .. } = &entry.peer else { return };
        if site.is_self_test(*id) {
            return;
        }
        if is_older(release, &self.wanted) {
            if self.begun.load(Ordering::Acquire) && self.target().is_some() {
                self.queue().arrived(*id);
            }
        } else if self.queue().done(*id) {
            self.note(*id, None);
        }
        self.changed.notify_one();
    }

    /// A client's last link ended.
    pub fn left(&self, id: AgentId) {
        self.queue().left(id);
    }

    /// A client says how its upgrade goes.
    pub fn heard(&self, entry: &Entry, status: &AgentStatus) {
        let Peer::Agent { id, name, release } = &entry.peer else { return };
        let AgentStatus { phase, version, text, percent, again } = status;
        tracing::info!(agent = name, phase, version, text, percent, "Upgrade of a Jump Client");
        match phase.as_str() {
            // An older one says so of itself when it has just started; that is no end of its upgrade.
            "current" if is_older(release, &self.wanted) => {}
            "current" => {
                self.queue().done(*id);
                self.note(*id, None);
            }
            // What an earlier version of the site had offered: it says nothing of this one.
            "failed" if *version != self.wanted.to_string() => {}
            "failed" => {
                let again = if *again == Some(false) { Again::WhenTold } else { Again::Later };
                self.queue().failed(*id, again, now());
                self.note(*id, Some((UpgradeStage::Failed, text.clone())));
            }
            _ => {
                let words = progress_words(phase, *percent, text);
                self.queue().progress(*id, words.clone(), now());
                // The numbers in between are for whoever looks now.
                if phase != "downloading" || *percent == 0 {
                    self.note(*id, Some((UpgradeStage::Running, words)));
                }
            }
        }
        self.changed.notify_one();
    }

    /// How each client in the queue stands.
    pub fn views(&self) -> HashMap<AgentId, UpgradeView> {
        let queue = self.queue();
        let waiting = queue.waiting();
        let view = |place| match place {
            Place::Waiting(position) => {
                UpgradeView { position: Some((position, waiting)), ..UpgradeView::default() }
            }
            Place::Running(progress) => UpgradeView { progress, ..UpgradeView::default() },
            Place::Failed(next_try) => UpgradeView { next_try, ..UpgradeView::default() },
        };
        queue.places().map(|(id, place)| (id, view(place))).collect()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn target(&self) -> Option<String> {
        let Release { version, revision } = &self.wanted;
        let wanted = format!("agent-{version}-r{}-x86_64-linux", revision.0);
        self.targets.iter().find(|name| **name == wanted).map(|name| format!("agent/{name}"))
    }

    /// Lets it be written down how an upgrade stands.
    fn note(&self, id: AgentId, note: Note) {
        self.notes.waiting().insert(id, note);
        self.notes.more.notify_one();
    }
}

impl Notes {
    fn waiting(&self) -> MutexGuard<'_, HashMap<AgentId, Note>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes down what is noted, as long as the generation runs.
async fn write_down(store: Store, notes: Arc<Notes>) {
    loop {
        let now_waiting = std::mem::take(&mut *notes.waiting());
        for (id, note) in now_waiting {
            let upgrade = note.as_ref().map(|(stage, text)| (*stage, text.as_str()));
            if let Err(error) = store.agents().set_upgrade(id, upgrade, now()).await {
                tracing::warn!(agent = %id, %error, "State of an upgrade is not in the database");
            }
        }
        notes.more.notified().await;
    }
}

/// Whether a client that runs `running` is to be brought to `wanted`.
fn is_older(running: &Release, wanted: &Release) -> bool {
    running < wanted
}

/// Does what the queue says, as long as the generation runs.
async fn keep(site: Arc<Site>) {
    let upgrades = site.upgrades.clone();
    loop {
        let steps = upgrades.queue().steps(now());
        for step in steps {
            perform(&site, step).await;
        }
        let next = upgrades.queue().next();
        let sleep = next.map_or(LONGEST_SLEEP, |next| next.since(now())).min(LONGEST_SLEEP);
        // The outcome does not matter: either way it is time to look again.
        let _ = tokio::time::timeout(sleep, upgrades.changed.notified()).await;
    }
}

async fn perform(site: &Arc<Site>, step: Step) {
    let upgrades = &site.upgrades;
    match step {
        Step::Offer(id) => {
            if offer(site, id).await {
                // Each comes back on a new link, with its sessions; not all in the same moment.
                tokio::time::sleep(APART).await;
            } else {
                upgrades.queue().not_reached(id);
                upgrades.changed.notify_one();
            }
        }
        Step::GaveUp(id) => {
            tracing::warn!(agent = %id, "Jump Client was not heard of during its upgrade");
            let words =
                format!("nothing was heard of it for {} min", queue::SILENCE.as_secs() / 60);
            upgrades.note(id, Some((UpgradeStage::Failed, words)));
        }
    }
}

/// Tells a client of the version; whether it could be told.
async fn offer(site: &Arc<Site>, id: AgentId) -> bool {
    let upgrades = &site.upgrades;
    let (Some(entry), Some(target)) = (site.hub.agent(id), upgrades.target()) else { return false };
    // Noted first: the client's answer may be here before the sending returns.
    upgrades.note(id, Some((UpgradeStage::Running, format!("asked to fetch {}", upgrades.wanted))));
    let Release { version, revision } = &upgrades.wanted;
    let (version, revision) = (version.to_string(), revision.0);
    entry.tell(UpgradeAvailable { target, version, revision }).await
}

fn progress_words(phase: &str, percent: u8, text: &str) -> String {
    let words = match phase {
        "downloading" => format!("fetching, {percent} %"),
        "switching" => "switching over".to_owned(),
        "proving" => "proving itself".to_owned(),
        later => later.to_owned(),
    };
    if text.is_empty() { words } else { format!("{words}: {text}") }
}

fn targets(clients: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(clients) else { return Vec::new() };
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_older_client_is_brought_along() {
        let site = Release::new(1, 1, 0, 2);
        assert!(is_older(&Release::new(1, 0, 0, 9), &site));
        assert!(is_older(&Release::new(1, 1, 0, 1), &site));
        assert!(!is_older(&site, &site));
        // The site was rolled back below its clients.
        assert!(!is_older(&site, &Release::new(1, 0, 0, 1)));
    }
}
