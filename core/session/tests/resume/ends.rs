//! The two ends: an agent with its remote process, and a console with its operator.

use std::collections::VecDeque;

use bytes::Bytes;
use model::SessionId;
use session::{Channel, EndOfInput, Exit, Frame, Gap, Inbox, Message, Outbox, RefusedCode, Resume};

use crate::relay::Rules;
use crate::wire::{Chance, bytes_of, is_part, message};

pub const OUTPUT_WINDOW: usize = 120;
pub const INPUT_WINDOW: usize = 40;
pub const PUSH_MAX: usize = 24;

/// Input that may wait for the remote process.
const INPUT_WAITING_MAX: usize = 4 * INPUT_WINDOW;

/// Which stream of test bytes.
pub const OUTPUT: u8 = 0xa5;
pub const INPUT: u8 = 0x3c;

/// How a frame changes a leg.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    Go,
    /// Resume, on whatever link is there.
    Resume,
    /// Resume, but not on this link.
    NewLink,
}

/// The part that both ends have.
pub struct Stream {
    pub outbox: Outbox,
    pub channel: Channel,
    pub leg: Option<u64>,
    /// Whether the relay said where to send from.
    pub told: bool,
    pub total: u64,
}

impl Stream {
    fn new(window: usize, channel: Channel, total: usize) -> Self {
        let outbox = Outbox::new(window);
        Self { outbox, channel, leg: None, told: true, total: total as u64 }
    }

    /// Makes some bytes when there is room.
    fn produce(&mut self, seed: u8, chance: &mut Chance) {
        let left = (self.total - self.outbox.head()) as usize;
        if self.outbox.room() == 0 || left == 0 {
            return;
        }
        let len = left.min(1 + chance.below(PUSH_MAX));
        let channel = if self.channel == Channel::Output && chance.once_in(4) {
            Channel::Error
        } else {
            self.channel
        };
        self.outbox.push(channel, bytes_of(seed, self.outbox.head(), len));
    }

    pub fn all_made(&self) -> bool {
        self.outbox.head() == self.total
    }

    fn next_data(&mut self) -> Option<Bytes> {
        let (offset, chunk) = self.outbox.take()?;
        Some(session::encode_data(chunk.channel, offset, &chunk.bytes))
    }

    fn resume(&self, received: u64) -> Bytes {
        let session = SessionId::from_bytes([1; 16]);
        let (base, head) = (self.outbox.base(), self.outbox.head());
        message(Resume { session, ticket: vec![], received, base, head, away_ms: None })
    }
}

pub struct Agent {
    pub rules: Rules,
    pub stream: Stream,
    /// What the process has read.
    pub inbox: Inbox,
    /// What came, read or not.
    queued: Inbox,
    queue: VecDeque<(u64, Bytes)>,
    waiting: usize,
    /// The input that was acknowledged last.
    pub input_acked: u64,
    input_end: Option<u64>,
    input_closed: bool,
    /// The process goes on until its input ends.
    pub reads_to_end: bool,
    /// How seldom the process reads.
    pub reads_every: usize,
    pub exit: Option<Exit>,
    exit_sent: bool,
    pub over: bool,
}

impl Agent {
    pub fn new(rules: Rules, chance: &mut Chance) -> Self {
        Self {
            rules,
            stream: Stream::new(OUTPUT_WINDOW, Channel::Output, chance.below(600)),
            inbox: Inbox::default(),
            queued: Inbox::default(),
            queue: VecDeque::new(),
            waiting: 0,
            input_acked: 0,
            input_end: None,
            input_closed: false,
            reads_to_end: chance.once_in(2),
            reads_every: [1, 3, 300][chance.below(3)],
            exit: None,
            exit_sent: false,
            over: false,
        }
    }

    /// The remote process writes, or ends.
    pub fn work(&mut self, chance: &mut Chance) {
        self.stream.produce(OUTPUT, chance);
        let may_end = !self.reads_to_end || self.input_closed;
        if self.stream.all_made() && may_end && self.exit.is_none() {
            let offset = self.stream.outbox.head();
            self.exit = Some(Exit { status: Some(0), signal: None, offset, reason: None });
        }
    }

    /// The remote process reads.
    pub fn read_input(&mut self, chance: &mut Chance) -> Result<(), String> {
        if !chance.once_in(self.reads_every) {
            return Ok(());
        }
        let Some((offset, bytes)) = self.queue.pop_front() else {
            self.input_closed |= self.input_end.is_some_and(|end| self.inbox.received() >= end);
            return Ok(());
        };
        self.waiting -= bytes.len();
        let at = self.inbox.received();
        if let Ok(Some(fresh)) = self.inbox.take(offset, bytes)
            && !is_part(INPUT, at, &fresh)
        {
            return Err(format!("the process read wrong bytes at {at}"));
        }
        Ok(())
    }

    pub fn next_frame(&mut self) -> Option<Bytes> {
        if self.inbox.received() > self.input_acked {
            self.input_acked = self.inbox.received();
            return Some(crate::wire::ack(self.input_acked));
        }
        if !self.stream.told {
            return None;
        }
        if let Some(data) = self.stream.next_data() {
            self.exit_sent = false;
            return Some(data);
        }
        let exit = self.exit.clone().filter(|_| !self.exit_sent)?;
        self.exit_sent = true;
        Some(message(exit))
    }

    pub fn resume(&mut self, leg: u64) -> Bytes {
        (self.stream.leg, self.stream.told, self.exit_sent) = (Some(leg), false, false);
        self.stream.resume(self.inbox.received())
    }

    pub fn take(&mut self, frame: Frame) -> Result<Next, String> {
        match frame {
            Frame::Data { channel: Channel::Input, offset, bytes } => {
                return Ok(self.queue(offset, bytes));
            }
            Frame::Ack(offset) => self.stream.outbox.ack(offset).map_err(|e| e.to_string())?,
            Frame::Message(Message::SendFrom(from)) => {
                self.stream.outbox.rewind(from.offset).map_err(|e| e.to_string())?;
                self.stream.told = true;
            }
            Frame::Message(Message::EndOfInput(end)) => {
                // Only what came before it can be read: without that it says nothing.
                if self.queued.received() >= end.offset {
                    self.input_end = Some(end.offset);
                }
            }
            Frame::Message(Message::Finished(_)) => self.over = true,
            Frame::Message(Message::Refused(refused)) => {
                self.over |= refused.reason() == RefusedCode::UnknownSession;
                return Ok(Next::Resume);
            }
            Frame::Message(Message::Moved(_)) => return Ok(Next::Resume),
            other => return Err(format!("the agent got {other:?}")),
        }
        Ok(Next::Go)
    }

    fn queue(&mut self, offset: u64, bytes: Bytes) -> Next {
        let fresh = self.queued.take(offset, bytes.clone());
        let (offset, bytes) = match fresh {
            Ok(Some(fresh)) => (self.queued.received() - fresh.len() as u64, fresh),
            Ok(None) if !self.rules.queue_once => (offset, bytes),
            // A gap is input that another leg lost: the console is told to send it again.
            Ok(None) | Err(_) => return Next::Go,
        };
        if self.waiting + bytes.len() > INPUT_WAITING_MAX {
            return Next::NewLink;
        }
        self.waiting += bytes.len();
        self.queue.push_back((offset, bytes));
        Next::Go
    }
}

pub struct Console {
    pub rules: Rules,
    pub stream: Stream,
    pub inbox: Inbox,
    pub acked: u64,
    pub exit: Option<Exit>,
    end_said: bool,
    finished_said: bool,
    /// It has everything, and the site knows.
    pub done: bool,
}

impl Console {
    pub fn new(rules: Rules, chance: &mut Chance) -> Self {
        Self {
            rules,
            stream: Stream::new(INPUT_WINDOW, Channel::Input, chance.below(300)),
            inbox: Inbox::default(),
            acked: 0,
            exit: None,
            end_said: false,
            finished_said: false,
            done: false,
        }
    }

    /// The operator types.
    pub fn work(&mut self, chance: &mut Chance) {
        self.stream.produce(INPUT, chance);
    }

    pub fn has_everything(&self) -> bool {
        self.exit.as_ref().is_some_and(|exit| self.inbox.received() >= exit.offset)
    }

    pub fn next_frame(&mut self) -> Option<Bytes> {
        if self.inbox.received() > self.acked {
            self.acked = self.inbox.received();
            return Some(crate::wire::ack(self.acked));
        }
        if self.has_everything() && !self.finished_said {
            self.finished_said = true;
            return Some(message(session::Finished {}));
        }
        if !self.stream.told {
            return None;
        }
        if let Some(data) = self.stream.next_data() {
            return Some(data);
        }
        if self.stream.all_made() && !self.end_said {
            self.end_said = true;
            return Some(message(EndOfInput { offset: self.stream.total }));
        }
        None
    }

    pub fn resume(&mut self, leg: u64) -> Bytes {
        (self.stream.leg, self.stream.told, self.finished_said) = (Some(leg), false, false);
        self.stream.resume(self.inbox.received())
    }

    pub fn take(&mut self, frame: Frame) -> Result<Next, String> {
        match frame {
            Frame::Data { channel: Channel::Output | Channel::Error, offset, bytes } => {
                return self.show(offset, bytes);
            }
            Frame::Ack(offset) => self.stream.outbox.ack(offset).map_err(|e| e.to_string())?,
            Frame::Message(Message::SendFrom(from)) => {
                self.stream.outbox.rewind(from.offset).map_err(|e| e.to_string())?;
                self.stream.told = true;
                self.end_said &= !self.rules.say_end_again;
            }
            Frame::Message(Message::Exit(exit)) => self.exit = Some(exit),
            Frame::Message(Message::Refused(refused)) => {
                self.done |= refused.reason() == RefusedCode::UnknownSession;
                return Ok(Next::Resume);
            }
            Frame::Message(Message::Moved(_)) => return Ok(Next::Resume),
            other => return Err(format!("the console got {other:?}")),
        }
        Ok(Next::Go)
    }

    /// The relay closed the stream in order.
    pub fn closed(&mut self) {
        self.done |= self.finished_said;
    }

    fn show(&mut self, offset: u64, bytes: Bytes) -> Result<Next, String> {
        let at = self.inbox.received();
        match self.inbox.take(offset, bytes) {
            Ok(Some(fresh)) if !is_part(OUTPUT, at, &fresh) => {
                Err(format!("the operator saw wrong bytes at {at}"))
            }
            Ok(_) => Ok(Next::Go),
            Err(Gap { .. }) => Ok(Next::Resume),
        }
    }
}
