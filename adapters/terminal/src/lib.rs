//! Commands on a pseudo-terminal or on pipes, and the recorder that writes asciicast files.
//!
//! The agent uses [`process`]: it starts a shell or a command, reads and writes it from async code, and
//! can give its descriptors to another program image without the command noticing.
//! The site uses [`recorder`]: it writes what passes to disk before it is acknowledged, in one file
//! that any asciicast player reads and one small file, the [`chain`], that says how far the first
//! one is whole and that nobody changed it.

pub mod chain;
pub mod process;
pub mod recorder;

pub use process::{
    Command, Control, Description, ExitWatch, Handle, Input, Kind, Output, Process, ProcessError,
    Run, Size, Stream, Terminal, Waiting,
};
pub use recorder::{Event, Header, Recorder, RecorderError, Resumed, Verified, sync_all, verify};
