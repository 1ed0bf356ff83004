//! A relay: one generation of a site, as far as one session is concerned.

use bytes::Bytes;
use session::{Exit, Inbox, Resume, SendFrom};

use crate::wire::{ack, message};

/// Output after which the agent hears what it may forget, at the latest.
pub const ACK_EVERY: u64 = 24;

/// Recorded bytes that wait in memory at most.
const RECORD_EVERY: usize = 16;

/// What a relay and the ends keep to. Each is needed; see the test that takes them away.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Who resumes hears what it may forget: the acknowledgement before may have been lost.
    pub ack_on_attach: bool,
    /// A console that resumes hears an exit that is known.
    pub exit_on_attach: bool,
    /// What could not be written is tried again without waiting for more.
    pub settle_until_settled: bool,
    /// The recording ends when the console has confirmed, so that another relay can go on till then.
    pub end_after_console: bool,
    /// The agent forgets a session only when its recording is whole.
    pub forget_when_recorded: bool,
    /// Of two `SendFrom`s that are on their way, the one decided later is written last.
    pub attach_in_order: bool,
    /// Input that already waits for the process is not queued again.
    pub queue_once: bool,
    /// A console says again that no input follows, whenever it is told where to send from.
    pub say_end_again: bool,
}

impl Rules {
    pub const ALL: Self = Self {
        ack_on_attach: true,
        exit_on_attach: true,
        settle_until_settled: true,
        end_after_console: true,
        forget_when_recorded: true,
        attach_in_order: true,
        queue_once: true,
        say_end_again: true,
    };

    pub const fn each_taken_away() -> [(&'static str, Self); 8] {
        [
            ("ack_on_attach", Self { ack_on_attach: false, ..Self::ALL }),
            ("exit_on_attach", Self { exit_on_attach: false, ..Self::ALL }),
            ("settle_until_settled", Self { settle_until_settled: false, ..Self::ALL }),
            ("end_after_console", Self { end_after_console: false, ..Self::ALL }),
            ("forget_when_recorded", Self { forget_when_recorded: false, ..Self::ALL }),
            ("attach_in_order", Self { attach_in_order: false, ..Self::ALL }),
            ("queue_once", Self { queue_once: false, ..Self::ALL }),
            ("say_end_again", Self { say_end_again: false, ..Self::ALL }),
        ]
    }
}

/// The recording as it is on disk; survives relays. `None` is a byte noted as lost.
#[derive(Default)]
pub struct Disk {
    pub cast: Vec<Option<u8>>,
    /// How much of it survives a power cut.
    pub synced: usize,
    /// The session is over; nothing follows.
    pub ended: bool,
    pub full: bool,
    /// The relay that writes it.
    pub holder: Option<u64>,
}

/// One generation.
pub struct Relay {
    /// It lets go of its sessions and takes none.
    pub draining: bool,
    pub session: Option<Relayed>,
    /// Whether the timer of [`Relayed::settle`] runs.
    pub settling: bool,
    /// Decided and not written yet.
    pub unwritten: Vec<Vec<(u64, Bytes)>>,
}

/// The session as a relay sees it. Legs are numbers of the world's legs.
pub struct Relayed {
    pub rules: Rules,
    /// Bytes not flushed yet; `None` when the recording was ended or let go.
    pub buffer: Option<Vec<Option<u8>>>,
    pub agent: Option<u64>,
    pub console: Option<u64>,
    forwarded: Inbox,
    seen: u64,
    acked: u64,
    input_done: u64,
    pub exit: Option<Exit>,
    bytes_out: u64,
    /// The console has everything and said so.
    pub console_done: bool,
}

/// What follows from bytes of the agent.
pub struct Onward {
    pub console: Option<u64>,
    /// What the agent may forget now; told to the leg that brought the bytes, even when it is the
    /// one before.
    pub ack: Option<u64>,
}

impl Relayed {
    pub fn new(rules: Rules, disk: &Disk) -> Self {
        Self {
            rules,
            buffer: Some(Vec::new()),
            agent: None,
            console: None,
            forwarded: Inbox::default(),
            seen: 0,
            acked: 0,
            input_done: 0,
            exit: None,
            bytes_out: disk.cast.len() as u64,
            console_done: false,
        }
    }

    pub fn attach_agent(
        &mut self,
        disk: &mut Disk,
        leg: u64,
        resume: &Resume,
    ) -> Vec<(u64, Bytes)> {
        self.agent = Some(leg);
        self.input_done = self.input_done.max(resume.received);
        self.acked =
            if self.rules.ack_on_attach { resume.base } else { self.acked.max(resume.base) };
        self.close_gap(disk, resume.base);
        self.both_send_from(disk)
    }

    pub fn attach_console(
        &mut self,
        disk: &mut Disk,
        leg: u64,
        resume: &Resume,
    ) -> Vec<(u64, Bytes)> {
        self.console = Some(leg);
        self.forwarded = Inbox::at(resume.received);
        self.seen = self.seen.max(resume.received);
        self.input_done = self.input_done.max(resume.base);
        let mut sends = self.both_send_from(disk);
        if let (Some(exit), true) = (&self.exit, self.rules.exit_on_attach) {
            sends.push((leg, message(exit.clone())));
        }
        sends
    }

    fn both_send_from(&mut self, disk: &mut Disk) -> Vec<(u64, Bytes)> {
        self.flush(disk);
        let recorded = self.buffer.as_ref().map_or(u64::MAX, |_| disk.cast.len() as u64);
        let wanted = self.console.map_or(u64::MAX, |_| self.forwarded.received());
        let mut sends = Vec::new();
        if let Some(agent) = self.agent {
            if let (Some((_, offset)), true) = (self.due_ack(disk, 1), self.rules.ack_on_attach) {
                sends.push((agent, ack(offset)));
            }
            let offset = recorded.min(wanted).max(self.acked);
            sends.push((agent, message(SendFrom { offset })));
        }
        if let (Some(console), Some(_)) = (self.console, self.agent) {
            if self.rules.ack_on_attach {
                sends.push((console, ack(self.input_done)));
            }
            sends.push((console, message(SendFrom { offset: self.input_done })));
        }
        sends
    }

    /// The agent forgot bytes that a power cut took from the recording.
    fn close_gap(&mut self, disk: &mut Disk, base: u64) {
        self.flush(disk);
        let recorded = disk.cast.len() as u64;
        if let Some(buffer) = &mut self.buffer
            && self.bytes_out < base
        {
            buffer.extend((recorded..base).map(|_| None));
            self.bytes_out = base;
        }
    }

    pub fn output(&mut self, disk: &mut Disk, offset: u64, bytes: &Bytes) -> Onward {
        if let Some(buffer) = &mut self.buffer
            && offset <= self.bytes_out
        {
            let known = (self.bytes_out - offset) as usize;
            buffer.extend(bytes.iter().skip(known).map(|byte| Some(*byte)));
            self.bytes_out = self.bytes_out.max(offset + bytes.len() as u64);
            if buffer.len() >= RECORD_EVERY {
                self.flush(disk);
            }
        }
        // What no console is there for has not been forwarded.
        let forwarded = &mut self.forwarded;
        let console =
            self.console.filter(|_| matches!(forwarded.take(offset, bytes.clone()), Ok(Some(_))));
        Onward { console, ack: self.due_ack(disk, ACK_EVERY).map(|(_, offset)| offset) }
    }

    pub fn settle(&mut self, disk: &mut Disk) -> Option<(u64, u64)> {
        self.flush(disk);
        self.due_ack(disk, 1)
    }

    pub fn is_unsettled(&self, disk: &Disk) -> bool {
        self.buffer.as_ref().is_some_and(|buffer| !buffer.is_empty())
            || self.can_forget(disk) > self.acked
    }

    pub fn console_saw(&mut self, disk: &Disk, offset: u64) -> Option<(u64, u64)> {
        self.seen = self.seen.max(offset.min(self.forwarded.received()));
        self.due_ack(disk, ACK_EVERY)
    }

    pub fn input_arrived(&mut self, offset: u64) -> Option<u64> {
        self.input_done = self.input_done.max(offset);
        self.console
    }

    /// Whether the exit is known and all output before it is in the recording.
    pub fn is_recorded(&mut self, disk: &mut Disk) -> bool {
        self.flush(disk);
        self.exit.as_ref().is_some_and(|exit| disk.cast.len() as u64 >= exit.offset)
    }

    pub fn flush(&mut self, disk: &mut Disk) {
        if let Some(buffer) = &mut self.buffer
            && !disk.full
        {
            disk.cast.append(buffer);
        }
    }

    fn can_forget(&self, disk: &Disk) -> u64 {
        let recorded = self.buffer.as_ref().map_or(self.acked, |_| disk.cast.len() as u64);
        recorded.min(self.seen)
    }

    fn due_ack(&mut self, disk: &Disk, at_least: u64) -> Option<(u64, u64)> {
        let (agent, can) = (self.agent?, self.can_forget(disk));
        if can < self.acked + at_least {
            return None;
        }
        self.acked = can;
        Some((agent, can))
    }
}
