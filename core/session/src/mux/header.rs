//! The twelve bytes before everything that a multiplexed connection carries.

use super::MuxError;

/// Bytes of a header.
pub const MUX_HEADER_LEN: usize = 12;

/// What a header announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bytes of a stream follow.
    Data,
    /// The peer may send more.
    WindowUpdate,
    /// To be answered with the same value.
    Ping,
    /// The connection ends.
    GoAway,
}

/// The first frame of a stream.
pub(super) const SYN: u16 = 1;
/// The first frame of its answer.
pub(super) const ACK: u16 = 2;
/// Nothing follows.
pub(super) const FIN: u16 = 4;
/// The stream ends at once, in both directions.
pub(super) const RST: u16 = 8;

/// A header as yamux 0 has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub kind: Kind,
    pub flags: u16,
    pub stream: u32,
    /// Bytes that follow, room that is given, or the value of a ping.
    pub length: u32,
}

impl Header {
    pub fn encode(self) -> [u8; MUX_HEADER_LEN] {
        let mut bytes = [0; MUX_HEADER_LEN];
        bytes[1] = match self.kind {
            Kind::Data => 0,
            Kind::WindowUpdate => 1,
            Kind::Ping => 2,
            Kind::GoAway => 3,
        };
        bytes[2..4].copy_from_slice(&self.flags.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.stream.to_be_bytes());
        bytes[8..].copy_from_slice(&self.length.to_be_bytes());
        bytes
    }

    pub fn decode(bytes: [u8; MUX_HEADER_LEN]) -> Result<Self, MuxError> {
        let [version, kind, f0, f1, s0, s1, s2, s3, l0, l1, l2, l3] = bytes;
        if version != 0 {
            return Err(MuxError::PeerVersion(version));
        }
        let kind = match kind {
            0 => Kind::Data,
            1 => Kind::WindowUpdate,
            2 => Kind::Ping,
            3 => Kind::GoAway,
            other => return Err(MuxError::PeerKind(other)),
        };
        Ok(Self {
            kind,
            flags: u16::from_be_bytes([f0, f1]),
            stream: u32::from_be_bytes([s0, s1, s2, s3]),
            length: u32::from_be_bytes([l0, l1, l2, l3]),
        })
    }

    /// Bytes that follow this header.
    pub const fn bytes(self) -> usize {
        match self.kind {
            Kind::Data => self.length as usize,
            _ => 0,
        }
    }

    pub const fn has(self, flag: u16) -> bool {
        self.flags & flag != 0
    }
}
