use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use model::SessionOutcome;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions};
use rustix::termios::Winsize;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::signal::unix::{SignalKind, signal};

use super::account::Account;
use super::{
    Command, Description, Kind, Process, ProcessError, READ_LIMIT, Run, Size, Stream, Terminal,
    Waiting, check_term,
};

/// Bytes that a command may write ahead of its reader; a larger pipe means fewer wake-ups in bulk.
const PIPE_SIZE: usize = 256 * 1024;

type Shared = Arc<AsyncFd<OwnedFd>>;

impl Process {
    /// Starts a command in a session of its own.
    ///
    /// Needs a tokio runtime with I/O enabled around it.
    pub fn start(command: &Command) -> Result<Self, ProcessError> {
        let account = Account::current();
        let mut child = prepare(command, &account)?;
        let dir = command.dir.clone().unwrap_or_else(|| {
            if account.home.is_dir() { account.home.clone() } else { "/".into() }
        });
        child.current_dir(&dir);
        match &command.terminal {
            Some(terminal) => on_terminal(child, terminal, &dir),
            None => on_pipes(child, &dir),
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
                Stream::Terminal => {
                    ends.input = Some(fd.clone());
                    ends.output = Some(fd);
                }
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
            Waiting::Child => How::Child(
                signal(SignalKind::child())
                    .map_err(|source| ProcessError::Attach { what: "child watch", source })?,
            ),
            Waiting::Adopted(told) => How::Adopted(told),
        };
        Ok(Process {
            input: Input { state: state.clone() },
            output: Output { fd: output },
            errors: self.errors.map(|fd| Output { fd }),
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

// ---------------------------------------------------------------------------------------- start

fn prepare(command: &Command, account: &Account) -> Result<std::process::Command, ProcessError> {
    let mut child;
    match &command.run {
        Run::Shell => {
            child = std::process::Command::new(&account.shell);
            // A leading dash is how a shell knows that it is the login shell.
            let name = account.shell.file_name().unwrap_or(account.shell.as_os_str());
            let mut dashed = std::ffi::OsString::from("-");
            dashed.push(name);
            child.arg0(dashed);
        }
        Run::Line(line) => {
            child = std::process::Command::new(&account.shell);
            child.arg("-c").arg(line);
        }
        Run::Program(words) => {
            let (program, arguments) = words.split_first().ok_or(ProcessError::Empty)?;
            child = std::process::Command::new(program);
            child.args(arguments);
        }
    }
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let ours = ["SLUIS_", "LISTEN_", "NOTIFY_", "WATCHDOG_"];
        if ours.iter().any(|prefix| text.starts_with(prefix)) {
            child.env_remove(&name);
        }
    }
    child
        .env("HOME", &account.home)
        .env("SHELL", &account.shell)
        .env("USER", &account.name)
        .env("LOGNAME", &account.name);
    if std::env::var_os("PATH").is_none() {
        child.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    }
    match &command.terminal {
        Some(terminal) => child.env("TERM", &terminal.term),
        None => child.env_remove("TERM"),
    };
    child.envs(command.env.iter().map(|(name, value)| (name, value)));
    Ok(child)
}

fn on_terminal(
    mut child: std::process::Command,
    terminal: &Terminal,
    dir: &Path,
) -> Result<Process, ProcessError> {
    check_term(&terminal.term)?;
    let attach =
        |source: Errno| ProcessError::Attach { what: "pseudo-terminal", source: source.into() };
    let (ours, theirs) = open_terminal(terminal.size).map_err(attach)?;
    let again = || theirs.try_clone().map(Stdio::from).map_err(|e| attach_pipe("descriptor", e));
    child.stdin(again()?).stdout(again()?).stderr(again()?);
    let ours = shared(ours, "pseudo-terminal")?;
    let pid = spawn(child, Attached::Terminal, dir)?;
    Ends { input: Some(ours.clone()), output: Some(ours), errors: None }.assemble(
        pid,
        Kind::Terminal,
        Waiting::Child,
    )
}

fn on_pipes(mut child: std::process::Command, dir: &Path) -> Result<Process, ProcessError> {
    let (their_input, our_input) = pipe()?;
    let (our_output, their_output) = pipe()?;
    let (our_errors, their_errors) = pipe()?;
    child.stdin(their_input).stdout(their_output).stderr(their_errors);
    let ends = Ends {
        input: Some(shared(our_input, "pipe")?),
        output: Some(shared(our_output, "pipe")?),
        errors: Some(shared(our_errors, "pipe")?),
    };
    let pid = spawn(child, Attached::Pipes, dir)?;
    ends.assemble(pid, Kind::Pipes, Waiting::Child)
}

#[derive(Clone, Copy)]
enum Attached {
    Terminal,
    Pipes,
}

fn spawn(
    mut child: std::process::Command,
    attached: Attached,
    dir: &Path,
) -> Result<Pid, ProcessError> {
    // SIGCHLD has its handler before the first child can end.
    let _watched = signal(SignalKind::child()).map_err(|e| attach_pipe("child watch", e))?;
    let enter = move || {
        rustix::process::setsid()?;
        if matches!(attached, Attached::Terminal) {
            rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes two system calls and touches no memory that
    // another thread of this program may hold: no allocation, no lock.
    unsafe {
        child.pre_exec(enter);
    }
    let started = child.spawn().map_err(|source| ProcessError::Start {
        program: child.get_program().to_string_lossy().into_owned(),
        dir: dir.display().to_string(),
        source,
    })?;
    // Dropping the std handle neither kills nor reaps.
    Ok(Pid::from_child(&started))
}

/// Our side and the command's side of a new pseudo-terminal of that size.
fn open_terminal(size: Size) -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    use rustix::pty::{OpenptFlags, grantpt, openpt, unlockpt};
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    #[cfg(target_os = "linux")]
    let flags = flags | OpenptFlags::CLOEXEC;
    let ours = openpt(flags)?;
    rustix::io::fcntl_setfd(&ours, rustix::io::FdFlags::CLOEXEC)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    #[cfg(target_os = "linux")]
    let theirs = rustix::pty::ioctl_tiocgptpeer(&ours, flags)?;
    #[cfg(not(target_os = "linux"))]
    let theirs = rustix::fs::open(
        rustix::pty::ptsname(&ours, Vec::new())?,
        OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )?;
    let mut modes = rustix::termios::tcgetattr(&theirs)?;
    #[cfg(target_os = "linux")]
    modes.input_modes.insert(rustix::termios::InputModes::IUTF8);
    rustix::termios::tcsetattr(&theirs, rustix::termios::OptionalActions::Now, &modes)?;
    rustix::termios::tcsetwinsize(&ours, winsize(size))?;
    Ok((ours, theirs))
}

fn winsize(size: Size) -> Winsize {
    Winsize { ws_col: size.columns.max(1), ws_row: size.rows.max(1), ws_xpixel: 0, ws_ypixel: 0 }
}

fn pipe() -> Result<(OwnedFd, OwnedFd), ProcessError> {
    let made = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
    let (read, write) = made.map_err(|e| attach_pipe("pipe", e.into()))?;
    // Only a matter of speed; an account over its limit keeps the system's default.
    #[cfg(target_os = "linux")]
    let _ = rustix::pipe::fcntl_setpipe_size(&write, PIPE_SIZE);
    Ok((read, write))
}

/// A descriptor of ours, ready for the runtime and closed in whatever we start.
fn shared(fd: OwnedFd, what: &'static str) -> Result<Shared, ProcessError> {
    let prepared = || -> io::Result<AsyncFd<OwnedFd>> {
        rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)?;
        let flags = rustix::fs::fcntl_getfl(&fd)?;
        rustix::fs::fcntl_setfl(&fd, flags | OFlags::NONBLOCK)?;
        // SAFETY: the owned descriptor stays in the `AsyncFd` until both are dropped together: nothing
        // here takes it out, replaces it or closes it.
        unsafe { AsyncFd::register(fd) }.map_err(Into::into)
    };
    prepared().map(Arc::new).map_err(|e| attach_pipe(what, e))
}

fn attach_pipe(what: &'static str, source: io::Error) -> ProcessError {
    ProcessError::Attach { what, source }
}

// -------------------------------------------------------------------------------------- streams

/// What a process writes.
///
/// Ends with zero bytes read when the last process that holds the other end has closed it.
#[derive(Debug)]
pub struct Output {
    fd: Shared,
}

impl Output {
    /// Appends what is there, waiting for the first byte, and says how much it was; 0 is the end.
    ///
    /// Takes all that the kernel has, up to `limit`, in as many calls as that needs: a terminal gives
    /// out 4 KiB at a time. Cancelling it between two polls loses nothing.
    pub async fn read_into(&mut self, buffer: &mut BytesMut, limit: usize) -> io::Result<usize> {
        loop {
            let mut guard = self.fd.readable().await?;
            match guard.try_io(|fd| drain(fd.get_ref(), buffer, limit)) {
                Ok(result) => return result,
                Err(_would_block) => {}
            }
        }
    }
}

impl Output {
    /// Appends what is there now without waiting, and says how much it was; 0 when there is nothing.
    ///
    /// For the end of a session on a terminal: jobs that a shell left behind hold the terminal open, so its
    /// output ends when the shell has ended and nothing is left to read, not at an end of file.
    pub fn read_now(&mut self, buffer: &mut BytesMut, limit: usize) -> io::Result<usize> {
        match drain(self.fd.get_ref(), buffer, limit) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(0),
            other => other,
        }
    }
}

/// Reads until the kernel has no more; `WouldBlock` only when there was nothing at all.
fn drain(fd: &OwnedFd, buffer: &mut BytesMut, limit: usize) -> io::Result<usize> {
    SCRATCH.with_borrow_mut(|scratch| {
        let room = limit.clamp(1, scratch.len());
        let n = fill(fd, &mut scratch[..room])?;
        buffer.extend_from_slice(&scratch[..n]);
        Ok(n)
    })
}

fn fill(fd: &OwnedFd, room: &mut [u8]) -> io::Result<usize> {
    let mut end = 0;
    while end < room.len() {
        match read(fd, &mut room[end..]) {
            Ok(0) => break,
            Ok(count) => end += count,
            Err(_) if end > 0 => break,
            Err(e) => return Err(e),
        }
    }
    Ok(end)
}

thread_local! {
    /// Where reads land first: what is kept of a keystroke's echo is as long as the echo.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_LIMIT].into_boxed_slice());
}

/// One read; a terminal whose other side is closed says `EIO`, which is its end.
fn read(fd: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match rustix::io::read(fd, &mut *buffer) {
            Ok(count) => return Ok(count),
            Err(Errno::INTR) => {}
            Err(Errno::IO) => return Ok(0),
            Err(e) => return Err(e.into()),
        }
    }
}

impl AsyncRead for Output {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.fd.poll_read_ready(context))?;
            match guard.try_io(|fd| read(fd.get_ref(), buffer.initialize_unfilled())) {
                Ok(result) => return Poll::Ready(result.map(|count| buffer.advance(count))),
                Err(_would_block) => {}
            }
        }
    }
}

/// What a process reads.
#[derive(Debug)]
pub struct Input {
    state: Arc<State>,
}

impl Input {
    /// Ends the input: a command on pipes reads an end of file once it has read the rest.
    ///
    /// A terminal stays open, because its input and output are one; there a person types Ctrl-D.
    pub fn close(&mut self) {
        if self.state.kind == Kind::Pipes {
            *self.state.input() = None;
        }
    }
}

impl AsyncWrite for Input {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(fd) = self.state.input().clone() else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        loop {
            let mut guard = ready!(fd.poll_write_ready(context))?;
            match guard.try_io(|fd| write(fd.get_ref(), bytes)) {
                Ok(result) => return Poll::Ready(result),
                Err(_would_block) => {}
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.close();
        Poll::Ready(Ok(()))
    }
}

fn write(fd: &OwnedFd, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match rustix::io::write(fd, bytes) {
            Err(Errno::INTR) => {}
            Err(Errno::IO) => return Err(io::ErrorKind::BrokenPipe.into()),
            other => return Ok(other?),
        }
    }
}

// -------------------------------------------------------------------------------------- control

/// Resizes, ends and hands over a process; may be cloned.
#[derive(Debug, Clone)]
pub struct Control {
    state: Arc<State>,
}

impl Control {
    /// The process id, also that of its session.
    pub fn pid(&self) -> u32 {
        self.state.pid.as_raw_pid().unsigned_abs()
    }

    /// Tells the terminal its new size; does nothing on pipes.
    pub fn resize(&self, size: Size) -> io::Result<()> {
        if self.state.kind == Kind::Terminal {
            rustix::termios::tcsetwinsize(self.state.output.get_ref(), winsize(size))?;
        }
        Ok(())
    }

    /// Whether the process is known to have ended.
    pub fn ended(&self) -> bool {
        self.state.ended.load(Ordering::Acquire)
    }

    /// Hangs up, as when a terminal's line is cut: shells pass it on to their jobs.
    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
        self.signal(Signal::CONT);
    }

    /// Kills every process of the session at once.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
        for member in session_members(self.state.pid) {
            let _ = rustix::process::kill_process(member, Signal::KILL);
        }
    }

    /// Hangs up, and kills what is still there after `grace`.
    ///
    /// Returns early when the process ends; someone must be in [`ExitWatch::wait`] meanwhile.
    pub async fn end(&self, grace: Duration) {
        self.hang_up();
        let step = Duration::from_millis(20);
        let mut waited = Duration::ZERO;
        while waited < grace && !self.ended() {
            tokio::time::sleep(step).await;
            waited += step;
        }
        self.kill();
    }

    /// Sends the signal with that number, if the system has one of that name.
    pub fn send_signal(&self, number: u8) {
        if let Some(signal) = Signal::from_named_raw(i32::from(number)) {
            self.signal(signal);
        }
    }

    fn signal(&self, signal: Signal) {
        if self.ended() {
            return;
        }
        if self.state.kind == Kind::Terminal
            && let Ok(foreground) = rustix::termios::tcgetpgrp(self.state.output.get_ref())
        {
            let _ = rustix::process::kill_process_group(foreground, signal);
        }
        let _ = rustix::process::kill_process_group(self.state.pid, signal);
    }

    /// What the next program image must know, beside the descriptors of [`Self::duplicate`].
    pub fn describe(&self) -> Description {
        let streams = self.streams().into_iter().map(|(stream, _)| stream).collect();
        Description { pid: self.pid(), kind: self.state.kind, streams }
    }

    /// Copies of the descriptors in the order of [`Self::describe`], closed on exec.
    ///
    /// Copies, so that this process goes on unchanged when the hand-over does not happen.
    pub fn duplicate(&self) -> io::Result<Vec<OwnedFd>> {
        self.streams().iter().map(|(_, fd)| fd.get_ref().as_fd().try_clone_to_owned()).collect()
    }

    fn streams(&self) -> Vec<(Stream, Shared)> {
        if self.state.kind == Kind::Terminal {
            return vec![(Stream::Terminal, self.state.output.clone())];
        }
        let mut streams = Vec::with_capacity(3);
        streams.extend(self.state.input().clone().map(|fd| (Stream::Input, fd)));
        streams.push((Stream::Output, self.state.output.clone()));
        streams.extend(self.state.errors.clone().map(|fd| (Stream::Errors, fd)));
        streams
    }
}

/// Processes of that session, whatever their process group: jobs that a shell put in the background.
fn session_members(session: Pid) -> Vec<Pid> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let member = |entry: std::fs::DirEntry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        // After the name, which may hold anything: state, parent, group, session.
        let of = stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(3)?;
        (of.parse() == Ok(session.as_raw_pid())).then(|| Pid::from_raw(pid as i32))?
    };
    entries.filter_map(|entry| member(entry.ok()?)).collect()
}

// ----------------------------------------------------------------------------------------- exit

/// Tells how a process ended.
#[derive(Debug)]
pub struct ExitWatch {
    state: Arc<State>,
    how: How,
    outcome: Option<SessionOutcome>,
}

#[derive(Debug)]
enum How {
    Child(tokio::signal::unix::Signal),
    Adopted(tokio::sync::oneshot::Receiver<SessionOutcome>),
}

impl ExitWatch {
    /// Waits for the end and says how it was; may be called again and then answers at once.
    ///
    /// Cancelling it loses nothing. Works for children of before an `execve` too.
    pub async fn wait(&mut self) -> SessionOutcome {
        if let Some(outcome) = &self.outcome {
            return outcome.clone();
        }
        let outcome = match &mut self.how {
            How::Child(signals) => reap(self.state.pid, signals).await,
            How::Adopted(told) => told.await.unwrap_or_else(|_| unseen()),
        };
        self.state.ended.store(true, Ordering::Release);
        self.outcome = Some(outcome.clone());
        outcome
    }
}

async fn reap(pid: Pid, signals: &mut tokio::signal::unix::Signal) -> SessionOutcome {
    loop {
        match rustix::process::waitpid(Some(pid), WaitOptions::NOHANG) {
            Ok(Some((_, status))) => return outcome(status),
            Ok(None) => {}
            Err(Errno::INTR) => continue,
            Err(_) => return unseen(),
        }
        if signals.recv().await.is_none() {
            return unseen();
        }
    }
}

fn outcome(status: rustix::process::WaitStatus) -> SessionOutcome {
    if let Some(code) = status.exit_status() {
        return SessionOutcome::Exited(code as u8);
    }
    match status.terminating_signal() {
        Some(signal) => SessionOutcome::Signalled(signal as u8),
        None => unseen(),
    }
}

fn unseen() -> SessionOutcome {
    SessionOutcome::Failed("the command ended while nobody could see how".to_owned())
}
