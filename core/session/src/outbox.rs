use std::collections::VecDeque;

use bytes::{Buf, Bytes};

use crate::frame::{CHUNK, Channel};

/// One run of bytes of one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Whose bytes.
    pub channel: Channel,
    /// The bytes.
    pub bytes: Bytes,
}

/// Keeps the bytes of one stream until they are acknowledged.
///
/// ```text
///      base            cursor            head
///  ─────┼────────────────┼────────────────┼──────▶ offset
///  acked│ sent, kept     │ to be sent     │ room until base + limit
/// ```
///
/// INVARIANT: `base ≤ cursor ≤ head`, and the chunks hold exactly the bytes from base to head.
#[derive(Debug, Clone)]
pub struct Outbox {
    base: u64,
    cursor: u64,
    head: u64,
    limit: usize,
    chunks: VecDeque<Chunk>,
    /// Where the cursor stands: chunk number and byte within it.
    at: (usize, usize),
}

/// The peer asked for something that the outbox cannot do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutboxError {
    /// It acknowledged or asked for bytes that were never produced.
    #[error("the peer speaks of byte {offset}, but only {head} exist")]
    PeerBeyondHead {
        /// What it named.
        offset: u64,
        /// What there is.
        head: u64,
    },
    /// It asked for bytes that it had acknowledged before, so they are gone.
    #[error("the peer asks for byte {offset}, but acknowledged everything before {base}")]
    PeerBeforeBase {
        /// What it named.
        offset: u64,
        /// The first byte that is still kept.
        base: u64,
    },
}

/// An outbox at rest, for a process that hands its state to its successor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Offset of the first kept byte.
    pub base: u64,
    /// The kept bytes.
    pub chunks: Vec<Chunk>,
}

impl Outbox {
    /// An empty outbox that holds up to `limit` bytes.
    pub const fn new(limit: usize) -> Self {
        Self { base: 0, cursor: 0, head: 0, limit, chunks: VecDeque::new(), at: (0, 0) }
    }

    /// The outbox that was saved; everything kept is to be sent again.
    pub fn restore(snapshot: Snapshot, limit: usize) -> Self {
        let mut outbox = Self::new(limit);
        (outbox.base, outbox.cursor, outbox.head) = (snapshot.base, snapshot.base, snapshot.base);
        for chunk in snapshot.chunks {
            outbox.push(chunk.channel, chunk.bytes);
        }
        outbox
    }

    /// What must be kept to go on elsewhere.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { base: self.base, chunks: self.chunks.iter().cloned().collect() }
    }

    /// Offset of the first byte that is kept.
    pub const fn base(&self) -> u64 {
        self.base
    }

    /// Offset of the next byte to send.
    pub const fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Offset after the last byte.
    pub const fn head(&self) -> u64 {
        self.head
    }

    /// How many bytes may still be pushed; the producer waits at zero.
    pub const fn room(&self) -> usize {
        self.limit.saturating_sub((self.head - self.base) as usize)
    }

    /// Adds bytes at the head. May go over the limit by the bytes of one push, so that a producer
    /// never has to cut what it has already read.
    pub fn push(&mut self, channel: Channel, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        self.head += bytes.len() as u64;
        self.chunks.push_back(Chunk { channel, bytes });
    }

    /// The next bytes to send, at most [`CHUNK`] and of one channel, with their offset.
    pub fn take(&mut self) -> Option<(u64, Chunk)> {
        let chunk = self.chunks.get(self.at.0)?;
        let rest = chunk.bytes.slice(self.at.1..);
        let bytes = rest.slice(..rest.len().min(CHUNK));
        let (offset, channel) = (self.cursor, chunk.channel);
        self.cursor += bytes.len() as u64;
        self.at.1 += bytes.len();
        if self.at.1 == chunk.bytes.len() {
            self.at = (self.at.0 + 1, 0);
        }
        Some((offset, Chunk { channel, bytes }))
    }

    /// Forgets everything before `offset`. Older acknowledgements change nothing.
    ///
    /// # Errors
    /// When the peer acknowledges what does not exist.
    pub fn ack(&mut self, offset: u64) -> Result<(), OutboxError> {
        if offset > self.head {
            return Err(OutboxError::PeerBeyondHead { offset, head: self.head });
        }
        while self.base < offset {
            let Some(first) = self.chunks.front_mut() else { break };
            let step = first.bytes.len().min((offset - self.base) as usize);
            self.base += step as u64;
            if step == first.bytes.len() {
                self.chunks.pop_front();
                self.at = if self.at.0 == 0 { (0, 0) } else { (self.at.0 - 1, self.at.1) };
            } else {
                first.bytes.advance(step);
                if self.at.0 == 0 {
                    self.at.1 = self.at.1.saturating_sub(step);
                }
            }
        }
        self.cursor = self.cursor.max(self.base);
        Ok(())
    }

    /// Sends again from `offset` on.
    ///
    /// # Errors
    /// When those bytes are gone or do not exist.
    pub fn rewind(&mut self, offset: u64) -> Result<(), OutboxError> {
        if offset < self.base {
            return Err(OutboxError::PeerBeforeBase { offset, base: self.base });
        }
        if offset > self.head {
            return Err(OutboxError::PeerBeyondHead { offset, head: self.head });
        }
        let mut skip = (offset - self.base) as usize;
        let mut index = 0;
        while let Some(chunk) = self.chunks.get(index)
            && chunk.bytes.len() <= skip
        {
            skip -= chunk.bytes.len();
            index += 1;
        }
        self.at = (index, skip);
        self.cursor = offset;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn full_means_no_room() {
        let mut outbox = Outbox::new(4);
        outbox.push(Channel::Output, Bytes::from_static(b"abcde"));
        assert_eq!(outbox.room(), 0);
        outbox.ack(3).expect("produced");
        assert_eq!(outbox.room(), 2);
    }

    #[test]
    fn a_peer_that_makes_things_up_is_refused() {
        let mut outbox = Outbox::new(10);
        outbox.push(Channel::Output, Bytes::from_static(b"abc"));
        assert_eq!(outbox.ack(4), Err(OutboxError::PeerBeyondHead { offset: 4, head: 3 }));
        outbox.ack(2).expect("produced");
        assert_eq!(outbox.rewind(1), Err(OutboxError::PeerBeforeBase { offset: 1, base: 2 }));
        assert_eq!(outbox.rewind(4), Err(OutboxError::PeerBeyondHead { offset: 4, head: 3 }));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push(Vec<u8>, bool),
        Send,
        Ack(u64),
        Rewind(u64),
        Restart,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (proptest::collection::vec(any::<u8>(), 0..9), any::<bool>())
                .prop_map(|(b, e)| Step::Push(b, e)),
            Just(Step::Send),
            (0u64..60).prop_map(Step::Ack),
            (0u64..60).prop_map(Step::Rewind),
            Just(Step::Restart),
        ]
    }

    proptest! {
        /// Against the plainest model: one growing vector and three numbers.
        #[test]
        fn behaves_like_a_vector(steps in proptest::collection::vec(step(), 0..60)) {
            let (mut outbox, mut all) = (Outbox::new(1000), Vec::<(u8, bool)>::new());
            for step in steps {
                match step {
                    Step::Push(bytes, error) => {
                        all.extend(bytes.iter().map(|b| (*b, error)));
                        let channel = if error { Channel::Error } else { Channel::Output };
                        outbox.push(channel, bytes.into());
                    }
                    Step::Send => if let Some((offset, chunk)) = outbox.take() {
                        let at = offset as usize;
                        let want: Vec<_> = all[at..at + chunk.bytes.len()].to_vec();
                        let got: Vec<_> = chunk.bytes.iter().map(|b| (*b, chunk.channel == Channel::Error)).collect();
                        prop_assert_eq!(got, want);
                        prop_assert_eq!(outbox.cursor(), offset + chunk.bytes.len() as u64);
                    } else {
                        prop_assert_eq!(outbox.cursor(), outbox.head());
                    },
                    Step::Ack(offset) => prop_assert_eq!(outbox.ack(offset).is_ok(), offset <= outbox.head()),
                    Step::Rewind(offset) => {
                        let can = (outbox.base()..=outbox.head()).contains(&offset);
                        prop_assert_eq!(outbox.rewind(offset).is_ok(), can);
                    }
                    Step::Restart => outbox = Outbox::restore(outbox.snapshot(), 1000),
                }
                prop_assert_eq!(outbox.head(), all.len() as u64);
                prop_assert!(outbox.base() <= outbox.cursor() && outbox.cursor() <= outbox.head());
                let kept: usize = outbox.snapshot().chunks.iter().map(|c| c.bytes.len()).sum();
                prop_assert_eq!(kept as u64, outbox.head() - outbox.base());
            }
        }
    }
}
