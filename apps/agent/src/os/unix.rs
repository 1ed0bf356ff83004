//! System calls of Unix; all `unsafe` code of the agent is here.

use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Mutex;

use model::SessionOutcome;
use rustix::io::FdFlags;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus};

/// Descriptors of this process that were taken by number, so that none is taken twice.
static TAKEN: Mutex<Vec<i32>> = Mutex::new(Vec::new());

/// The descriptor with that number that this program was started with; closed on exec from now on.
///
/// An error when it is not open, or was taken before.
pub fn inherited_fd(number: i32) -> io::Result<OwnedFd> {
    let mut taken = TAKEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if number <= 2 || taken.contains(&number) {
        let text = format!("descriptor {number} is not free to be taken over");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    // SAFETY: borrowed only for the call below, which fails cleanly when the number is not open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    rustix::io::fcntl_setfd(borrowed, FdFlags::CLOEXEC)?;
    taken.push(number);
    // SAFETY: it is open (the call above succeeded), it was handed to this program for this purpose, and the
    // list makes sure that nothing else here owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Lets a descriptor stay open in the next program image, or not.
pub fn keep_on_exec(fd: impl AsFd, keep: bool) -> io::Result<()> {
    let flags = if keep { FdFlags::empty() } else { FdFlags::CLOEXEC };
    Ok(rustix::io::fcntl_setfd(fd, flags)?)
}

/// Replaces this program by another one; returns only when that fails, and then nothing has changed.
///
/// The standard library's `exec` changes signal dispositions before it tries, which a program that
/// goes on after a failure cannot use.
pub fn execute(
    program: &Path,
    arguments: &[OsString],
    environment: &[(OsString, OsString)],
) -> io::Result<Infallible> {
    let text = |bytes: &[u8]| CString::new(bytes).map_err(io::Error::from);
    let path = text(program.as_os_str().as_bytes())?;
    let arguments: Vec<CString> =
        arguments.iter().map(|a| text(a.as_bytes())).collect::<io::Result<_>>()?;
    let environment: Vec<CString> = environment
        .iter()
        .map(|(name, value)| text(&[name.as_bytes(), b"=", value.as_bytes()].concat()))
        .collect::<io::Result<_>>()?;
    let pointers = |list: &[CString]| -> Vec<*const libc::c_char> {
        list.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (argv, envp) = (pointers(&arguments), pointers(&environment));
    // SAFETY: three pointers to NUL-terminated strings or null-terminated arrays of such, all of which
    // live until the call returns, which it does only on failure.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    Err(io::Error::last_os_error())
}

/// A file that lives in memory only; closed on exec.
pub fn memory_file(name: &str) -> io::Result<File> {
    let fd = rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC)?;
    Ok(File::from(fd))
}

/// Makes this process the parent of what its descendants leave behind.
pub fn become_reaper() -> io::Result<()> {
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// Ends this process when its parent ends, whatever it is doing then; kept over an exec.
pub fn end_with_parent() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(())
}

/// Raises the number of descriptors that this process may have to what the system allows.
///
/// The usual 1,024 is not enough for some hundred sessions and their copies during an update.
pub fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Refused only by unusual policies; then fewer sessions fit.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Whether that process is a child of this one, ended or not.
pub fn is_child(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    rustix::process::waitid(WaitId::Pid(pid), options).is_ok()
}

/// Kills a process at once.
pub fn kill(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may have ended by itself meanwhile.
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}

/// A child that has ended, if there is one, and how.
pub fn reap_any() -> Option<(u32, SessionOutcome)> {
    let (pid, status) = rustix::process::wait(WaitOptions::NOHANG).ok()??;
    Some((pid.as_raw_pid().unsigned_abs(), outcome(status)))
}

fn outcome(status: WaitStatus) -> SessionOutcome {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => SessionOutcome::Exited(code as u8),
        (None, Some(signal)) => SessionOutcome::Signalled(signal as u8),
        (None, None) => SessionOutcome::Failed("it ended in an unknown way".to_owned()),
    }
}

/// How far a thread in a hurry goes before others, in steps of `nice`: about nine times their share.
const FIRST: i32 = 10;

/// Lets this thread, and what it executes or starts from now on, go before the machine's other work; or puts
/// it back among it, where its parent is.
///
/// An agent that may not raise itself stays where it is.
pub fn go_first(first: bool) {
    let usual = rustix::process::getpriority_process(rustix::process::getppid()).unwrap_or(0);
    let wanted = if first { usual - FIRST } else { usual };
    if let Err(error) = rustix::process::setpriority_process(None, wanted) {
        tracing::debug!(%error, first, "The priority stays as it is");
    }
}

/// What people call a signal.
pub fn name_of_signal(number: u8) -> String {
    let name = match number {
        1 => "SIGHUP",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        _ => return format!("signal {number}"),
    };
    name.to_owned()
}

/// A descriptor in the hands of the runtime.
pub fn register(fd: OwnedFd) -> io::Result<tokio::io::unix::AsyncFd<OwnedFd>> {
    // SAFETY: the owned descriptor stays inside until both are dropped together: no caller takes it out.
    unsafe { tokio::io::unix::AsyncFd::register(fd) }.map_err(Into::into)
}
