//! Starts a command in a session of its own, on a new pseudo-terminal or on pipes.

use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;

use rustix::io::Errno;
use rustix::process::Pid;
use rustix::termios::Winsize;
use tokio::signal::unix::{SignalKind, signal};

use super::{Ends, attach_pipe, both_ways, shared};
use crate::process::account::Account;
use crate::process::{
    Command, Kind, Process, ProcessError, Run, Size, Terminal, Waiting, check_term,
};

/// Bytes that a command may write ahead of its reader; a larger pipe means fewer wake-ups in bulk.
const PIPE_SIZE: usize = 256 * 1024;

pub(super) fn prepare(
    command: &Command,
    account: &Account,
) -> Result<std::process::Command, ProcessError> {
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

pub(super) fn on_terminal(
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
    let (input, output) = both_ways(shared(ours, "pseudo-terminal")?)?;
    let pid = spawn(child, Attached::Terminal, dir)?;
    Ends { input, output, errors: None }.assemble(pid, Kind::Terminal, Waiting::Child)
}

pub(super) fn on_pipes(
    mut child: std::process::Command,
    dir: &Path,
) -> Result<Process, ProcessError> {
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
        rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )?;
    let mut modes = rustix::termios::tcgetattr(&theirs)?;
    #[cfg(target_os = "linux")]
    modes.input_modes.insert(rustix::termios::InputModes::IUTF8);
    rustix::termios::tcsetattr(&theirs, rustix::termios::OptionalActions::Now, &modes)?;
    rustix::termios::tcsetwinsize(&ours, winsize(size))?;
    Ok((ours, theirs))
}

pub(super) fn winsize(size: Size) -> Winsize {
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
