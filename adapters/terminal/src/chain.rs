//! The chain of a recording: what its `.chain` file holds.
//!
//! Beside `<session>.cast` lies `<session>.chain`, a row of records of 112 bytes, one for each time the
//! recorder wrote. A record says how far the recording is whole and how that part hashes, so a
//! reader can go on where a crash cut it, and can show that no byte was changed, removed or added since.
//!
//! All numbers are little-endian.
//!
//! | bytes | meaning |
//! |---|---|
//! | 0–3 | `SLC1` |
//! | 4 | 0 begin, 1 data, 2 end |
//! | 5 | how the session ended: 0 (not an end), 1 exited, 2 signalled, 3 closed, 4 failed |
//! | 6 | exit status or signal |
//! | 7 | bytes of an unfinished character: output in the low four bits, input in the high four |
//! | 8–15 | number of the record, from 0 |
//! | 16–23 | offset in the session's output up to which it is recorded |
//! | 24–31 | the same for its input |
//! | 32–39 | length of the `.cast` file |
//! | 40–47 | length of the `.cast` file that was known to be on the disk |
//! | 48–55 | when the recording began, in milliseconds since 1970 |
//! | 56–63 | time of the last event, in milliseconds since then |
//! | 64–66, 67–69 | the unfinished characters' bytes: output, input |
//! | 70–71 | zero |
//! | 72–103 | BLAKE3 of: the hash before, bytes 0–71 of this record, the bytes added to the `.cast` file |
//! | 104–111 | first 8 bytes of BLAKE3 of bytes 0–103: tells a torn record |
//!
//! Before the first record stands the hash of `sluis recording ` and the 16 bytes of the session's id,
//! so that a recording cannot pass for that of another session.
//! Who rewrites both files can make a new chain: to notice that too, the last hash is kept elsewhere
//! (the site keeps it in its database).

use model::{SessionId, SessionOutcome, Timestamp};

/// Bytes of one record.
pub const RECORD_LEN: usize = 112;

const MAGIC: &[u8; 4] = b"SLC1";

/// A link of the chain: 32 bytes of BLAKE3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link(pub [u8; 32]);

impl Link {
    /// What stands before the first record of that session's chain.
    pub fn first(session: SessionId) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"sluis recording ").update(session.as_bytes());
        Self(*hasher.finalize().as_bytes())
    }
}

impl std::fmt::Display for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What a record stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The header was written.
    Begin,
    /// Events were written.
    Data,
    /// The session is over; nothing follows.
    End(Ending),
}

/// How a session ended, as far as a record holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With that exit status.
    Exited(u8),
    /// By that signal.
    Signalled(u8),
    /// The operator ended it.
    Closed,
    /// It failed; the reason stands as the last marker in the recording.
    Failed,
}

impl From<&SessionOutcome> for Ending {
    fn from(outcome: &SessionOutcome) -> Self {
        match outcome {
            SessionOutcome::Exited(status) => Self::Exited(*status),
            SessionOutcome::Signalled(signal) => Self::Signalled(*signal),
            SessionOutcome::Closed => Self::Closed,
            SessionOutcome::Failed(_) => Self::Failed,
        }
    }
}

/// Up to three bytes of a UTF-8 character whose rest has not come yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Carry {
    bytes: [u8; 3],
    len: u8,
}

impl Carry {
    /// A carry of these bytes; `None` when there are more than three.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut carry = Self::default();
        carry.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        carry.len = bytes.len() as u8;
        Some(carry)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len.min(3))]
    }
}

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// What it stands for.
    pub step: Step,
    /// Its place in the chain, from 0.
    pub number: u64,
    /// Offset in the session's output up to which it is recorded, the carry included.
    pub output: u64,
    /// The same for the session's input.
    pub input: u64,
    /// Length of the `.cast` file in bytes.
    pub cast_len: u64,
    /// Length of the `.cast` file that was on the disk for sure when this was written.
    pub cast_synced: u64,
    /// When the recording began.
    pub begun: Timestamp,
    /// Time of the last event in milliseconds since it began.
    pub last_ms: u64,
    /// Unfinished character of the output.
    pub output_carry: Carry,
    /// Unfinished character of the input.
    pub input_carry: Carry,
    /// Hash over the one before, this record and the bytes that it adds.
    pub link: Link,
}

impl Record {
    /// The hash that this record must have after `before`, when it adds these bytes.
    pub fn link_after(&self, before: Link, added: &[u8]) -> Link {
        let mut hasher = self.begin_link(before);
        hasher.update(added);
        Link(*hasher.finalize().as_bytes())
    }

    /// A hasher to which only the added bytes are still to be given; for bytes that do not fit in memory.
    pub fn begin_link(&self, before: Link) -> blake3::Hasher {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&before.0).update(&self.head());
        hasher
    }

    /// The record as it stands in the file.
    pub fn encode(&self) -> [u8; RECORD_LEN] {
        let mut bytes = [0; RECORD_LEN];
        bytes[..72].copy_from_slice(&self.head());
        bytes[72..104].copy_from_slice(&self.link.0);
        let check = check(&bytes[..104]);
        bytes[104..].copy_from_slice(&check);
        bytes
    }

    /// Reads a record; `None` when it is torn or no record at all.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != RECORD_LEN || bytes[..4] != *MAGIC || bytes[104..] != check(&bytes[..104])
        {
            return None;
        }
        let number = |at: usize| {
            let mut eight = [0; 8];
            eight.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(eight)
        };
        let carry = |at: usize, len: u8| Carry::new(bytes[at..at + 3].get(..usize::from(len))?);
        let mut link = [0; 32];
        link.copy_from_slice(&bytes[72..104]);
        Some(Self {
            step: step(bytes[4], bytes[5], bytes[6])?,
            number: number(8),
            output: number(16),
            input: number(24),
            cast_len: number(32),
            cast_synced: number(40),
            begun: Timestamp(number(48)),
            last_ms: number(56),
            output_carry: carry(64, bytes[7] & 0x0f)?,
            input_carry: carry(67, bytes[7] >> 4)?,
            link: Link(link),
        })
    }

    /// Everything before the hash.
    fn head(&self) -> [u8; 72] {
        let (step, ending, value) = match self.step {
            Step::Begin => (0, 0, 0),
            Step::Data => (1, 0, 0),
            Step::End(Ending::Exited(status)) => (2, 1, status),
            Step::End(Ending::Signalled(signal)) => (2, 2, signal),
            Step::End(Ending::Closed) => (2, 3, 0),
            Step::End(Ending::Failed) => (2, 4, 0),
        };
        let mut head = [0; 72];
        head[..4].copy_from_slice(MAGIC);
        head[4..8].copy_from_slice(&[
            step,
            ending,
            value,
            self.output_carry.len | self.input_carry.len << 4,
        ]);
        let numbers = [
            self.number,
            self.output,
            self.input,
            self.cast_len,
            self.cast_synced,
            self.begun.0,
            self.last_ms,
        ];
        for (slot, number) in head[8..64].chunks_exact_mut(8).zip(numbers) {
            slot.copy_from_slice(&number.to_le_bytes());
        }
        head[64..67].copy_from_slice(&self.output_carry.bytes);
        head[67..70].copy_from_slice(&self.input_carry.bytes);
        head
    }
}

fn step(step: u8, ending: u8, value: u8) -> Option<Step> {
    match (step, ending) {
        (0, 0) => Some(Step::Begin),
        (1, 0) => Some(Step::Data),
        (2, 1) => Some(Step::End(Ending::Exited(value))),
        (2, 2) => Some(Step::End(Ending::Signalled(value))),
        (2, 3) => Some(Step::End(Ending::Closed)),
        (2, 4) => Some(Step::End(Ending::Failed)),
        _ => None,
    }
}

fn check(bytes: &[u8]) -> [u8; 8] {
    let mut check = [0; 8];
    check.copy_from_slice(&blake3::hash(bytes).as_bytes()[..8]);
    check
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            step: Step::End(Ending::Exited(7)),
            number: 3,
            output: 1 << 40,
            input: 5,
            cast_len: 900,
            cast_synced: 800,
            begun: Timestamp(1_795_290_282_123),
            last_ms: 77,
            output_carry: Carry::new(&[0xf0, 0x9f]).expect("short"),
            input_carry: Carry::new(&[0xe2]).expect("short"),
            link: Link([9; 32]),
        }
    }

    #[test]
    fn a_record_reads_back() {
        assert_eq!(Record::decode(&record().encode()), Some(record()));
        assert_eq!(Carry::new(b"four"), None);
    }

    #[test]
    fn any_changed_bit_is_noticed() {
        let whole = record().encode();
        for bit in 0..RECORD_LEN * 8 {
            let mut torn = whole;
            torn[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Record::decode(&torn), None, "bit {bit}");
        }
        assert_eq!(Record::decode(&whole[..RECORD_LEN - 1]), None);
    }

    #[test]
    fn the_link_depends_on_session_place_and_bytes() {
        let session = |n: u8| Link::first(SessionId::from_bytes([n; 16]));
        let link = record().link_after(session(1), b"bytes");
        assert_ne!(link, record().link_after(session(2), b"bytes"));
        assert_ne!(link, record().link_after(session(1), b"bytez"));
        assert_ne!(link, Record { number: 4, ..record() }.link_after(session(1), b"bytes"));
    }
}
