use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use link::{LinkError, LinkHandle, Reader, Writer};
use model::{AgentId, OperatorId, PublicKey, SessionId, SessionOutcome};
use session::{
    Exit, Message, OpenSession, Opened, Refused, RefusedCode, Resume, SigningKey, StartSession,
    Ticket,
};
use store::{Console, Store};
use terminal::{Header, Recorder, RecorderError, Size};
use tokio::sync::Mutex as AsyncMutex;

use super::legs::{run_agent_leg, run_console_leg};
use super::rows;
use super::session::{Leg, Session};
use crate::clock::now;
use crate::hub::Hub;
use crate::neighbours::Neighbours;
use crate::notes::Notes;

/// How long a ticket resumes: longer than any session should be away, shorter than for ever.
const TICKET_LIFE: Duration = Duration::from_hours(7 * 24);

/// How long the agent may take to start what a session needs.
const START_LIMIT: Duration = Duration::from_secs(15);

/// How long a session waits for an agent that is on its way from an older generation.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(10);

/// How long a session waits for an agent that is not known to be anywhere: it may just be dialling.
const BLINK: Duration = Duration::from_millis(300);

/// How often and how soon opening is tried again while the agent's link comes back.
const TRIES_MAX: u32 = 3;
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// How long an older generation may take to let go of a session.
const RELEASE_LIMIT: Duration = Duration::from_secs(10);

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
    /// The longest that an end of a session which came back to this generation was away, in milliseconds.
    pub stall_ms_max: AtomicU64,
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
        let (closed, stall_ms_max) = (AtomicBool::new(false), AtomicU64::new(0));
        let notes = Notes::start(store.clone());
        Arc::new(Self {
            store,
            notes,
            recordings,
            ticket_key,
            hub,
            neighbours,
            closed,
            stall_ms_max,
            sessions,
            taking,
        })
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sessions that this generation relays.
    pub fn live(&self) -> Vec<Arc<Session>> {
        self.sessions().values().cloned().collect()
    }

    /// Opens a session for a console and relays it; answers on the console's stream.
    pub async fn open(
        self: &Arc<Self>,
        caller: Caller,
        ask: OpenSession,
        reader: Reader,
        writer: Writer,
    ) {
        if let Err(refused) = self.try_open(caller, ask, reader, &writer).await {
            // A console that is gone needs no reason.
            let _ = writer.message(refused).await;
            writer.close().await;
        }
    }

    async fn try_open(
        self: &Arc<Self>,
        caller: Caller,
        ask: OpenSession,
        mut reader: Reader,
        writer: &Writer,
    ) -> Result<(), Refused> {
        if let Some(console) = &caller.console {
            console.usable(now()).map_err(|e| Refused::new(RefusedCode::SignIn, e.to_string()))?;
        }
        let mut tries = 0;
        loop {
            tries += 1;
            let refused = match self.open_once(&caller, &ask, reader, writer).await {
                Ok(()) => return Ok(()),
                Err((refused, returned)) => {
                    reader = returned;
                    refused
                }
            };
            // An agent that is being updated or moved has its link back in a moment.
            if refused.reason() != RefusedCode::Busy || tries == TRIES_MAX {
                return Err(refused);
            }
            tokio::time::sleep(TRY_AGAIN_AFTER).await;
        }
    }

    async fn open_once(
        self: &Arc<Self>,
        caller: &Caller,
        ask: &OpenSession,
        reader: Reader,
        writer: &Writer,
    ) -> Result<(), (Refused, Reader)> {
        let started = match self.start(caller, ask).await {
            Ok(started) => started,
            Err(refused) => return Err((refused, reader)),
        };
        self.connect(caller, started, reader, writer).await;
        Ok(())
    }

    async fn start(
        self: &Arc<Self>,
        caller: &Caller,
        ask: &OpenSession,
    ) -> Result<Started, Refused> {
        let (agent, name, link) = self.reach(&ask.target).await?;
        let ticket = new_ticket(caller, agent, &name, ask);
        let sealed = ticket.seal(&self.ticket_key);
        let recorder = self.new_recording(&ticket, ask)?;
        let row = rows::opened(self, &ticket, caller);
        match self.start_on_agent(&link, &ticket, &sealed, ask).await {
            Ok(agent) => Ok(Started { ticket, sealed, recorder, row, agent, link: link.number }),
            Err(refused) => {
                let failed = SessionOutcome::Failed(refused.text.clone());
                rows::never_started(self, &ticket, row, recorder, &failed).await;
                Err(refused)
            }
        }
    }

    async fn connect(
        self: &Arc<Self>,
        caller: &Caller,
        started: Started,
        reader: Reader,
        writer: &Writer,
    ) {
        let Started { ticket, sealed, recorder, row, agent, link } = started;
        let session = Session::new(ticket, recorder, now());
        self.sessions().insert(session.ticket.session, session.clone());
        let agent_leg = Leg::new(agent.1, link);
        let console_leg = Leg::new(writer.clone(), caller.link);
        session.attach_agent(agent_leg.clone(), None, now());
        session.attach_console(console_leg.clone(), None);
        let endpoint = session.ticket.endpoint.clone();
        let opened = Opened { session: session.ticket.session, ticket: sealed, endpoint };
        let told = writer.message(opened).await;
        tokio::spawn(run_agent_leg(self.clone(), session.clone(), agent_leg, agent.0));
        tokio::spawn(run_console_leg(self.clone(), session.clone(), console_leg, reader));
        rows::live(self, &session, row, caller);
        tracing::info!(session = %session.ticket.session, operator = session.ticket.operator_name,
            endpoint = session.ticket.endpoint, "Session opened");
        // The console may come back with its ticket only if it has one.
        if told.is_err() {
            self.give_up(&session, "the console was gone before the session opened".into()).await;
        }
    }

    /// The agent's link, waiting a while for one that is on its way.
    async fn reach(&self, target: &str) -> Result<(AgentId, String, AgentLink), Refused> {
        if let Some(found) = self.hub.find(target) {
            return Ok(found);
        }
        let failed = |e: store::Error| Refused::new(RefusedCode::Failed, e.to_string());
        let by_name = self.store.agents().by_name(target).await.map_err(failed)?;
        let known = match (by_name, target.parse::<AgentId>()) {
            (Some(agent), _) => Some(agent),
            (None, Ok(id)) => self.store.agents().by_id(id).await.map_err(failed)?,
            (None, Err(_)) => None,
        };
        let Some(agent) = known else {
            let text = format!("there is no Jump Client “{target}”; `sluis ls` lists them");
            return Err(Refused::new(RefusedCode::UnknownTarget, text));
        };
        if agent.disabled {
            let text = format!("“{}” is disabled", agent.name);
            return Err(Refused::new(RefusedCode::Forbidden, text));
        }
        let patience = if agent.generation.is_some() { ARRIVAL_LIMIT } else { BLINK };
        if let Some(found) = self.hub.wait_for(agent.id, patience).await {
            return Ok(found);
        }
        let seen = agent.last_seen.map_or_else(|| "never".to_owned(), |at| at.to_string());
        let text = format!("“{}” is offline; it was last seen {seen}", agent.name);
        Err(Refused::new(RefusedCode::Offline, text))
    }

    fn new_recording(&self, ticket: &Ticket, ask: &OpenSession) -> Result<Recorder, Refused> {
        let header = Header {
            size: Size { columns: ask.columns.max(1), rows: ask.rows.max(1) },
            begun: ticket.opened,
            command: ask.command.clone(),
            title: Some(format!("{} on {}", ticket.operator_name, ticket.endpoint)),
            env: [("TERM".to_owned(), ask.term.clone())].into(),
        };
        Recorder::create(&self.recordings, ticket.session, &header).map_err(|error| {
            tracing::error!(%error, "Recording cannot be created");
            let text = "the session cannot be recorded, so it is not opened; the appliance's disk needs attention";
            Refused::new(RefusedCode::Failed, text)
        })
    }

    async fn start_on_agent(
        &self,
        link: &AgentLink,
        ticket: &Ticket,
        sealed: &[u8],
        ask: &OpenSession,
    ) -> Result<(Reader, Writer), Refused> {
        let offline = |_: LinkError| {
            let text = format!("“{}” lost its link just now; try again", ticket.endpoint);
            Refused::new(RefusedCode::Busy, text)
        };
        let (mut reader, writer) = link.handle.open().await.map_err(offline)?.split();
        let start = StartSession {
            session: ticket.session,
            ticket: sealed.to_vec(),
            command: ask.command.clone(),
            columns: ask.columns,
            rows: ask.rows,
            term: ask.term.clone(),
            terminal: ask.terminal || ask.command.is_none(),
            operator: ticket.operator_name.clone(),
        };
        writer.message(start).await.map_err(offline)?;
        match tokio::time::timeout(START_LIMIT, reader.message()).await {
            Ok(Ok(Message::Opened(_))) => Ok((reader, writer)),
            Ok(Ok(Message::Refused(refused))) => Err(refused),
            Ok(Ok(_)) => Err(Refused::new(RefusedCode::Failed, "the agent gave no proper answer")),
            Ok(Err(error)) => Err(offline(error)),
            Err(_) => {
                let text = format!("“{}” did not start the session in time", ticket.endpoint);
                Err(Refused::new(RefusedCode::Failed, text))
            }
        }
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
    async fn find_or_take(self: &Arc<Self>, ticket: Ticket) -> Result<Arc<Session>, Refused> {
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
                let session = Session::new(ticket, recorder, now());
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
    async fn try_recording(&self, id: SessionId) -> Result<Option<Recorder>, Refused> {
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
                tracing::error!(session = %id, %error, "Recording cannot be resumed");
                Err(Refused::new(RefusedCode::Busy, error.to_string()))
            }
            Err(panicked) => Err(Refused::new(RefusedCode::Failed, panicked.to_string())),
        }
    }

    /// Gives a session up so that another generation can have it; its ends are told where to go.
    pub fn release(self: &Arc<Self>, id: SessionId) {
        let session = self.sessions().remove(&id);
        let Some(session) = session else { return };
        let (agent, console) = session.release();
        for leg in [agent, console].into_iter().flatten() {
            // A leg that is gone comes back by itself.
            tokio::spawn(async move {
                let _ = leg.writer.message(session::Moved {}).await;
                leg.writer.close().await;
            });
        }
    }

    /// Finishes recording and row of a session, once.
    pub(super) async fn finish(self: &Arc<Self>, session: &Arc<Session>, exit: &Exit) {
        let Some(recorder) = session.take_recorder() else { return };
        rows::ended(self, session, recorder, outcome(exit)).await;
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

/// A session that the agent runs and that no console is at yet.
struct Started {
    ticket: Ticket,
    sealed: Vec<u8>,
    recorder: Recorder,
    row: rows::Row,
    agent: (Reader, Writer),
    link: u64,
}

/// An agent's link as the hub knows it.
#[derive(Clone)]
pub struct AgentLink {
    /// Opens streams to the agent.
    pub handle: LinkHandle,
    /// Number of the link in this generation.
    pub number: u64,
}

fn new_ticket(caller: &Caller, agent: AgentId, endpoint: &str, ask: &OpenSession) -> Ticket {
    let opened = now();
    Ticket {
        session: SessionId(uuid::Uuid::now_v7()),
        agent,
        console: caller.key,
        operator: caller.operator,
        operator_name: caller.operator_name.clone(),
        endpoint: endpoint.to_owned(),
        command: ask.command.clone(),
        opened,
        expires: opened.plus(TICKET_LIFE),
        columns: ask.columns,
        rows: ask.rows,
    }
}

fn outcome(exit: &Exit) -> SessionOutcome {
    match (&exit.reason, exit.signal, exit.status) {
        (Some(reason), ..) => SessionOutcome::Failed(reason.clone()),
        (None, Some(signal), _) => SessionOutcome::Signalled(signal),
        (None, None, Some(status)) => SessionOutcome::Exited(status),
        (None, None, None) => SessionOutcome::Closed,
    }
}

fn not_yours() -> Refused {
    Refused::new(RefusedCode::Forbidden, "the ticket belongs to another session or another client")
}

async fn refuse(writer: &Writer, refused: Refused) {
    let _ = writer.message(refused).await;
    writer.close().await;
}
