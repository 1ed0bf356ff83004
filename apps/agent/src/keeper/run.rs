//! The program around the keeper's machine: processes, sockets, the clock.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use model::{Release, Revision, SessionOutcome, Timestamp};
use tokio::signal::unix::{SignalKind, signal};

use super::channel::{Channel, ServeStatus, ToKeeper, ToServe};
use super::control::{self, Ask, Status};
use super::ledger::Ledger;
use super::machine::{Effect, Event, Keeper, Now, Process};
use crate::config::{Config, KeeperConfig};
use crate::os;
use crate::update::carry;
use crate::update::exec::{KEEPER_FD, SESSIONS_FD, serve_arguments};
use crate::update::slots::{Installed, Slot, Slots};

/// How long the serving process may take to end when it is told to.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// How long the end of a session is remembered for a serving process that was not there to hear it.
///
/// Longer than a version may be on trial, and short enough that no process id comes round again.
const EXIT_KEPT: Duration = Duration::from_mins(5);

/// Keeps the agent of that data folder running until a signal ends it.
pub async fn run(data: &Path) -> Result<()> {
    let config = Config::load(data)?;
    let _lock = lock(data)?;
    os::raise_descriptor_limit();
    os::become_reaper().context("cannot become the parent of orphaned sessions")?;
    let mut shell = Shell::new(data, config.keeper)?;
    let (question, mut questions) = tokio::sync::mpsc::channel(4);
    tokio::spawn(control::take_questions(control::listen(data)?, question));
    let mut children = signal(SignalKind::child())?;
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tracing::info!(release = %shell.keeper.installed().release, "Agent is starting");
    loop {
        let deadline = shell.deadline();
        tokio::select! {
            heard = receive(shell.child.as_ref()) => shell.heard(heard).await,
            _ = children.recv() => shell.reap().await,
            Some(asked) = questions.recv() => {
                let answer = shell.answer(&asked.ask).await;
                tokio::spawn(asked.answer(answer));
            }
            () = tokio::time::sleep_until(deadline) => shell.on(Event::Tick).await,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    shell.stop(&mut children).await;
    control::close(data);
    tracing::info!("Agent has stopped");
    Ok(())
}

/// Makes sure that one keeper at a time owns the folder.
fn lock(data: &Path) -> Result<File> {
    let path = data.join("lock");
    let file =
        os::create(&path, 0o600).with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            bail!("an agent runs in {} already; stop it first", data.display())
        }
        Err(std::fs::TryLockError::Error(e)) => {
            Err(e).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

/// Whether a keeper runs in that folder.
pub(crate) fn is_running(data: &Path) -> bool {
    let Ok(file) = File::open(data.join("lock")) else { return false };
    matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock))
}

type Heard = io::Result<Option<(ToKeeper, Vec<OwnedFd>)>>;

async fn receive(child: Option<&Child>) -> Heard {
    match child {
        Some(child) if child.speaks => child.channel.receive().await,
        _ => std::future::pending().await,
    }
}

struct Shell {
    data: PathBuf,
    slots: Slots,
    limits: KeeperConfig,
    keeper: Keeper,
    child: Option<Child>,
    held: Held,
    /// Ends of sessions whose parent became this process.
    exits: HashMap<u32, (SessionOutcome, Instant)>,
    status: ServeStatus,
    began: Instant,
}

struct Child {
    pid: u32,
    channel: Channel,
    /// False once it closed its end.
    speaks: bool,
    started: Instant,
}

/// Copies of sessions, for the case that the version on trial fails.
#[derive(Default)]
struct Held {
    fds: Vec<OwnedFd>,
    memory: Option<File>,
}

impl Shell {
    fn new(data: &Path, limits: KeeperConfig) -> Result<Self> {
        let began = Instant::now();
        let ledger = Ledger::load(data)
            .with_context(|| format!("cannot read the state in {}", data.display()))?;
        let keeper = Keeper::recover(ledger, now(began));
        keeper.ledger.save(data).with_context(|| format!("cannot write to {}", data.display()))?;
        Ok(Self {
            data: data.to_owned(),
            slots: Slots::new(data),
            limits,
            keeper,
            child: None,
            held: Held::default(),
            exits: HashMap::new(),
            status: ServeStatus::default(),
            began,
        })
    }

    fn deadline(&self) -> tokio::time::Instant {
        // Without a deadline, a look at the clock once an hour does no harm.
        let due = self.keeper.deadline(&self.limits).map(|due| self.began + due);
        due.unwrap_or_else(|| Instant::now() + Duration::from_hours(1)).into()
    }

    /// Lets the machine decide, saves, and performs the effects, which may be events again.
    async fn on(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let transition = self.keeper.on(event, now(self.began), &self.limits);
            let changed = transition.next.ledger != self.keeper.ledger;
            if changed && let Err(error) = transition.next.ledger.save(&self.data) {
                tracing::error!(%error, "Cannot save the state");
                if transition.effects.contains(&Effect::Answer(Ok(()))) {
                    // A trial that is not on the disk could not be taken back.
                    let reason = format!("the keeper cannot save its state: {error}");
                    self.perform(Effect::Answer(Err(reason))).await;
                    continue;
                }
            }
            if changed {
                note(&self.keeper.ledger, &transition.next.ledger);
            }
            self.keeper = transition.next;
            for effect in transition.effects {
                events.extend(self.perform(effect).await);
            }
        }
    }

    async fn perform(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Answer(Ok(())) => {
                // The same process begins anew as another program.
                if let Some(child) = &mut self.child {
                    child.started = Instant::now();
                }
                self.say(&ToServe::Go).await;
            }
            Effect::Answer(Err(reason)) => {
                self.held = Held::default();
                self.say(&ToServe::Refuse { reason }).await;
            }
            Effect::Start(slot) => match self.start(slot) {
                Ok(child) => self.child = Some(child),
                Err(error) => return Some(Event::Ended(format!("it cannot be started: {error}"))),
            },
            Effect::Kill => {
                if let Some(child) = &self.child {
                    os::kill(child.pid);
                }
            }
            Effect::DropSessions => self.held = Held::default(),
            Effect::Committed => {
                self.say(&ToServe::Committed).await;
                self.tell_failure().await;
            }
        }
        None
    }

    fn start(&self, slot: Slot) -> io::Result<Child> {
        self.slots.check(slot, self.keeper.installed())?;
        let (channel, theirs) = Channel::pair()?;
        let sessions = self.held.prepare()?;
        let mut command = Command::new(self.slots.program(slot));
        let arguments = serve_arguments(&self.data);
        command.arg0(&arguments[0]).args(&arguments[1..]).stdin(Stdio::null());
        command.env(KEEPER_FD, theirs.as_raw_fd().to_string()).env_remove(SESSIONS_FD);
        if let Some(memory) = &sessions {
            command.env(SESSIONS_FD, memory.as_raw_fd().to_string());
        }
        // This program has one thread, so nothing else can be started while these are open to a child.
        os::keep_on_exec(&theirs, true)?;
        self.held.keep_on_exec(sessions.as_ref(), true)?;
        let spawned = command.spawn();
        self.held.keep_on_exec(sessions.as_ref(), false)?;
        let pid = spawned?.id();
        tracing::info!(pid, release = %self.keeper.installed().release, "Started the agent's serving process");
        Ok(Child { pid, channel, speaks: true, started: Instant::now() })
    }

    async fn heard(&mut self, heard: Heard) {
        let (message, fds) = match heard {
            Ok(Some(heard)) => heard,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return tracing::warn!(%error, "The serving process said something unreadable");
            }
            Ok(None) | Err(_) => {
                if let Some(child) = &mut self.child {
                    child.speaks = false;
                }
                return;
            }
        };
        match message {
            ToKeeper::Hello { version, revision } => {
                let release = Release { version, revision: Revision(revision) };
                self.welcome(&release).await;
            }
            ToKeeper::Beat => self.on(Event::Heard).await,
            ToKeeper::Proven => self.on(Event::Proven).await,
            ToKeeper::Unfit { reason } => self.on(Event::Unfit(reason)).await,
            ToKeeper::Hold => self.held.fds.extend(fds),
            ToKeeper::Begin { version, revision, sha256 } => {
                let release = Release { version, revision: Revision(revision) };
                self.begin(Installed { release, sha256 }, fds).await;
            }
            ToKeeper::Abort { reason } => self.on(Event::Abort(reason)).await,
            ToKeeper::Forget { sha256 } => self.on(Event::Forget(sha256)).await,
            ToKeeper::Told => self.on(Event::Told).await,
            ToKeeper::Status(status) => self.status = status,
            ToKeeper::Unknown => {}
        }
    }

    async fn welcome(&mut self, release: &Release) {
        tracing::info!(%release, "The serving process is up");
        self.on(Event::Heard).await;
        let beat_ms = self.limits.beat().as_millis() as u64;
        self.say(&ToServe::Welcome { beat_ms }).await;
        self.exits.retain(|_, (_, ended)| ended.elapsed() < EXIT_KEPT);
        for (pid, (outcome, _)) in self.exits.clone() {
            self.say(&ToServe::Exited { pid, outcome }).await;
        }
        self.tell_failure().await;
    }

    async fn tell_failure(&self) {
        if let Some(failure) = self.keeper.ledger.untold.clone() {
            self.say(&ToServe::Failed(failure)).await;
        }
    }

    async fn begin(&mut self, installed: Installed, fds: Vec<OwnedFd>) {
        let problem = match fds.into_iter().next().map(File::from) {
            None => Some("the state of its sessions did not come along".to_owned()),
            Some(mut memory) => {
                let carried = carry::read(&mut memory).map(|(numbers, _)| numbers.len());
                self.held.memory = Some(memory);
                match carried {
                    Ok(count) if count == self.held.fds.len() => None,
                    Ok(_) => Some("not all descriptors of its sessions came along".to_owned()),
                    Err(error) => Some(format!("the state of its sessions is unreadable: {error}")),
                }
            }
        };
        let other = self.keeper.ledger.current.other();
        let problem =
            problem.or_else(|| self.slots.check(other, &installed).err().map(|e| e.to_string()));
        match problem {
            None => self.on(Event::Begin(installed)).await,
            Some(reason) => drop(self.perform(Effect::Answer(Err(reason))).await),
        }
    }

    /// Takes note of every child that ended.
    async fn reap(&mut self) {
        while let Some((pid, outcome)) = os::reap_any() {
            match self.child.take_if(|child| child.pid == pid) {
                Some(child) => {
                    let how = describe(&outcome, child.started.elapsed());
                    tracing::warn!(%how, "The serving process is gone");
                    self.status = ServeStatus::default();
                    self.on(Event::Ended(how)).await;
                }
                None => self.note_exit(pid, outcome).await,
            }
        }
    }

    async fn note_exit(&mut self, pid: u32, outcome: SessionOutcome) {
        self.exits.retain(|_, (_, ended)| ended.elapsed() < EXIT_KEPT);
        self.exits.insert(pid, (outcome.clone(), Instant::now()));
        self.say(&ToServe::Exited { pid, outcome }).await;
    }

    async fn say(&self, message: &ToServe) {
        let Some(child) = self.child.as_ref().filter(|child| child.speaks) else { return };
        // A process that does not read is hanging, and must not make the keeper hang.
        let sent = tokio::time::timeout(Duration::from_secs(1), child.channel.send(message, &[]));
        if !matches!(sent.await, Ok(Ok(()))) {
            tracing::warn!("The serving process does not listen");
        }
    }

    async fn answer(&mut self, ask: &Ask) -> control::Answer {
        match ask {
            Ask::Status => control::Answer::Status(Box::new(self.report())),
            Ask::CheckIn if self.child.is_some() => {
                self.say(&ToServe::CheckIn).await;
                control::Answer::Done
            }
            Ask::CheckIn => {
                control::Answer::Failed("the serving process is just being restarted".to_owned())
            }
            Ask::Retry => {
                let bad: Vec<String> =
                    self.keeper.ledger.bad.iter().map(|bad| bad.sha256.clone()).collect();
                for sha256 in bad {
                    self.on(Event::Forget(sha256)).await;
                }
                control::Answer::Done
            }
            Ask::Unknown => control::Answer::Failed("this version does not know that".to_owned()),
        }
    }

    fn report(&self) -> Status {
        let ledger = &self.keeper.ledger;
        let (phase, proven) = match &self.keeper.process {
            Process::Down { .. } => ("waiting for its restart", false),
            Process::Ending { .. } => ("being ended", false),
            Process::Up { proven, .. } if ledger.trial.is_some() => ("on trial", *proven),
            Process::Up { proven, .. } => ("running", *proven),
        };
        Status {
            release: self.keeper.installed().release.clone(),
            slot: self.keeper.slot(),
            phase: phase.to_owned(),
            proven,
            pid: self.child.as_ref().map(|child| child.pid),
            serve: self.status.clone(),
            bad: ledger.bad.clone(),
        }
    }

    /// Ends the serving process, kindly first.
    async fn stop(&mut self, children: &mut tokio::signal::unix::Signal) {
        self.say(&ToServe::Stop).await;
        if tokio::time::timeout(STOP_LIMIT, self.until_gone(children)).await.is_ok() {
            return;
        }
        if let Some(child) = &self.child {
            tracing::warn!("The serving process does not end, killing it");
            os::kill(child.pid);
        }
        self.until_gone(children).await;
    }

    /// Goes on answering the serving process until it has ended.
    async fn until_gone(&mut self, children: &mut tokio::signal::unix::Signal) {
        loop {
            while let Some((pid, _)) = os::reap_any() {
                self.child.take_if(|child| child.pid == pid);
            }
            if self.child.is_none() {
                return;
            }
            tokio::select! {
                heard = receive(self.child.as_ref()) => self.heard(heard).await,
                _ = children.recv() => {}
            }
        }
    }
}

impl Held {
    /// The memory file for a new process: with the numbers that the copies have in this one.
    fn prepare(&self) -> io::Result<Option<File>> {
        let Some(memory) = &self.memory else { return Ok(None) };
        let (_, state) = carry::read(&mut memory.try_clone()?)?;
        let numbers = self.fds.iter().map(AsRawFd::as_raw_fd).collect();
        carry::write(numbers, &state).map(Some)
    }

    fn keep_on_exec(&self, memory: Option<&File>, keep: bool) -> io::Result<()> {
        let Some(memory) = memory else { return Ok(()) };
        for fd in self.fds.iter().map(AsFd::as_fd).chain([memory.as_fd()]) {
            os::keep_on_exec(fd, keep)?;
        }
        Ok(())
    }
}

fn now(began: Instant) -> Now {
    let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Now { up: began.elapsed(), at: Timestamp(at.as_millis() as u64) }
}

fn describe(outcome: &SessionOutcome, after: Duration) -> String {
    let after = format!("{:.1} s after its start", after.as_secs_f64());
    match outcome {
        SessionOutcome::Exited(status) => format!("it ended with exit status {status}, {after}"),
        SessionOutcome::Signalled(number) => {
            format!("it ended by {}, {after}", os::name_of_signal(*number))
        }
        SessionOutcome::Closed | SessionOutcome::Failed(_) => format!("it ended, {after}"),
    }
}

/// Writes what changed into the log.
fn note(before: &Ledger, after: &Ledger) {
    if let Some(trial) = &after.trial
        && before.trial.is_none()
    {
        tracing::info!(release = %trial.installed.release, "A new version is on trial");
    }
    if before.installed != after.installed {
        tracing::info!(release = %after.installed.release, "Version is the current one now");
    }
    let failure = after.untold.as_ref().or(after.suspect.as_ref());
    let known = before.untold.as_ref().or(before.suspect.as_ref());
    if let Some(failure) = failure.filter(|failure| Some(*failure) != known) {
        let (release, reason) = (&failure.release, &failure.reason);
        tracing::error!(%release, %reason, pinned = failure.pinned, "Version was put back");
    }
}
