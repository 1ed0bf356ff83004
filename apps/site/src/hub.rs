//! The agents and consoles that have a link to this generation.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use link::{LinkHandle, Writer};
use model::{AgentId, OperatorId, PublicKey, Release, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::sessions::AgentLink;

/// Who is on a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// An agent.
    Agent {
        /// Its id.
        id: AgentId,
        /// Its name.
        name: String,
        /// What it runs.
        release: Release,
    },
    /// A console, with its operator's name; none before it signs in.
    Console {
        /// The operator.
        operator: Option<(OperatorId, String)>,
        /// Its identity.
        key: PublicKey,
    },
}

/// One link to this generation.
pub struct Entry {
    /// Its number, counted by this generation.
    pub number: u64,
    /// Who is on it.
    pub peer: Peer,
    /// Where it comes from.
    pub address: String,
    /// Opens streams and closes it.
    pub handle: LinkHandle,
    /// Where its control messages go, once the client opened that stream.
    pub control: Mutex<Option<Writer>>,
    /// Whether the client has another link already, to a newer generation.
    pub ready_to_move: AtomicBool,
    /// When the last message came.
    pub heard: AtomicU64,
    /// When it came up.
    pub since: Instant,
}

/// A link that is up for so long is one: what breaks at once comes and goes faster.
const SETTLED_AFTER: Duration = Duration::from_millis(500);

/// Who is connected, counted in one go.
#[derive(Debug, Default)]
pub struct Tally {
    /// Links of whatever kind.
    pub links: usize,
    /// Agents.
    pub agents: usize,
    /// Agents whose link has been up for a moment.
    pub settled: usize,
    /// Consoles that are signed in.
    pub consoles: usize,
    /// The names of their operators.
    pub operators: BTreeSet<String>,
}

/// All links of this generation.
pub struct Hub {
    links: Mutex<HashMap<u64, Arc<Entry>>>,
    agents: Mutex<HashMap<AgentId, Arc<Entry>>>,
    next: AtomicU64,
    changed: watch::Sender<u64>,
}

impl Hub {
    /// A hub without links.
    pub fn new() -> Arc<Self> {
        let (changed, _) = watch::channel(0);
        let next = AtomicU64::new(1);
        Arc::new(Self { links: Mutex::default(), agents: Mutex::default(), next, changed })
    }

    /// How many links there have been, those that are there included.
    pub fn links_ever(&self) -> u64 {
        self.next.load(Ordering::Relaxed) - 1
    }

    /// Adds a link. A former link of the same agent stays until it closes, but new sessions go
    /// over this one.
    pub fn add(
        &self,
        peer: Peer,
        address: String,
        handle: LinkHandle,
        now: Timestamp,
    ) -> Arc<Entry> {
        let entry = Arc::new(Entry {
            number: self.next.fetch_add(1, Ordering::Relaxed),
            peer,
            address,
            handle,
            control: Mutex::default(),
            ready_to_move: AtomicBool::new(false),
            heard: AtomicU64::new(now.0),
            since: Instant::now(),
        });
        lock(&self.links).insert(entry.number, entry.clone());
        if let Peer::Agent { id, .. } = entry.peer {
            lock(&self.agents).insert(id, entry.clone());
        }
        self.changed.send_modify(|count| *count += 1);
        entry
    }

    /// Removes a link. Answers whether its agent has no other one here.
    pub fn remove(&self, entry: &Entry) -> bool {
        lock(&self.links).remove(&entry.number);
        self.changed.send_modify(|count| *count += 1);
        let Peer::Agent { id, .. } = entry.peer else { return false };
        let mut agents = lock(&self.agents);
        if agents.get(&id).is_some_and(|current| current.number == entry.number) {
            agents.remove(&id);
            return true;
        }
        false
    }

    /// The connected agent with that name or id.
    pub fn find(&self, target: &str) -> Option<(AgentId, String, AgentLink)> {
        let agents = lock(&self.agents);
        if let Ok(id) = target.parse::<AgentId>() {
            return agents.get(&id).and_then(found);
        }
        agents.values().find(|entry| entry.peer.name() == target).and_then(found)
    }

    /// Waits until that agent has a link here.
    pub async fn wait_for(
        &self,
        id: AgentId,
        limit: Duration,
    ) -> Option<(AgentId, String, AgentLink)> {
        let mut changed = self.changed.subscribe();
        let arrival = async {
            loop {
                if let Some(found) = lock(&self.agents).get(&id).and_then(found) {
                    return Some(found);
                }
                changed.changed().await.ok()?;
            }
        };
        tokio::time::timeout(limit, arrival).await.ok().flatten()
    }

    /// All links.
    pub fn links(&self) -> Vec<Arc<Entry>> {
        lock(&self.links).values().cloned().collect()
    }

    /// The link with that number.
    pub fn link(&self, number: u64) -> Option<Arc<Entry>> {
        lock(&self.links).get(&number).cloned()
    }

    /// The link that new work of that agent goes over.
    pub fn agent(&self, id: AgentId) -> Option<Arc<Entry>> {
        lock(&self.agents).get(&id).cloned()
    }

    /// The connected agents.
    pub fn agents(&self) -> Vec<Arc<Entry>> {
        lock(&self.agents).values().cloned().collect()
    }

    /// Who is connected; agents that `leave_out` names do not count.
    pub fn tally(&self, leave_out: impl Fn(AgentId) -> bool) -> Tally {
        let mut tally = Tally::default();
        for (_, entry) in lock(&self.agents).iter().filter(|(id, _)| !leave_out(**id)) {
            tally.agents += 1;
            tally.settled += usize::from(entry.is_settled());
        }
        let links = lock(&self.links);
        tally.links = links.len();
        for entry in links.values() {
            if let Peer::Console { operator: Some((_, name)), .. } = &entry.peer {
                tally.consoles += 1;
                if !tally.operators.contains(name) {
                    tally.operators.insert(name.clone());
                }
            }
        }
        tally
    }
}

impl Entry {
    /// Whether it has been up for a moment already.
    pub fn is_settled(&self) -> bool {
        self.since.elapsed() >= SETTLED_AFTER
    }

    /// Sends a control message, if the client has opened its control stream.
    pub async fn tell(&self, message: impl Into<session::Message>) -> bool {
        let writer = lock(&self.control).clone();
        match writer {
            Some(writer) => writer.message(message).await.is_ok(),
            None => false,
        }
    }
}

impl Peer {
    /// The agent's or operator's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Agent { name, .. } => name,
            Self::Console { operator, .. } => operator.as_ref().map_or("", |(_, name)| name),
        }
    }
}

fn found(entry: &Arc<Entry>) -> Option<(AgentId, String, AgentLink)> {
    let Peer::Agent { id, name, .. } = &entry.peer else { return None };
    if entry.handle.is_closed() {
        return None;
    }
    let link = AgentLink { handle: entry.handle.clone(), number: entry.number };
    Some((*id, name.clone(), link))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
