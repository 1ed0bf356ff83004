use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::session::{Opened, Refused, RefusedCode, StartSession};
use anyhow::Result;
use link::{Current, Reader, Writer};
use model::SessionId;
use terminal::{Command, Process, Run, Size, Terminal};
use tokio::sync::{RwLock, mpsc, oneshot, watch};

use super::saved::{self, Inherited, State};
use super::session::{Origin, Session};
use super::{News, legs, pumps};
use crate::os;

/// Sessions on one agent, at most.
const SESSIONS_MAX: usize = 400;

/// How long a new session waits while this agent is between two versions.
const THAW_LIMIT: Duration = Duration::from_secs(10);

/// How long the site has to answer for all inherited sessions, and how often that is looked at.
const RESUME_LIMIT: Duration = Duration::from_secs(3);
const RESUME_LOOK: Duration = Duration::from_millis(5);

/// How long remote processes get to end when the agent leaves.
const HANG_UP_GRACE: Duration = Duration::from_secs(3);

/// The sessions of this agent.
pub struct Table {
    newest: watch::Receiver<Option<Current>>,
    news: mpsc::Sender<News>,
    sessions: Mutex<HashMap<SessionId, Arc<Session>>>,
    frozen: watch::Sender<bool>,
    /// Read while a session starts, so that none is half started when all are frozen.
    starting: RwLock<()>,
}

impl Table {
    /// A table without sessions.
    pub fn new(newest: watch::Receiver<Option<Current>>, news: mpsc::Sender<News>) -> Arc<Self> {
        Arc::new(Self {
            newest,
            news,
            sessions: Mutex::default(),
            frozen: watch::channel(false).0,
            starting: RwLock::default(),
        })
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts what the site asks for and serves its first leg.
    pub async fn start(
        self: &Arc<Self>,
        start: StartSession,
        reader: Reader,
        writer: Writer,
        link: u64,
    ) {
        let Some(_starting) = self.may_start().await else {
            let text = "this Jump Client is just being updated; it is back in a moment";
            let _ = writer.message(Refused::new(RefusedCode::Busy, text)).await;
            return writer.close();
        };
        let process = match self.begin(&start) {
            Ok(process) => process,
            Err((code, reason)) => {
                tracing::warn!(session = %start.session, operator = start.operator, reason, "Session refused");
                let _ = writer.message(Refused::new(code, reason)).await;
                writer.close();
                return;
            }
        };
        tracing::info!(session = %start.session, operator = start.operator, pid = process.control.pid(),
            "Session started");
        let opened = Opened { session: start.session, ticket: Vec::new(), endpoint: String::new() };
        // A link that breaks here is resumed like any other.
        let _ = writer.message(opened).await;
        self.run(Origin::new(&start), process, Some((reader, writer, link)));
    }

    /// Waits until nothing is frozen; `None` when that takes too long.
    async fn may_start(&self) -> Option<tokio::sync::RwLockReadGuard<'_, ()>> {
        let thawed = async {
            let mut frozen = self.frozen.subscribe();
            loop {
                // The sender is this table, so waiting cannot fail.
                let _ = frozen.wait_for(|frozen| !frozen).await;
                let starting = self.starting.read().await;
                if !*frozen.borrow() {
                    return starting;
                }
            }
        };
        tokio::time::timeout(THAW_LIMIT, thawed).await.ok()
    }

    fn begin(&self, start: &StartSession) -> Result<Process, (RefusedCode, String)> {
        if self.sessions().contains_key(&start.session) {
            let text = "this session runs already; it resumes by itself";
            return Err((RefusedCode::RunsAlready, text.to_owned()));
        }
        if self.sessions().len() >= SESSIONS_MAX {
            let text = format!("{SESSIONS_MAX} sessions run on this endpoint already");
            return Err((RefusedCode::Failed, text));
        }
        let size = Size { columns: start.columns.max(1), rows: start.rows.max(1) };
        let terminal = start.terminal.then(|| Terminal { term: start.term.clone(), size });
        let run = start.command.clone().map_or(Run::Shell, Run::Line);
        let env = vec![
            ("SLUIS_SESSION".to_owned(), start.session.to_string()),
            ("SLUIS_OPERATOR".to_owned(), start.operator.clone()),
        ];
        let command = Command { run, terminal, env, dir: None };
        Process::start(&command).map_err(|error| {
            let source = std::error::Error::source(&error).map(|s| format!(": {s}"));
            (RefusedCode::Failed, format!("{error}{}", source.unwrap_or_default()))
        })
    }

    /// Takes sessions over from another program image; they stay frozen until they are thawed.
    ///
    /// Until this image has proven itself the one before may get them back, so nothing may move.
    ///
    /// # Errors
    /// When nothing of it can be read; a single session that cannot is reported and left.
    pub fn adopt(self: &Arc<Self>, inherited: Inherited) -> Result<()> {
        self.frozen.send_replace(true);
        os::go_first(true);
        for read in saved::read(&inherited.bytes, inherited.descriptors)? {
            let id = read.origin.id;
            let waiting = (inherited.waiting)(read.description.pid);
            match Process::from_inherited(&read.description, read.descriptors, waiting) {
                Ok(process) => self.run(read.origin, process, None),
                Err(error) => {
                    tracing::error!(session = %id, %error, "Session is lost in the update");
                }
            }
        }
        Ok(())
    }

    /// Waits until the site has answered for every session that there is now. One whose other end is
    /// away is not waited for longer than [`RESUME_LIMIT`] after the first link.
    pub async fn resumed(&self) {
        let sessions: Vec<_> = self.sessions().values().cloned().collect();
        if sessions.is_empty() {
            return;
        }
        let mut newest = self.newest.clone();
        if newest.wait_for(Option::is_some).await.is_err() {
            return;
        }
        let answered = async {
            while !sessions.iter().all(|session| session.is_resumed()) {
                tokio::time::sleep(RESUME_LOOK).await;
            }
        };
        // What did not resume by then goes on trying.
        let _ = tokio::time::timeout(RESUME_LIMIT, answered).await;
    }

    fn run(
        self: &Arc<Self>,
        origin: Origin,
        process: Process,
        first: Option<(Reader, Writer, u64)>,
    ) {
        #[expect(
            clippy::disallowed_methods,
            reason = "bounded in bytes where it is filled: INPUT_WAITING_MAX"
        )]
        let (to_process, queue) = mpsc::unbounded_channel();
        let (done_tx, done) = watch::channel(origin.state.inbox.received());
        let (ended_tx, ended) = oneshot::channel();
        let known_end = origin.state.ended.clone();
        let session = Session::new(origin, process.control.clone(), to_process);
        session.frozen.send_replace(*self.frozen.borrow());
        self.sessions().insert(session.id, session.clone());
        match known_end {
            Some(outcome) => drop(ended_tx.send(outcome)),
            None => drop(tokio::spawn(pumps::exit(session.clone(), process.exit, ended_tx))),
        }
        tokio::spawn(pumps::input(session.clone(), process.input, queue, done_tx));
        tokio::spawn(pumps::output(session.clone(), process.output, process.errors, ended));
        let (table, newest) = (self.clone(), self.newest.clone());
        tokio::spawn(async move {
            table.tell_count().await;
            legs::keep(session.clone(), done, newest, first).await;
            table.sessions().remove(&session.id);
            tracing::info!(session = %session.id, "Session is over");
            table.tell_count().await;
        });
    }

    async fn tell_count(&self) {
        let count = self.sessions().len();
        let _ = self.news.send(News::Sessions(count)).await;
    }

    /// Lets nothing move any more and answers what the sessions are.
    ///
    /// # Errors
    /// When they cannot be saved; nothing is frozen then.
    pub async fn freeze(&self) -> Result<State> {
        self.frozen.send_replace(true);
        drop(self.starting.write().await);
        // Until everything moves again somebody waits for every session. Not before: what was just being
        // started would keep the priority for good.
        os::go_first(true);
        let sessions: Vec<_> = self.sessions().values().cloned().collect();
        for session in &sessions {
            session.frozen.send_replace(true);
        }
        for session in &sessions {
            // Each pump leaves its gate when it sees the frost, and stays out.
            drop(session.gate_out.lock().await);
            drop(session.gate_in.lock().await);
            drop(session.gate_exit.lock().await);
        }
        let alive: Vec<_> = sessions.into_iter().filter(|session| !session.is_over()).collect();
        let saved = saved::save(&alive);
        if saved.is_err() {
            self.thaw();
        }
        saved
    }

    /// Lets everything move again.
    pub fn thaw(&self) {
        os::go_first(false);
        self.frozen.send_replace(false);
        for session in self.sessions().values() {
            session.frozen.send_replace(false);
        }
    }

    /// Ends every session.
    pub async fn stop(&self) {
        let sessions: Vec<_> = self.sessions().values().cloned().collect();
        let ends = sessions.iter().map(|session| session.control.end(HANG_UP_GRACE));
        futures_util::future::join_all(ends).await;
    }
}
