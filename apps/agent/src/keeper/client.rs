//! The serving process's side of its conversation with the keeper.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::{Release, SessionOutcome};
use terminal::Waiting;
use tokio::sync::{mpsc, oneshot, watch};

use super::channel::{Channel, FDS_MAX, ServeStatus, ToKeeper, ToServe};
use super::ledger::Failure;
use crate::os;
use crate::update::exec::{HandOverError, KEEPER_FD, fd_number};
use crate::update::slots::Installed;

/// How long the keeper may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// What the keeper, or whoever spoke to it, wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Check in with the site now.
    CheckIn,
    /// End: the keeper says so, or it is gone.
    Stop,
}

/// The keeper, seen from the serving process; may be cloned.
#[derive(Debug, Clone)]
pub struct KeeperHandle {
    inner: Option<Arc<Inner>>,
}

#[derive(Debug)]
struct Inner {
    channel: Channel,
    commands: tokio::sync::Mutex<mpsc::Receiver<Command>>,
    failure: watch::Receiver<Option<Failure>>,
    committed: watch::Receiver<u64>,
    answers: tokio::sync::Mutex<mpsc::Receiver<Result<(), String>>>,
    exits: Arc<Exits>,
}

/// Ends of processes that this one is not the parent of.
#[derive(Debug, Default)]
struct Exits {
    known: Mutex<HashMap<u32, Exit>>,
}

#[derive(Debug)]
enum Exit {
    Wanted(oneshot::Sender<SessionOutcome>),
    Told(SessionOutcome),
}

impl KeeperHandle {
    /// No keeper: nothing is put back, and nothing can be switched to.
    pub const fn alone() -> Self {
        Self { inner: None }
    }

    /// The keeper that started this process; [`Self::alone`] when none did. Answers once.
    ///
    /// Begins to say at once that this process lives, so it is called early.
    pub async fn connect(release: &Release) -> io::Result<Self> {
        match fd_number(KEEPER_FD)? {
            Some(number) => Self::speak(os::inherited_fd(number)?, release).await,
            None => Ok(Self::alone()),
        }
    }

    async fn speak(fd: OwnedFd, release: &Release) -> io::Result<Self> {
        // Without its keeper nobody would put a bad version back, and the next keeper starts its own.
        os::end_with_parent()?;
        let channel = Channel::new(fd)?;
        let (version, revision) = (release.version.clone(), release.revision.0);
        channel.send(&ToKeeper::Hello { version, revision }, &[]).await?;
        let (command, commands) = mpsc::channel(16);
        let (fail, failure) = watch::channel(None);
        let (commit, committed) = watch::channel(0);
        let (answer, answers) = mpsc::channel(16);
        let exits = Arc::new(Exits::default());
        let listener = Listener {
            channel: channel.clone(),
            command,
            fail,
            commit,
            answer,
            exits: exits.clone(),
        };
        tokio::spawn(listener.run());
        let (commands, answers) =
            (tokio::sync::Mutex::new(commands), tokio::sync::Mutex::new(answers));
        let inner = Inner { channel, commands, failure, committed, answers, exits };
        Ok(Self { inner: Some(Arc::new(inner)) })
    }

    /// Says that the site was reached and the self-test passed, and waits until that is on the disk.
    ///
    /// Only then may inherited sessions run: until then the keeper can give them to the version before.
    pub async fn proven(&self) {
        let Some(inner) = &self.inner else { return };
        let mut committed = inner.committed.clone();
        committed.mark_unchanged();
        if inner.channel.send(&ToKeeper::Proven, &[]).await.is_ok() {
            // An error means that the keeper is gone, which the next command says.
            let _ = committed.changed().await;
        }
    }

    /// Says that the self-test failed; a version on trial is then put back with this reason.
    pub async fn unfit(&self, reason: &str) {
        self.say(&ToKeeper::Unfit { reason: format!("its self-test failed: {reason}") }).await;
    }

    /// What the keeper wants next; waits for ever when there is none.
    pub async fn command(&self) -> Command {
        let Some(inner) = &self.inner else { return std::future::pending().await };
        inner.commands.lock().await.recv().await.unwrap_or(Command::Stop)
    }

    /// The last version that failed here and of which the site does not know yet.
    pub fn failure(&self) -> watch::Receiver<Option<Failure>> {
        match &self.inner {
            Some(inner) => inner.failure.clone(),
            None => watch::channel(None).1,
        }
    }

    /// Says that the site knows of the failure now.
    pub async fn told(&self) {
        self.say(&ToKeeper::Told).await;
    }

    /// Lets a version that failed be tried again.
    pub async fn forget(&self, sha256: &str) {
        self.say(&ToKeeper::Forget { sha256: sha256.to_owned() }).await;
    }

    /// Says what `sluis-agent status` shall show.
    pub async fn set_status(&self, status: ServeStatus) {
        self.say(&ToKeeper::Status(status)).await;
    }

    async fn say(&self, message: &ToKeeper) {
        if let Some(inner) = &self.inner {
            // When the keeper is gone, `command` says so.
            let _ = inner.channel.send(message, &[]).await;
        }
    }

    /// How the end of an inherited process will be known.
    ///
    /// After an exec its parent is still this process. After a crash the keeper is, and tells.
    pub fn waiting_for(&self, pid: u32) -> Waiting {
        match &self.inner {
            Some(inner) if !os::is_child(pid) => Waiting::Adopted(inner.exits.want(pid)),
            _ => Waiting::Child,
        }
    }

    /// Gives the keeper copies of the sessions and asks for its leave to become that version.
    pub(crate) async fn begin(
        &self,
        installed: &Installed,
        memory: &std::fs::File,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(), HandOverError> {
        let inner = self.inner.as_ref().ok_or(HandOverError::NoKeeper)?;
        let gone = |e: io::Error| HandOverError::Refused(format!("it does not listen: {e}"));
        let mut answers = inner.answers.lock().await;
        while answers.try_recv().is_ok() {}
        for part in fds.chunks(FDS_MAX) {
            inner.channel.send(&ToKeeper::Hold, part).await.map_err(gone)?;
        }
        let begin = ToKeeper::Begin {
            version: installed.release.version.clone(),
            revision: installed.release.revision.0,
            sha256: installed.sha256.clone(),
        };
        inner.channel.send(&begin, &[memory.as_fd()]).await.map_err(gone)?;
        match tokio::time::timeout(ANSWER_LIMIT, answers.recv()).await {
            Ok(Some(Ok(()))) => Ok(()),
            Ok(Some(Err(reason))) => Err(HandOverError::Refused(reason)),
            Ok(None) => Err(HandOverError::Refused("it is gone".to_owned())),
            Err(_) => {
                drop(answers);
                let text = "the keeper did not answer in time";
                self.abort(text).await;
                Err(HandOverError::Refused(text.to_owned()))
            }
        }
    }

    /// Says that the switch did not happen.
    pub(crate) async fn abort(&self, reason: &str) {
        self.say(&ToKeeper::Abort { reason: reason.to_owned() }).await;
    }

    pub(crate) fn channel(&self) -> Option<&Channel> {
        self.inner.as_ref().map(|inner| &inner.channel)
    }
}

impl Exits {
    fn want(&self, pid: u32) -> oneshot::Receiver<SessionOutcome> {
        let (tell, told) = oneshot::channel();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match known.remove(&pid) {
            // The receiver is right here, so it takes it.
            Some(Exit::Told(outcome)) => drop(tell.send(outcome)),
            Some(Exit::Wanted(_)) | None => drop(known.insert(pid, Exit::Wanted(tell))),
        }
        told
    }

    fn tell(&self, pid: u32, outcome: SessionOutcome) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match known.remove(&pid) {
            Some(Exit::Wanted(tell)) => drop(tell.send(outcome)),
            Some(Exit::Told(_)) | None => drop(known.insert(pid, Exit::Told(outcome))),
        }
    }
}

/// Hears the keeper and says that this process lives.
struct Listener {
    channel: Channel,
    command: mpsc::Sender<Command>,
    fail: watch::Sender<Option<Failure>>,
    commit: watch::Sender<u64>,
    answer: mpsc::Sender<Result<(), String>>,
    exits: Arc<Exits>,
}

impl Listener {
    async fn run(self) {
        let mut beat = tokio::time::interval(Duration::from_secs(1));
        loop {
            let heard = tokio::select! {
                heard = self.channel.receive::<ToServe>() => heard,
                _ = beat.tick() => {
                    // A full socket means that the keeper is slow, not that this process is dead.
                    let _ = self.channel.try_send(&ToKeeper::Beat);
                    continue;
                }
            };
            match heard {
                Ok(Some((ToServe::Welcome { beat_ms }, _))) => {
                    beat = tokio::time::interval(Duration::from_millis(beat_ms.max(20)));
                }
                Ok(Some((message, _))) => self.hear(message),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    tracing::warn!(%error, "The keeper said something unreadable");
                }
                Ok(None) | Err(_) => break,
            }
        }
        let _ = self.command.send(Command::Stop).await;
    }

    fn hear(&self, message: ToServe) {
        // Whoever should listen is at its end, or has the same thing waiting sixteen times.
        match message {
            ToServe::Go => drop(self.answer.try_send(Ok(()))),
            ToServe::Refuse { reason } => drop(self.answer.try_send(Err(reason))),
            ToServe::Committed => self.commit.send_modify(|count| *count += 1),
            ToServe::Failed(failure) => drop(self.fail.send(Some(failure))),
            ToServe::Exited { pid, outcome } => self.exits.tell(pid, outcome),
            ToServe::CheckIn => drop(self.command.try_send(Command::CheckIn)),
            ToServe::Stop => drop(self.command.try_send(Command::Stop)),
            ToServe::Welcome { .. } | ToServe::Unknown => {}
        }
    }
}
