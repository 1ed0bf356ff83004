//! The serving process becomes another version of itself without its sessions noticing.
//!
//! [`hand_over`] gives the keeper copies of everything that must not be lost, asks for its leave, and
//! replaces the program image; [`receive`] is what the next image calls first.
//! `docs/design/0004-agent-self-update.md` says what holds when.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use super::carry;
use super::slots::{Installed, Slot, Slots};
use crate::keeper::KeeperHandle;
use crate::os;

/// Environment variable with the number of the keeper's socket.
pub const KEEPER_FD: &str = "SLUIS_KEEPER_FD";

/// Environment variable with the number of the memory file that carries the sessions.
pub const SESSIONS_FD: &str = "SLUIS_SESSIONS_FD";

/// The file was written by this process, and a command that it just started may hold it open for the
/// moment between its fork and its exec.
const BUSY_TRIES: u32 = 20;
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// What the image before, or the keeper after a crash, left to this one.
#[derive(Debug)]
pub struct Inherited {
    /// The bytes that were given to [`hand_over`].
    pub state: Vec<u8>,
    /// The descriptors that were given to it, in the same order.
    pub fds: Vec<OwnedFd>,
}

/// The version was not switched to; the process goes on as it was.
#[derive(Debug, thiserror::Error)]
pub enum HandOverError {
    /// There is no keeper, so nothing could put this version back.
    #[error("the agent runs without its keeper; start it with `sluis-agent run`")]
    NoKeeper,
    /// The keeper does not want this version, or does not answer.
    #[error("the keeper refuses: {0}")]
    Refused(String),
    /// The system does not run the new program, or there was no room for the state.
    #[error("cannot switch to {program}")]
    Exec {
        /// The program.
        program: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Becomes the version in `slot`, with this state and these descriptors; returns only when it fails.
///
/// Before it is called nothing may read from, write to or wait for the sessions any more, and no session
/// may start: what is in `state` and in the descriptors is all that the next image knows.
/// `fds` are copies (`terminal::Control::duplicate`), so after a failure the originals go on.
pub async fn hand_over(
    keeper: &KeeperHandle,
    data: &Path,
    slot: Slot,
    installed: &Installed,
    state: &[u8],
    fds: Vec<OwnedFd>,
) -> Result<Infallible, HandOverError> {
    let program = Slots::new(data).program(slot);
    let exec = |source| HandOverError::Exec { program: program.display().to_string(), source };
    let numbers = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let memory = carry::write(numbers, state).map_err(exec)?;
    let borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
    keeper.begin(installed, &memory, &borrowed).await?;
    let mut failed = become_program(&program, data, keeper, &memory, &borrowed);
    for _ in 0..BUSY_TRIES {
        if failed.kind() != io::ErrorKind::ExecutableFileBusy {
            break;
        }
        tokio::time::sleep(BUSY_PAUSE).await;
        failed = become_program(&program, data, keeper, &memory, &borrowed);
    }
    let error = exec(failed);
    keeper.abort(&crate::error_text(&error)).await;
    Err(error)
}

/// Executes; what was opened for the next image is closed to it again when that fails.
fn become_program(
    program: &Path,
    data: &Path,
    keeper: &KeeperHandle,
    memory: &File,
    fds: &[BorrowedFd<'_>],
) -> io::Error {
    let Some(channel) = keeper.channel() else { return io::ErrorKind::NotConnected.into() };
    let open: Vec<BorrowedFd<'_>> =
        fds.iter().copied().chain([memory.as_fd(), channel.as_fd()]).collect();
    let attempt = || -> io::Result<Infallible> {
        for fd in &open {
            os::keep_on_exec(fd, true)?;
        }
        let arguments = serve_arguments(data);
        let numbers = [
            (KEEPER_FD.into(), channel.as_fd().as_raw_fd().to_string().into()),
            (SESSIONS_FD.into(), memory.as_raw_fd().to_string().into()),
        ];
        let others =
            std::env::vars_os().filter(|(name, _)| name != KEEPER_FD && name != SESSIONS_FD);
        let environment: Vec<(OsString, OsString)> = others.chain(numbers).collect();
        os::execute(program, &arguments, &environment)
    };
    let Err(error) = attempt();
    for fd in &open {
        // A descriptor that stays open for children is no reason to stop.
        let _ = os::keep_on_exec(fd, false);
    }
    error
}

/// How the serving process is called.
pub fn serve_arguments(data: &Path) -> Vec<OsString> {
    vec!["sluis-agent".into(), "serve".into(), "--data".into(), data.into()]
}

/// What was left to this process; `None` at an ordinary start. Answers once.
pub fn receive() -> io::Result<Option<Inherited>> {
    let Some(number) = fd_number(SESSIONS_FD)? else { return Ok(None) };
    let mut memory = File::from(os::inherited_fd(number)?);
    let (numbers, state) = carry::read(&mut memory)?;
    let fds = numbers.into_iter().map(os::inherited_fd).collect::<io::Result<_>>()?;
    Ok(Some(Inherited { state, fds }))
}

/// The number in an environment variable.
pub(crate) fn fd_number(name: &str) -> io::Result<Option<i32>> {
    let Some(text) = std::env::var_os(name) else { return Ok(None) };
    let number = text.to_str().and_then(|text| text.parse().ok());
    let bad = || io::Error::new(io::ErrorKind::InvalidInput, format!("{name} is no number"));
    number.ok_or_else(bad).map(Some)
}
