//! Processes on Unix: how one starts, its streams, its control and its end.

mod control;
mod exit;
mod start;
mod streams;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::OFlags;
use rustix::process::Pid;
use tokio::signal::unix::{SignalKind, signal};

pub use self::control::Control;
pub use self::exit::ExitWatch;
pub use self::streams::{Input, Output};
use super::account::Account;
use super::{Command, Description, Kind, Process, ProcessError, Stream, Waiting};

/// A descriptor that several parts use; closed with the last of them.
type Shared = Arc<OwnedFd>;

impl Process {
    /// Starts a command in a session of its own.
    ///
    /// Needs a tokio runtime with I/O enabled around it.
    pub fn start(command: &Command) -> Result<Self, ProcessError> {
        let account = Account::current();
        let mut child = start::prepare(command, &account)?;
        let dir = command.dir.clone().unwrap_or_else(|| {
            if account.home.is_dir() { account.home.clone() } else { "/".into() }
        });
        child.current_dir(&dir);
        match &command.terminal {
            Some(terminal) => start::on_terminal(child, terminal, &dir),
            None => start::on_pipes(child, &dir),
        }
    }

    /// The process that `description` tells of, with its descriptors in the same order.
    ///
    /// The descriptors are those that [`Control::duplicate`] gave before an `execve`, or copies of
    /// them that another process kept.
    pub fn from_inherited(
        description: &Description,
        fds: Vec<OwnedFd>,
        waiting: Waiting,
    ) -> Result<Self, ProcessError> {
        let pid = description.pid;
        let wrong = |reason| ProcessError::Inherited { pid, reason };
        if fds.len() != description.streams.len() {
            return Err(wrong("the number of descriptors differs"));
        }
        let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let raw = raw.ok_or_else(|| wrong("its number is no process id"))?;
        let mut ends = Ends::default();
        for (stream, fd) in description.streams.iter().zip(fds) {
            let fd = shared(fd, "descriptor")?;
            match stream {
                Stream::Terminal => (ends.input, ends.output) = both_ways(fd)?,
                Stream::Input => ends.input = Some(fd),
                Stream::Output => ends.output = Some(fd),
                Stream::Errors => ends.errors = Some(fd),
            }
        }
        ends.assemble(raw, description.kind, waiting)
    }
}

#[derive(Default)]
struct Ends {
    input: Option<Shared>,
    output: Option<Shared>,
    errors: Option<Shared>,
}

impl Ends {
    fn assemble(self, pid: Pid, kind: Kind, waiting: Waiting) -> Result<Process, ProcessError> {
        let missing = ProcessError::Inherited {
            pid: pid.as_raw_pid().unsigned_abs(),
            reason: "its output is missing",
        };
        let output = self.output.ok_or(missing)?;
        let state = Arc::new(State {
            pid,
            kind,
            input: Mutex::new(self.input),
            output: output.clone(),
            errors: self.errors.clone(),
            ended: AtomicBool::new(false),
        });
        let how = match waiting {
            Waiting::Child => exit::How::Child(
                signal(SignalKind::child())
                    .map_err(|source| ProcessError::Attach { what: "child watch", source })?,
            ),
            Waiting::Adopted(told) => exit::How::Adopted(told),
        };
        Ok(Process {
            input: Input::of(state.clone()),
            output: Output::of(output),
            errors: self.errors.map(Output::of),
            control: Control { state: state.clone() },
            exit: ExitWatch { state, how, outcome: None },
        })
    }
}

struct State {
    pid: Pid,
    kind: Kind,
    input: Mutex<Option<Shared>>,
    output: Shared,
    errors: Option<Shared>,
    ended: AtomicBool,
}

impl State {
    fn input(&self) -> MutexGuard<'_, Option<Shared>> {
        self.input.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} on {:?}", self.pid.as_raw_pid(), self.kind)
    }
}

/// A descriptor of ours that never blocks, closed in whatever we start.
fn shared(fd: OwnedFd, what: &'static str) -> Result<Shared, ProcessError> {
    let prepare = || -> io::Result<()> {
        rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)?;
        let flags = rustix::fs::fcntl_getfl(&fd)?;
        Ok(rustix::fs::fcntl_setfl(&fd, flags | OFlags::NONBLOCK)?)
    };
    prepare().map_err(|e| attach_pipe(what, e))?;
    Ok(Arc::new(fd))
}

/// A terminal's one descriptor as two, for each is watched on its own.
fn both_ways(fd: Shared) -> Result<(Option<Shared>, Option<Shared>), ProcessError> {
    let input = fd.try_clone().map_err(|e| attach_pipe("pseudo-terminal", e))?;
    Ok((Some(Arc::new(input)), Some(fd)))
}

fn attach_pipe(what: &'static str, source: io::Error) -> ProcessError {
    ProcessError::Attach { what, source }
}
