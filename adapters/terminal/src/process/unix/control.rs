//! Resizes, signals and hands over a process.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::process::{Pid, Signal};

use super::start::winsize;
use super::{Shared, State};
use crate::process::{Description, Kind, Size, Stream};

/// Resizes, ends and hands over a process; may be cloned.
#[derive(Debug, Clone)]
pub struct Control {
    pub(super) state: Arc<State>,
}

impl Control {
    /// The process id, also that of its session.
    pub fn pid(&self) -> u32 {
        self.state.pid.as_raw_pid().unsigned_abs()
    }

    /// Tells the terminal its new size; does nothing on pipes.
    pub fn resize(&self, size: Size) -> io::Result<()> {
        if self.state.kind == Kind::Terminal {
            rustix::termios::tcsetwinsize(&self.state.output, winsize(size))?;
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
            && let Ok(foreground) = rustix::termios::tcgetpgrp(&self.state.output)
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
        self.streams().iter().map(|(_, fd)| fd.as_fd().try_clone_to_owned()).collect()
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
