//! A shell or a command, started on a pseudo-terminal or on pipes.
//!
//! A [`Process`] is a bundle of parts that tasks can share out: [`Input`] and [`Output`] are async
//! streams over the descriptors, [`ExitWatch`] tells how it ended, [`Control`] resizes and kills.
//! Nothing here buffers, so all that was read is in the caller's hands: that is what makes a hand-over
//! exact. A hand-over takes [`Control::describe`] and [`Control::duplicate`], carries both into the
//! next program image, and ends in [`Process::from_inherited`].

use std::path::PathBuf;

use model::SessionOutcome;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

#[cfg(unix)]
mod account;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub use unix::{Control, ExitWatch, Input, Output};
#[cfg(windows)]
pub use windows::{Control, ExitWatch, Input, Output};

/// What a hand-over carries for each stream: a descriptor, or on Windows a handle.
#[cfg(unix)]
pub type Handle = std::os::fd::OwnedFd;
/// What a hand-over would carry for each stream.
#[cfg(windows)]
pub type Handle = std::os::windows::io::OwnedHandle;

/// The most that one call of [`Output::read_into`] takes, whatever the caller's wish.
pub const READ_LIMIT: usize = 128 * 1024;

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Run {
    /// The login shell of the account that the agent runs as.
    Shell,
    /// One line, given to the shell with `-c` as ssh does.
    Line(String),
    /// A program and its arguments, without a shell in between; the first is the program.
    Program(Vec<String>),
}

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Characters in a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

impl Default for Size {
    fn default() -> Self {
        Self { columns: 80, rows: 24 }
    }
}

/// The terminal that a command sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terminal {
    /// What `TERM` says: 1 to 64 letters, digits, `.`, `_`, `+` and `-`.
    pub term: String,
    /// Its size at the start.
    pub size: Size,
}

/// A command to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// What to run.
    pub run: Run,
    /// On a terminal, or on three pipes when `None`.
    pub terminal: Option<Terminal>,
    /// Environment on top of the account's.
    pub env: Vec<(String, String)>,
    /// Where to run; the account's home when `None`.
    pub dir: Option<PathBuf>,
}

impl Command {
    /// The login shell on a terminal.
    pub fn shell(terminal: Terminal) -> Self {
        Self { run: Run::Shell, terminal: Some(terminal), env: Vec::new(), dir: None }
    }

    /// A line for the shell on pipes.
    pub fn line(line: impl Into<String>) -> Self {
        Self { run: Run::Line(line.into()), terminal: None, env: Vec::new(), dir: None }
    }
}

/// How a process is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// To a pseudo-terminal: one descriptor both ways.
    Terminal,
    /// To pipes: input, output and errors apart.
    Pipes,
}

/// What one inherited descriptor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// The controlling side of a pseudo-terminal.
    Terminal,
    /// The writing end of the command's input.
    Input,
    /// The reading end of its output.
    Output,
    /// The reading end of its errors.
    Errors,
}

/// What the next program image must know of a process beside its descriptors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Process id, also that of its session and process group.
    pub pid: u32,
    /// How it is attached.
    pub kind: Kind,
    /// What the descriptors are, in their order.
    /// Input is missing when it was closed.
    pub streams: Vec<Stream>,
}

/// Who learns how an inherited process ends.
#[derive(Debug)]
pub enum Waiting {
    /// We are its parent: the process id of this program stayed the same over the `execve`.
    Child,
    /// Another process is its parent now and will tell.
    /// When the sender is dropped, the outcome is `Failed` with that reason.
    Adopted(oneshot::Receiver<SessionOutcome>),
}

/// A running command, in parts that may be moved to different tasks.
///
/// Dropping it kills nothing: a process that shall end is told so by [`Control::end`].
#[derive(Debug)]
pub struct Process {
    /// What it reads.
    pub input: Input,
    /// What it writes; on a terminal all of it.
    pub output: Output,
    /// What it writes to its error output; on a terminal there is none.
    pub errors: Option<Output>,
    /// Resize, kill, hand over.
    pub control: Control,
    /// How it ends.
    pub exit: ExitWatch,
}

/// A process could not be started, resumed or told something.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The system refuses the program.
    #[error("cannot start {program} in {dir}")]
    Start {
        /// What was to run.
        program: String,
        /// Where.
        dir: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// No pseudo-terminal or pipe was to be had.
    #[error("cannot make a {what} for the command")]
    Attach {
        /// What is missing.
        what: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// `TERM` could not be passed on.
    #[error("“{0}” is no terminal type; it is 1 to 64 letters, digits, '.', '_', '+' and '-'")]
    BadTerm(String),
    /// There is nothing to run.
    #[error("the command is empty; name a program")]
    Empty,
    /// What was inherited does not fit together.
    #[error("process {pid} cannot be taken over: {reason}")]
    Inherited {
        /// The process.
        pid: u32,
        /// What does not fit.
        reason: &'static str,
    },
    /// This operating system cannot do it (yet).
    #[error("{0} is not supported on this operating system yet; run a single command instead")]
    NotSupported(&'static str),
}

fn check_term(term: &str) -> Result<(), ProcessError> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'+' | b'-');
    if (1..=64).contains(&term.len()) && term.bytes().all(fits) {
        return Ok(());
    }
    Err(ProcessError::BadTerm(term.chars().take(80).collect()))
}
