use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use link::{LinkHandle, Reader, Writer};
use model::{AgentId, OperatorId, PublicKey, SessionId, SessionOutcome};
use session::{Exit, Refused, RefusedCode, Resume, SigningKey, Ticket};
use store::{Console, Store};
use terminal::{Recorder, RecorderError};
use tokio::sync::Mutex as AsyncMutex;

use super::beginning::Beginnings;
use super::legs::{run_agent_leg, run_console_leg};
use super::rows;
use super::scribe::Scribe;
use super::session::{Leg, Session};
use super::why;
use crate::clock::now;
use crate::hub::Hub;
use crate::neighbours::Neighbours;
use crate::notes::Notes;

/// How long an older generation may take to let go of a session.
const RELEASE_LIMIT: Duration = Duration::from_secs(10);

/// Sessions that are given up at the same time, at most: each needs a thread that may wait.
const RELEASED_AT_ONCE: usize = 16;

/// Opens sessions, takes them over, and knows those that this generation relays.
pub struct Broker {
    /// The site's database.
    pub store: Store,
    /// What the database hears a little later.
    pub notes: Notes,
    /// Where recordings are.
    pub recordings: PathBuf,
    /// Signs session tickets.
    pub ticket_key: SigningKey,
    /// The agents that have a link to this generation.
    pub hub: Arc<Hub>,
    /// The other generations of this appliance.
    pub neighbours: Neighbours,
    /// Set while the generation drains: what it lets go of must not come back to it.
    pub closed: AtomicBool,
    /// Set when the base has committed this version. Before that it may be taken back, and agents that
    /// do not find the way to it with it.
    pub committed: AtomicBool,
    /// The longest that an end of a session which came back to this generation was away, in milliseconds.
    pub stall_ms_max: AtomicU64,
    pub(super) beginnings: Beginnings,
    /// Writes the recordings.
    pub(super) scribe: Scribe,
    sessions: Mutex<HashMap<SessionId, Arc<Session>>>,
    taking: Mutex<HashMap<SessionId, Arc<AsyncMutex<()>>>>,
}

/// A console at the other end of a link.
#[derive(Clone)]
pub struct Caller {
    /// Who it is; none for the site's own self-test.
    pub console: Option<Console>,
    /// Whose work it is.
    pub operator: OperatorId,
    /// Their name.
    pub operator_name: String,
    /// Its identity.
    pub key: PublicKey,
    /// The link it came on.
    pub link: u64,
    /// Where it came from.
    pub address: String,
}

impl Broker {
    /// A broker without sessions.
    pub fn new(
        store: Store,
        recordings: PathBuf,
        ticket_key: SigningKey,
        hub: Arc<Hub>,
        neighbours: Neighbours,
    ) -> Arc<Self> {
        let (sessions, taking) = (Mutex::default(), Mutex::default());
        let (closed, committed) = (AtomicBool::new(false), AtomicBool::new(false));
        let stall_ms_max = AtomicU64::new(0);
        let notes = Notes::start(store.clone());
        Arc::new(Self {
            store,
            notes,
            beginnings: Beginnings::of(recordings.clone()),
            recordings,
            ticket_key,
            hub,
            neighbours,
            closed,
            committed,
            stall_ms_max,
            scribe: Scribe::default(),
            sessions,
            taking,
        })
    }

    pub(super) fn sessions(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sessions that this generation relays.
    pub fn live(&self) -> Vec<Arc<Session>> {
        self.sessions().values().cloned().collect()
    }

    /// Lets an agent go on with a session that it runs.
    pub async fn resume_agent(
        self: &Arc<Self>,
        agent: AgentId,
        link: u64,
        resume: Resume,
        reader: Reader,
        writer: Writer,
    ) {
        let taken = match self.check_ticket(&resume) {
            Ok(ticket) if ticket.agent == agent => self.find_or_take(ticket).await,
            Ok(_) => Err(not_yours()),
            Err(refused) => Err(refused),
        };
        match taken {
            Ok(session) => {
                let leg = Leg::new(writer, link);
                session.attach_agent(leg.clone(), Some(&resume), now());
                let address = rows::address_of(self, &leg);
                rows::leg_resumed(self, &session, store::Leg::Agent, &resume, address);
                tokio::spawn(run_agent_leg(self.clone(), session.clone(), leg, reader));
                session.settle_ends().await;
            }
            Err(refused) => refuse(&writer, refused).await,
        }
    }

    /// Lets a console go on with a session that it opened.
    pub async fn resume_console(
        self: &Arc<Self>,
        key: PublicKey,
        link: u64,
        resume: Resume,
        reader: Reader,
        writer: Writer,
    ) {
        let taken = match self.check_ticket(&resume) {
            Ok(ticket) if ticket.console == key => self.find_or_take(ticket).await,
            Ok(_) => Err(not_yours()),
            Err(refused) => Err(refused),
        };
        match taken {
            Ok(session) => {
                let leg = Leg::new(writer, link);
                session.attach_console(leg.clone(), Some(&resume));
                let address = rows::address_of(self, &leg);
                rows::leg_resumed(self, &session, store::Leg::Console, &resume, address);
                tokio::spawn(run_console_leg(self.clone(), session.clone(), leg, reader));
                session.settle_ends().await;
            }
            Err(refused) => refuse(&writer, refused).await,
        }
    }

    fn check_ticket(&self, resume: &Resume) -> Result<Ticket, Refused> {
        let ticket = Ticket::open(&resume.ticket, &[self.ticket_key.public()], now())
            .map_err(|e| Refused::new(RefusedCode::Forbidden, e.to_string()))?;
        if ticket.session != resume.session {
            return Err(not_yours());
        }
        Ok(ticket)
    }

    /// The session as this generation relays it, taken over from another one if need be.
    pub(super) async fn find_or_take(
        self: &Arc<Self>,
        ticket: Ticket,
    ) -> Result<Arc<Session>, Refused> {
        let id = ticket.session;
        let turn = {
            let mut taking = self.taking.lock().unwrap_or_else(PoisonError::into_inner);
            taking.entry(id).or_default().clone()
        };
        let _turn = turn.lock().await;
        let taken = self.take(ticket).await;
        self.taking.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        taken
    }

    async fn take(self: &Arc<Self>, ticket: Ticket) -> Result<Arc<Session>, Refused> {
        let id = ticket.session;
        let deadline = tokio::time::Instant::now() + RELEASE_LIMIT;
        loop {
            if let Some(session) = self.sessions().get(&id) {
                return Ok(session.clone());
            }
            if self.closed.load(Ordering::Acquire) {
                let text =
                    "this generation of the site lets go of its sessions; resume on a newer link";
                return Err(Refused::new(RefusedCode::Moved, text));
            }
            if let Some(recorder) = self.try_recording(id).await? {
                let session = Session::new(ticket, recorder, self.scribe.clone(), now());
                self.sessions().insert(id, session.clone());
                tracing::info!(session = %id, "Session taken over");
                return Ok(session);
            }
            if tokio::time::Instant::now() > deadline {
                let text =
                    "another process of the site still holds this session; it will be tried again";
                return Err(Refused::new(RefusedCode::Busy, text));
            }
            self.neighbours.release(id).await;
        }
    }

    /// Opens the recording for going on; `None` while another process holds it.
    pub(super) async fn try_recording(&self, id: SessionId) -> Result<Option<Recorder>, Refused> {
        let dir = self.recordings.clone();
        let resumed = tokio::task::spawn_blocking(move || Recorder::resume(&dir, id)).await;
        match resumed {
            Ok(Ok((recorder, _))) => Ok(Some(recorder)),
            Ok(Err(RecorderError::HeldElsewhere(_))) => Ok(None),
            Ok(Err(error @ (RecorderError::Finished(_) | RecorderError::Missing { .. }))) => {
                tracing::info!(session = %id, %error, "Session cannot be resumed");
                Err(Refused::new(RefusedCode::UnknownSession, "the session is over"))
            }
            Ok(Err(error)) => {
                let error = why(error);
                tracing::error!(session = %id, error, "Recording cannot be resumed");
                Err(Refused::new(RefusedCode::Busy, error))
            }
            Err(panicked) => Err(Refused::new(RefusedCode::Failed, panicked.to_string())),
        }
    }

    /// Gives a session up so that another generation can have it; its ends are told where to go.
    pub async fn release(self: &Arc<Self>, id: SessionId) {
        let session = self.sessions().remove(&id);
        let Some(session) = session else { return };
        let (agent, console) = session.release().await;
        for leg in [agent, console].into_iter().flatten() {
            // A leg that is gone comes back by itself.
            tokio::spawn(async move {
                let _ = leg.writer.message(session::Moved {}).await;
                leg.writer.close();
            });
        }
    }

    /// As [`Self::release`], for many; a disk that is slow makes them wait together, not one after the other.
    pub async fn release_all(self: &Arc<Self>, ids: impl IntoIterator<Item = SessionId>) {
        futures_util::stream::iter(ids)
            .for_each_concurrent(RELEASED_AT_ONCE, |id| self.release(id))
            .await;
    }

    /// Finishes recording and row of a session; answers whether this call did it.
    pub(super) async fn finish(self: &Arc<Self>, session: &Arc<Session>, exit: &Exit) -> bool {
        let Some(recorder) = session.take_recorder() else { return false };
        rows::ended(self, session, recorder, outcome(exit)).await;
        true
    }

    /// Forgets a session that is over.
    pub(super) fn forget(&self, session: &Arc<Session>) {
        self.sessions().remove(&session.ticket.session);
    }

    /// Notes that a leg broke.
    pub(super) fn leg_lost(self: &Arc<Self>, session: &Arc<Session>, leg: store::Leg) {
        tracing::debug!(session = %session.ticket.session, ?leg, "Leg ended");
        rows::leg_detached(self, session, leg);
    }
}

/// An agent's link as the hub knows it.
#[derive(Clone)]
pub struct AgentLink {
    /// Opens streams to the agent.
    pub handle: LinkHandle,
    /// Number of the link in this generation.
    pub number: u64,
}

fn outcome(exit: &Exit) -> SessionOutcome {
    match (&exit.reason, exit.signal, exit.status) {
        (Some(reason), ..) => SessionOutcome::Failed(reason.clone()),
        (None, Some(signal), _) => SessionOutcome::Signalled(signal),
        (None, None, Some(status)) => SessionOutcome::Exited(status),
        (None, None, None) => SessionOutcome::Closed,
    }
}

pub(super) fn not_yours() -> Refused {
    Refused::new(RefusedCode::Forbidden, "the ticket belongs to another session or another client")
}

async fn refuse(writer: &Writer, refused: Refused) {
    let _ = writer.message(refused).await;
    writer.close();
}
