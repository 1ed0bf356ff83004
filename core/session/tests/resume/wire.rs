//! Legs as queues of encoded frames, and the source of chance.

use std::collections::VecDeque;

use bytes::Bytes;
use session::{Frame, Message};

/// An xorshift generator: the same seed, the same run.
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        let mut chance = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..8 {
            chance.next();
        }
        chance
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// True once in `n`.
    pub fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Agent,
    Console,
}

/// Frames that may wait in one direction: the window of the multiplexer.
const WAITING_MAX: usize = 6;

/// One end's stream to one relay.
pub struct Leg {
    pub role: Role,
    /// The relay at its other end.
    pub relay: u64,
    /// Towards the relay.
    pub up: VecDeque<Bytes>,
    /// Towards the client.
    pub down: VecDeque<Bytes>,
    /// The connection is gone; what is still in the queues was delivered before.
    pub broken: bool,
    /// The relay said that nothing follows.
    pub closed: bool,
    /// The relay does not read it any more.
    pub replaced: bool,
}

impl Leg {
    pub fn new(role: Role, relay: u64) -> Self {
        let (up, down) = (VecDeque::new(), VecDeque::new());
        Self { role, relay, up, down, broken: false, closed: false, replaced: false }
    }

    pub fn takes_up(&self) -> bool {
        self.up.len() < WAITING_MAX
    }

    pub fn takes_down(&self) -> bool {
        self.down.len() < WAITING_MAX || self.broken
    }

    pub fn send_up(&mut self, frame: Bytes) {
        if !self.broken {
            self.up.push_back(frame);
        }
    }

    pub fn send_down(&mut self, frame: Bytes) {
        if !self.broken && !self.closed {
            self.down.push_back(frame);
        }
    }

    /// Breaks the connection: what is on the way arrives up to some frame.
    pub fn cut(&mut self, chance: &mut Chance) {
        (self.broken, self.closed) = (true, false);
        let (up, down) = (chance.below(self.up.len() + 1), chance.below(self.down.len() + 1));
        self.up.truncate(up);
        self.down.truncate(down);
    }

    /// Delivers a frame of bytes or an acknowledgement twice.
    pub fn double(&mut self, chance: &mut Chance) {
        for queue in [&mut self.up, &mut self.down] {
            if queue.is_empty() {
                continue;
            }
            let at = chance.below(queue.len());
            let frame = queue[at].clone();
            if !matches!(read(frame.clone()), Frame::Message(_)) {
                queue.insert(at, frame);
            }
        }
    }
}

pub fn read(frame: Bytes) -> Frame {
    session::parse(frame).expect("only frames are sent")
}

pub fn message(message: impl Into<Message>) -> Bytes {
    session::encode_message(&message.into())
}

pub fn ack(offset: u64) -> Bytes {
    Bytes::copy_from_slice(&session::encode_ack(offset))
}

/// The byte at that place of a stream.
pub fn byte_at(stream: u8, offset: u64) -> u8 {
    (offset.wrapping_mul(31) ^ (offset >> 8) ^ u64::from(stream)) as u8
}

/// A run of a stream.
pub fn bytes_of(stream: u8, from: u64, len: usize) -> Bytes {
    (0..len as u64).map(|i| byte_at(stream, from + i)).collect()
}

/// Whether these are the bytes of the stream at that place.
pub fn is_part(stream: u8, from: u64, bytes: &[u8]) -> bool {
    bytes.iter().zip(from..).all(|(byte, offset)| *byte == byte_at(stream, offset))
}
