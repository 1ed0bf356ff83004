use bytes::{Buf, Bytes};

/// Counts what arrived of one stream and drops what arrived before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Inbox {
    received: u64,
}

/// Bytes are missing between what arrived and what came now; the producer must send again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bytes {expected} to {got} of the stream are missing")]
pub struct Gap {
    /// The offset that should have come.
    pub expected: u64,
    /// The offset that came.
    pub got: u64,
}

impl Inbox {
    /// An inbox that has everything before `received`.
    pub const fn at(received: u64) -> Self {
        Self { received }
    }

    /// The offset of the next byte that is new.
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Takes bytes at an offset and answers the new ones among them, if any.
    ///
    /// # Errors
    /// When bytes before `offset` never arrived; nothing is taken then.
    pub fn take(&mut self, offset: u64, mut bytes: Bytes) -> Result<Option<Bytes>, Gap> {
        if offset > self.received {
            return Err(Gap { expected: self.received, got: offset });
        }
        let seen = usize::try_from(self.received - offset).unwrap_or(usize::MAX);
        if seen >= bytes.len() {
            return Ok(None);
        }
        bytes.advance(seen);
        self.received += bytes.len() as u64;
        Ok(Some(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_dropped_and_what_is_missing_is_noticed() {
        let mut inbox = Inbox::at(10);
        assert_eq!(inbox.take(5, Bytes::from_static(b"56789")), Ok(None));
        assert_eq!(inbox.take(8, Bytes::from_static(b"89ab")), Ok(Some(Bytes::from_static(b"ab"))));
        assert_eq!(inbox.take(13, Bytes::from_static(b"d")), Err(Gap { expected: 12, got: 13 }));
        assert_eq!(inbox.received(), 12);
    }
}
