//! Starting a process with its sockets where systemd's convention puts them.
//!
//! The convention wants `LISTEN_PID` to be the pid of the process itself, which only that process knows.
//! So the base starts itself as `sluis-base launch PROGRAM ARGS…`; that receives the sockets over its standard input,
//! puts them on descriptors 3 and up, sets `LISTEN_PID` and becomes the program.
//! Nothing is inherited by accident: every descriptor of the base is close-on-exec, and the sockets travel as a message.

use std::ffi::OsString;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::{ManuallyDrop, MaybeUninit};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::io::FdFlags;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// The subcommand that becomes another program.
pub const LAUNCH: &str = "launch";
/// The first descriptor of systemd's convention.
const FIRST: i32 = 3;
/// More sockets than any process here is given.
const SOCKETS_MAX: usize = 16;

/// What to start.
pub struct Launch<'a> {
    /// The program whose `launch` subcommand is used: the base itself.
    pub launcher: &'a Path,
    /// The program to become.
    pub program: &'a Path,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Its environment, added to that of the base.
    pub env: Vec<(&'static str, OsString)>,
    /// The sockets it inherits, by name.
    pub sockets: Vec<(&'a str, BorrowedFd<'a>)>,
}

/// Starts a process; answers its pid. It outlives this process.
pub fn launch_process(launch: Launch<'_>) -> io::Result<u32> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut command = Command::new(launch.launcher);
    command.arg(LAUNCH).arg(launch.program).args(&launch.args);
    for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "SLUIS_KEEPER_HELD"]
    {
        command.env_remove(name);
    }
    command.envs(launch.env.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::from(OwnedFd::from(theirs)));
    // The caller waits by pidfd, not by this handle.
    let child = command.spawn()?;
    let names: Vec<&str> = launch.sockets.iter().map(|(name, _)| *name).collect();
    let fds: Vec<BorrowedFd<'_>> = launch.sockets.iter().map(|(_, fd)| *fd).collect();
    send(&ours, &names.join(":"), &fds)?;
    Ok(child.id())
}

fn send(socket: &UnixStream, names: &str, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::other("too many sockets for one process"));
    }
    // The colon at the front makes the message longer than nothing.
    let text = format!(":{names}");
    sendmsg(socket, &[IoSlice::new(text.as_bytes())], &mut control, SendFlags::empty())?;
    Ok(())
}

/// The `launch` subcommand: takes the sockets from standard input and becomes the program. Returns only on failure.
///
/// Call it first thing in `main`, before a thread or a runtime is started.
pub fn launch_main(program: &Path, args: &[OsString]) -> io::Error {
    match sockets_in_place() {
        Ok(names) => {
            let mut command = Command::new(program);
            command.args(args).env("LISTEN_PID", std::process::id().to_string());
            command.env("LISTEN_FDS", names.len().to_string());
            command.env("LISTEN_FDNAMES", names.join(":"));
            command.stdin(Stdio::null()).exec()
        }
        Err(error) => error,
    }
}

fn sockets_in_place() -> io::Result<Vec<String>> {
    let mut text = [0; 1024];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut text)];
    let got = recvmsg(io::stdin().as_fd(), &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut received = vec![];
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            received.extend(fds);
        }
    }
    if got.bytes == 0 {
        return Err(io::Error::other("whoever started this is gone"));
    }
    let names = String::from_utf8_lossy(&text[1..got.bytes]).into_owned();
    let names: Vec<String> = names.split(':').filter(|n| !n.is_empty()).map(Into::into).collect();
    if names.len() != received.len() {
        return Err(io::Error::other("as many names as sockets were expected"));
    }
    place(received)?;
    Ok(names)
}

/// Puts these descriptors on 3, 4, …, to be inherited.
fn place(received: Vec<OwnedFd>) -> io::Result<()> {
    let beyond = FIRST + i32::try_from(received.len()).unwrap_or(i32::MAX);
    // First out of the way of each other, then each to its place.
    let aside: Vec<OwnedFd> = received
        .iter()
        .map(|fd| rustix::io::fcntl_dupfd_cloexec(fd, beyond))
        .collect::<Result<_, _>>()?;
    for fd in received {
        // Closing one that happens to lie at a place in question would be undone below; all are dropped before.
        drop(fd);
    }
    for (fd, number) in aside.iter().zip(FIRST..) {
        // SAFETY: this is a single-threaded process that is about to become another program; nothing else in it
        // owns the descriptors from 3 on, and `ManuallyDrop` keeps this handle from closing what it names.
        let mut target = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(number) });
        rustix::io::dup2(fd, &mut target)?;
    }
    Ok(())
}

/// Takes the sockets that this process was started with, by name. Call it once, first thing in `main`.
///
/// They are made close-on-exec, so that no child inherits them by accident.
pub fn inherited_sockets() -> io::Result<Vec<(String, OwnedFd)>> {
    let own = std::process::id().to_string();
    if std::env::var("LISTEN_PID").is_ok_and(|pid| pid != own) {
        return Ok(vec![]);
    }
    let count = std::env::var("LISTEN_FDS").ok().and_then(|count| count.parse::<i32>().ok());
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut sockets = vec![];
    for number in FIRST..FIRST + count.unwrap_or(0).clamp(0, SOCKETS_MAX as i32) {
        // SAFETY: by the convention these descriptors were opened for this process and belong to nobody else in it;
        // this runs once, before anything else opens descriptors.
        let fd = unsafe { OwnedFd::from_raw_fd(number) };
        rustix::io::fcntl_setfd(&fd, FdFlags::CLOEXEC)?;
        sockets.push((names.next().unwrap_or("unknown").to_owned(), fd));
    }
    Ok(sockets)
}

/// Lets a descriptor live through the next `execve` of this process, or no longer.
pub fn keep_over_exec(fd: BorrowedFd<'_>, keep: bool) -> io::Result<()> {
    let flags = if keep { FdFlags::empty() } else { FdFlags::CLOEXEC };
    Ok(rustix::io::fcntl_setfd(fd, flags)?)
}
