//! Processes that the base did not necessarily start itself: it waits for them by pidfd and finds them in `/proc`.
//!
//! A generation outlives the base that started it, so nothing here relies on being its parent, and nothing about it is
//! kept in memory or on disk that the process itself does not tell.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, pidfd_open, pidfd_send_signal,
    waitid,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It exited with this status.
    Exited(i32),
    /// This signal ended it.
    Signalled(i32),
    /// It ended, and somebody else heard how.
    Unknown,
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "it exited with status {status}"),
            Self::Signalled(signal) => write!(f, "signal {signal} ended it"),
            Self::Unknown => f.write_str("it ended"),
        }
    }
}

/// A running process.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    fd: AsyncFd<OwnedFd>,
}

impl Process {
    /// Takes hold of a process by its pid.
    ///
    /// A child that was not waited for cannot lose its pid to another; for others, hold it soon after finding it.
    pub fn open(pid: u32) -> io::Result<Self> {
        let fd = Self::open_fd(pid)?;
        let pid = pid_of(pid)?;
        // SAFETY: an `OwnedFd` is always the same open descriptor and closes it only when dropped, after deregistration.
        let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?;
        Ok(Self { pid, fd })
    }

    fn open_fd(pid: u32) -> io::Result<OwnedFd> {
        Ok(pidfd_open(pid_of(pid)?, PidfdFlags::empty())?)
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Waits until it has ended. May be called again.
    pub async fn ended(&self) -> Ended {
        // An error here means that there is nothing to wait for.
        let _ = self.fd.readable().await.map(|mut ready| ready.retain_ready());
        self.reap().unwrap_or(Ended::Unknown)
    }

    /// Whether it has ended already.
    pub fn has_ended(&self) -> bool {
        let mut polls = [rustix::event::PollFd::new(&self.fd, rustix::event::PollFlags::IN)];
        let zero = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut polls, Some(&zero)).is_ok_and(|ready| ready > 0)
    }

    /// Memory that it takes, in bytes, what is swapped out included; `None` when it has ended.
    pub fn memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
        };
        Some((of("VmRSS:")? + of("VmSwap:").unwrap_or(0)) * 1024)
    }

    fn reap(&self) -> Option<Ended> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let status: WaitIdStatus = waitid(WaitId::Pid(self.pid), options).ok()??;
        if let Some(code) = status.exit_status() {
            return Some(Ended::Exited(code));
        }
        status.terminating_signal().map(Ended::Signalled)
    }

    /// Asks it to end.
    pub fn terminate(&self) {
        // One that has ended already needs no signal.
        let _ = pidfd_send_signal(&self.fd, Signal::TERM);
    }

    /// Ends it.
    pub fn kill(&self) {
        let _ = pidfd_send_signal(&self.fd, Signal::KILL);
    }
}

fn pid_of(pid: u32) -> io::Result<Pid> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

/// A generation found running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its pid.
    pub pid: u32,
    /// Its number.
    pub generation: u64,
    /// The slot it runs from.
    pub package: PathBuf,
}

/// Finds the generations that run for a data directory, whoever started them, by their environment.
///
/// Only processes whose parent is one of `parents` count: what a generation starts itself has its environment too.
pub fn running_generations(run: &Path, parents: &[u32]) -> io::Result<Vec<Found>> {
    let mut found = vec![];
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // A process may end while it is looked at.
        if let Some(generation) = generation_of(pid, run, parents) {
            found.push(generation);
        }
    }
    found.sort_by_key(|generation| generation.generation);
    Ok(found)
}

/// The value of a variable in the environment that a process was started with.
fn variable(pid: u32, name: &str) -> Option<String> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    environment
        .split(|byte| *byte == 0)
        .filter_map(|entry| std::str::from_utf8(entry).ok()?.split_once('='))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value.to_owned())
}

/// A copy of the sockets that another process was given, by name.
///
/// Only root, or who may trace that process, gets them.
pub fn sockets_of(pid: u32) -> io::Result<Vec<(String, OwnedFd)>> {
    let process = Process::open_fd(pid)?;
    let names = variable(pid, "LISTEN_FDNAMES").unwrap_or_default();
    let names = names.split(':').filter(|name| !name.is_empty());
    names
        .zip(3..)
        .map(|(name, number)| {
            let flags = rustix::process::PidfdGetfdFlags::empty();
            let fd = rustix::process::pidfd_getfd(&process, number, flags)?;
            Ok((name.to_owned(), fd))
        })
        .collect()
}

/// Finds bases that run for a data directory although their keeper is gone.
pub fn stray_bases(data: &Path) -> io::Result<Vec<u32>> {
    let own = std::process::id();
    let mut found = vec![];
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let args: Vec<&[u8]> = command.split(|byte| *byte == 0).collect();
        let serves = args.get(1) == Some(&&b"serve"[..]) && args.get(2) == Some(&&b"--data"[..]);
        let here = args.get(3) == Some(&data.as_os_str().as_encoded_bytes());
        if pid != own && serves && here {
            found.push(pid);
        }
    }
    Ok(found)
}

fn generation_of(pid: u32, run: &Path, parents: &[u32]) -> Option<Found> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; after it come state and parent.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let (state, parent) = (fields.next()?, fields.next()?.parse::<u32>().ok()?);
    if state == "Z" || !parents.contains(&parent) {
        return None;
    }
    let value = |name: &str| variable(pid, name);
    if Path::new(&value("SLUIS_RUN")?) != run {
        return None;
    }
    let generation = value("SLUIS_GENERATION")?.parse().ok()?;
    let package = PathBuf::from(value("SLUIS_PACKAGE")?);
    let program = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let starting =
        program.file_name().is_some_and(|name| name.to_string_lossy().starts_with("sluis-base"));
    if !program.starts_with(&package) && !starting {
        return None;
    }
    Some(Found { pid, generation, package })
}

/// Makes this process the parent of whatever its children leave behind.
pub fn adopt_orphans() -> io::Result<()> {
    Ok(rustix::process::set_child_subreaper(Pid::from_raw(1))?)
}
