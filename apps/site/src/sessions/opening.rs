//! How a session is opened: once, however often its console has to ask.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use link::{LinkError, Reader, Writer};
use model::{AgentId, SessionId, SessionOutcome, Timestamp};
use session::{
    ChosenId, Message, OpenSession, Opened, Refused, RefusedCode, Resume, StartSession, Ticket,
};
use terminal::{Header, Recorder, Size};
use tokio::time::Instant;

use super::broker::{AgentLink, Broker, Caller, not_yours};
use super::legs::{run_agent_leg, run_console_leg};
use super::rows;
use super::session::{Leg, Session};
use crate::clock::now;

/// How long a ticket resumes: longer than any session should be away, shorter than for ever.
const TICKET_LIFE: Duration = Duration::from_hours(7 * 24);

/// How long the agent may take to start what a session needs.
const START_LIMIT: Duration = Duration::from_secs(15);

/// How long a session waits for an agent that is on its way from an older generation.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(10);

/// The same while this generation is on trial: when agents do not find the way to it, it is taken back,
/// and the session is opened where they are.
const TRIAL_LIMIT: Duration = Duration::from_secs(90);

/// How often it looks meanwhile whether this generation still serves.
const ROUND: Duration = Duration::from_millis(250);

/// How long a session waits for an agent that is not known to be anywhere: it may just be dialling.
const BLINK: Duration = Duration::from_millis(300);

/// How often and how soon opening is tried again while the agent's link comes back.
const TRIES_MAX: u32 = 3;
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// How long a console may take to ask again for a session whose opening it did not hear of.
const ASK_AGAIN_LIMIT: Duration = Duration::from_mins(2);

/// An agent that is there.
struct Target {
    agent: AgentId,
    name: String,
    link: AgentLink,
}

/// The agent's first leg; none when it runs the session already, as an answer of it was lost. Then it
/// resumes by itself.
type Started = Option<(Reader, Leg)>;

/// What is opened, and for whom.
struct Opening<'a> {
    caller: &'a Caller,
    ask: &'a OpenSession,
    ticket: Ticket,
    sealed: Vec<u8>,
}

impl Broker {
    /// Opens a session for a console and relays it; answers on the console's stream.
    pub async fn open(
        self: &Arc<Self>,
        caller: Caller,
        ask: OpenSession,
        reader: Reader,
        writer: Writer,
    ) {
        if let Err(refused) = self.try_open(&caller, &ask, reader, &writer).await {
            // A console that is gone needs no reason.
            let _ = writer.message(refused).await;
            writer.close();
        }
    }

    async fn try_open(
        self: &Arc<Self>,
        caller: &Caller,
        ask: &OpenSession,
        reader: Reader,
        writer: &Writer,
    ) -> Result<(), Refused> {
        if let Some(console) = &caller.console {
            console.usable(now()).map_err(|e| Refused::new(RefusedCode::SignIn, e.to_string()))?;
        }
        let target = match self.reach(&ask.target).await {
            Ok(target) => target,
            Err(refused) => {
                self.close_what_was_begun(caller, ask, &refused).await;
                return Err(refused);
            }
        };
        let ticket = new_ticket(caller, &target, ask);
        let sealed = ticket.seal(&self.ticket_key);
        let opening = Opening { caller, ask, ticket, sealed };
        match self.new_recording(&opening).await? {
            Some(recorder) => self.open_first(opening, target, recorder, reader, writer).await,
            None => self.open_again(opening, target, reader, writer).await,
        }
    }

    /// Another generation may have begun the recording of a session that is refused now for good.
    async fn close_what_was_begun(
        self: &Arc<Self>,
        caller: &Caller,
        ask: &OpenSession,
        refused: &Refused,
    ) {
        let Some(ChosenId(id)) = ask.session.filter(|_| !is_asked_again(ask, refused)) else {
            return;
        };
        let Ok(Some(row)) = self.store.sessions().by_id(id).await else { return };
        if row.console != caller.console.as_ref().map(|console| console.id) {
            return;
        }
        if let Ok(Some(recorder)) = self.try_recording(id).await {
            rows::refused(self, id, recorder.into(), SessionOutcome::Failed(refused.text.clone()))
                .await;
        }
    }

    async fn open_first(
        self: &Arc<Self>,
        opening: Opening<'_>,
        target: Target,
        recorder: Recorder,
        reader: Reader,
        writer: &Writer,
    ) -> Result<(), Refused> {
        let row = rows::opened(self, &opening.ticket, opening.caller);
        let started = match self.start(&opening, target).await {
            Ok(started) => started,
            // Its console asks for it again where this generation's sessions go.
            Err(refused) if is_asked_again(opening.ask, &refused) => return Err(refused),
            Err(refused) => {
                let failed = SessionOutcome::Failed(refused.text.clone());
                rows::never_started(self, &opening.ticket, row, recorder.into(), &failed).await;
                return Err(refused);
            }
        };
        let session = Session::new(opening.ticket.clone(), recorder, self.scribe.clone(), now());
        self.sessions().insert(session.ticket.session, session.clone());
        attach_started(&session, &started);
        self.give_to_console(&opening, &session, None, reader, writer).await;
        // Only now: the first output goes to the console, and behind the answer.
        self.run_started(&session, started);
        rows::live(self, &session, row, opening.caller);
        tracing::info!(session = %session.ticket.session, operator = session.ticket.operator_name,
            endpoint = session.ticket.endpoint, "Session opened");
        Ok(())
    }

    /// Goes on with opening a session whose console asked for it before and heard no answer: the
    /// link broke, or the generation that it had asked died.
    async fn open_again(
        self: &Arc<Self>,
        mut opening: Opening<'_>,
        target: Target,
        reader: Reader,
        writer: &Writer,
    ) -> Result<(), Refused> {
        if let Some(opened) = self.opened_before(&opening).await? {
            opening.ticket.opened = opened;
            opening.sealed = opening.ticket.seal(&self.ticket_key);
        }
        let session = self.find_or_take(opening.ticket.clone()).await?;
        if session.ticket.console != opening.caller.key {
            return Err(not_yours());
        }
        if session.legs().0.is_none() {
            self.start_again(&opening, &session, target).await?;
        }
        let nothing_yet = Resume {
            session: session.ticket.session,
            ticket: Vec::new(),
            received: 0,
            base: 0,
            head: 0,
            away_ms: None,
        };
        self.give_to_console(&opening, &session, Some(&nothing_yet), reader, writer).await;
        session.settle_ends().await;
        tracing::info!(session = %session.ticket.session, operator = session.ticket.operator_name,
            endpoint = session.ticket.endpoint, "Session opened, asked for again");
        Ok(())
    }

    /// When the session was opened the first time; writes it down when the generation that did died
    /// too soon.
    ///
    /// # Errors
    /// When it belongs to another console.
    async fn opened_before(
        self: &Arc<Self>,
        opening: &Opening<'_>,
    ) -> Result<Option<Timestamp>, Refused> {
        let id = opening.ticket.session;
        let failed = |text: String| Refused::new(RefusedCode::Failed, text);
        let row = || async {
            self.store.sessions().by_id(id).await.map_err(|error| failed(error.to_string()))
        };
        let mut found = row().await?;
        if found.is_none() {
            let written = rows::opened(self, &opening.ticket, opening.caller).await;
            let Err(error) = written.map_err(|e| failed(e.to_string()))? else { return Ok(None) };
            // The first opening wrote it in this very moment.
            found = row().await?;
            if found.is_none() {
                return Err(failed(error.to_string()));
            }
        }
        let console = opening.caller.console.as_ref().map(|console| console.id);
        // The same session, not another one that would stand in its recording.
        let same = |row: &store::Session| {
            let asked = opening.ticket.command.as_ref();
            let asked =
                asked.map(|text| text.chars().take(store::COMMAND_MOST).collect::<String>());
            row.console == console && row.agent == opening.ticket.agent && row.command == asked
        };
        Ok(Some(found.filter(same).ok_or_else(not_yours)?.started))
    }

    /// Has the agent start a session unless it runs it already, and then it comes by itself.
    async fn start_again(
        self: &Arc<Self>,
        opening: &Opening<'_>,
        session: &Arc<Session>,
        target: Target,
    ) -> Result<(), Refused> {
        match self.start(opening, target).await {
            Ok(started) => {
                attach_started(session, &started);
                self.run_started(session, started);
            }
            Err(refused) if is_asked_again(opening.ask, &refused) => {
                self.release(session.ticket.session).await;
                return Err(refused);
            }
            Err(refused) => {
                self.give_up(session, refused.text.clone()).await;
                return Err(refused);
            }
        }
        Ok(())
    }

    fn run_started(self: &Arc<Self>, session: &Arc<Session>, started: Started) {
        let Some((reader, leg)) = started else { return };
        tokio::spawn(run_agent_leg(self.clone(), session.clone(), leg, reader));
    }

    async fn give_to_console(
        self: &Arc<Self>,
        opening: &Opening<'_>,
        session: &Arc<Session>,
        resume: Option<&Resume>,
        reader: Reader,
        writer: &Writer,
    ) {
        let leg = Leg::new(writer.clone(), opening.caller.link);
        session.attach_console(leg.clone(), resume);
        let endpoint = session.ticket.endpoint.clone();
        let (id, ticket) = (session.ticket.session, opening.sealed.clone());
        let told = writer.message(Opened { session: id, ticket, endpoint }).await;
        tokio::spawn(run_console_leg(self.clone(), session.clone(), leg, reader));
        if told.is_err() {
            self.wait_for_console(opening.ask, session);
        }
    }

    /// A console that was gone when its session was opened can only come back by asking again.
    fn wait_for_console(self: &Arc<Self>, ask: &OpenSession, session: &Arc<Session>) {
        let limit = if ask.session.is_some() { ASK_AGAIN_LIMIT } else { Duration::ZERO };
        let (broker, session) = (self.clone(), session.clone());
        tokio::spawn(async move {
            tokio::time::sleep(limit).await;
            if session.legs().1.is_none() {
                let reason = "the console was gone before the session opened";
                broker.give_up(&session, reason.to_owned()).await;
            }
        });
    }

    /// The agent's link, waiting a while for one that is on its way.
    async fn reach(&self, target: &str) -> Result<Target, Refused> {
        if let Some(found) = self.hub.find(target) {
            return Ok(found.into());
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
        if let Some(found) = self.wait_for(&agent).await? {
            return Ok(found);
        }
        let seen = agent.last_seen.map_or_else(|| "never".to_owned(), |at| at.to_string());
        let text = format!("“{}” is offline; it was last seen {seen}", agent.name);
        Err(Refused::new(RefusedCode::Offline, text))
    }

    /// Waits for an agent that may come.
    ///
    /// # Errors
    /// When this generation has to leave meanwhile: then the console asks where the agent is.
    async fn wait_for(&self, agent: &store::Agent) -> Result<Option<Target>, Refused> {
        let began = Instant::now();
        loop {
            let moving = agent.generation.is_some();
            let patience = if moving { ROUND } else { BLINK };
            if let Some(found) = self.hub.wait_for(agent.id, patience).await {
                return Ok(Some(found.into()));
            }
            self.may_open()?;
            let committed = self.committed.load(Ordering::Acquire);
            let limit = if committed { ARRIVAL_LIMIT } else { TRIAL_LIMIT };
            if !moving || began.elapsed() >= limit {
                return Ok(None);
            }
        }
    }

    /// The recording of a new session; none when there is one already.
    async fn new_recording(&self, opening: &Opening<'_>) -> Result<Option<Recorder>, Refused> {
        let (ticket, ask) = (&opening.ticket, opening.ask);
        let header = Header {
            size: Size { columns: ask.columns.max(1), rows: ask.rows.max(1) },
            begun: ticket.opened,
            command: ask.command.clone(),
            title: Some(format!("{} on {}", ticket.operator_name, ticket.endpoint)),
            env: [("TERM".to_owned(), ask.term.clone())].into(),
            pipes: !on_terminal(ask),
        };
        self.beginnings.begin(ticket.session, header).await
    }

    /// Starts a session on its agent; one that is being updated or moved has its link back in a moment.
    ///
    /// # Errors
    /// Why not; `Moved` when this generation has to leave meanwhile.
    async fn start(&self, opening: &Opening<'_>, mut target: Target) -> Result<Started, Refused> {
        let (began, mut tries) = (Instant::now(), 1);
        loop {
            let refused = match self.start_on_agent(&target.link, opening).await {
                Ok(started) => return Ok(started),
                Err(refused) => refused,
            };
            let committed = self.committed.load(Ordering::Acquire);
            let again = if committed { tries < TRIES_MAX } else { began.elapsed() < TRIAL_LIMIT };
            if refused.reason() != RefusedCode::Busy || !again {
                return Err(refused);
            }
            self.may_open()?;
            tries += 1;
            tokio::time::sleep(TRY_AGAIN_AFTER).await;
            target = self.reach(&opening.ask.target).await?;
        }
    }

    /// # Errors
    /// When this generation drains: then the console asks where the agents are.
    fn may_open(&self) -> Result<(), Refused> {
        if self.closed.load(Ordering::Acquire) {
            let text = "this generation of the site takes no new sessions";
            return Err(Refused::new(RefusedCode::Moved, text));
        }
        Ok(())
    }

    async fn start_on_agent(
        &self,
        link: &AgentLink,
        opening: &Opening<'_>,
    ) -> Result<Started, Refused> {
        let (ticket, ask) = (&opening.ticket, opening.ask);
        let offline = |error: LinkError| {
            let text = match error {
                LinkError::Full => format!("“{}”: {error}", ticket.endpoint),
                _ => format!("“{}” lost its link just now; try again", ticket.endpoint),
            };
            Refused::new(RefusedCode::Busy, text)
        };
        let (mut reader, writer) = link.handle.open().map_err(offline)?.split();
        let start = StartSession {
            session: ticket.session,
            ticket: opening.sealed.clone(),
            command: ask.command.clone(),
            columns: ask.columns,
            rows: ask.rows,
            term: ask.term.clone(),
            terminal: on_terminal(ask),
            operator: ticket.operator_name.clone(),
        };
        writer.message(start).await.map_err(offline)?;
        match tokio::time::timeout(START_LIMIT, reader.message()).await {
            Ok(Ok(Message::Opened(_))) => Ok(Some((reader, Leg::new(writer, link.number)))),
            Ok(Ok(Message::Refused(refused))) => match refused.reason() {
                RefusedCode::RunsAlready => Ok(None),
                _ => Err(refused),
            },
            Ok(Ok(_)) => Err(Refused::new(RefusedCode::Failed, "the agent gave no proper answer")),
            Ok(Err(error)) => Err(offline(error)),
            Err(_) => {
                let text = format!("“{}” did not start the session in time", ticket.endpoint);
                Err(Refused::new(RefusedCode::Failed, text))
            }
        }
    }
}

impl From<(AgentId, String, AgentLink)> for Target {
    fn from((agent, name, link): (AgentId, String, AgentLink)) -> Self {
        Self { agent, name, link }
    }
}

fn attach_started(session: &Session, started: &Started) {
    if let Some((_, leg)) = started {
        session.attach_agent(leg.clone(), None, now());
    }
}

/// A shell always has one, a command when it is asked for.
const fn on_terminal(ask: &OpenSession) -> bool {
    ask.terminal || ask.command.is_none()
}

/// Whether the console will ask another generation for the same session.
fn is_asked_again(ask: &OpenSession, refused: &Refused) -> bool {
    ask.session.is_some() && refused.reason() == RefusedCode::Moved
}

fn new_ticket(caller: &Caller, target: &Target, ask: &OpenSession) -> Ticket {
    let opened = now();
    let chosen = ask.session.map(|ChosenId(id)| id);
    Ticket {
        session: chosen.unwrap_or_else(|| SessionId(uuid::Uuid::now_v7())),
        agent: target.agent,
        console: caller.key,
        operator: caller.operator,
        operator_name: caller.operator_name.clone(),
        endpoint: target.name.clone(),
        command: ask.command.clone(),
        opened,
        expires: opened.plus(TICKET_LIFE),
        columns: ask.columns,
        rows: ask.rows,
    }
}
