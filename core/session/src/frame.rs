//! Frames: what a stream of a link is cut into.
//!
//! ```text
//!  byte 0   bytes 1–3            then
//!  kind     length, big endian   length bytes of payload
//!
//!  0x01 message   one unsigned CBOR integer (type), one CBOR map (fields)
//!  0x02 output    offset (8 bytes, big endian), bytes
//!  0x03 error     like output: what a command wrote to standard error, in the same offsets
//!  0x04 input     offset (8 bytes, big endian), bytes
//!  0x05 ack       offset (8 bytes, big endian): everything before it arrived
//! ```
//!
//! Kinds from 0x40 on are skipped by whoever does not know them; an unknown lower kind ends the
//! stream.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::message::{Message, MessageError};

/// Bytes before the payload.
pub const HEADER_LEN: usize = 4;

/// The longest payload that is accepted.
pub const MAX_PAYLOAD: usize = MAX_DATA + OFFSET_LEN;

/// The most stream bytes in one frame: large enough that the frame costs nothing in bulk, small
/// enough that a keystroke never waits long behind one.
pub const MAX_DATA: usize = 64 * 1024;

/// The most that our side puts into one frame: with the headers of frame and multiplexer it fills four
/// TLS records, and no fifth one for a few bytes.
pub const CHUNK: usize = MAX_DATA - 64;

const OFFSET_LEN: usize = 8;
const MESSAGE: u8 = 0x01;
const OUTPUT: u8 = 0x02;
const ERROR: u8 = 0x03;
const INPUT: u8 = 0x04;
const ACK: u8 = 0x05;
const SKIPPABLE: u8 = 0x40;

/// Which bytes a data frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// What the endpoint shows: a terminal, or a command's standard output.
    Output,
    /// A command's standard error; shares the offsets of [`Channel::Output`].
    Error,
    /// What the operator types.
    Input,
}

impl Channel {
    const fn kind(self) -> u8 {
        match self {
            Self::Output => OUTPUT,
            Self::Error => ERROR,
            Self::Input => INPUT,
        }
    }
}

/// One frame, decoded.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    /// Something said beside the bytes.
    Message(Message),
    /// Bytes of a stream.
    Data {
        /// Which stream.
        channel: Channel,
        /// Offset of the first byte.
        offset: u64,
        /// The bytes; never empty.
        bytes: Bytes,
    },
    /// Everything before the offset arrived for good.
    Ack(u64),
    /// A kind of a later version; to be skipped.
    Skipped(u8),
}

/// What makes a frame unreadable. The stream cannot go on after it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The peer announced more than we take.
    #[error("the peer announced a frame of {0} bytes; at most {MAX_PAYLOAD} are allowed")]
    PeerTooLong(usize),
    /// A kind below the skippable ones that does not exist.
    #[error("the peer sent a frame of unknown kind {0:#04x}")]
    PeerUnknownKind(u8),
    /// The payload is too short for its kind.
    #[error("the peer sent a frame of kind {kind:#04x} with only {len} bytes of payload")]
    PeerTooShort {
        /// The frame's kind.
        kind: u8,
        /// The payload's length.
        len: usize,
    },
    /// The payload is no message.
    #[error("the peer sent a message that cannot be read")]
    PeerMessage(#[from] MessageError),
}

/// The length of the frame that begins with `bytes`, header included; `None` when even the header
/// is not whole yet.
///
/// # Errors
/// When the frame announces more than is allowed.
pub fn frame_len(bytes: &[u8]) -> Result<Option<usize>, FrameError> {
    let Some(&[_, a, b, c]) = bytes.first_chunk::<HEADER_LEN>() else { return Ok(None) };
    let len = u32::from_be_bytes([0, a, b, c]) as usize;
    if len > MAX_PAYLOAD {
        return Err(FrameError::PeerTooLong(len));
    }
    Ok(Some(HEADER_LEN + len))
}

/// Reads one whole frame, cut by [`frame_len`]. Stream bytes are not copied.
///
/// # Errors
/// When the bytes cannot be a frame; the stream is then of no further use.
pub fn parse(mut frame: Bytes) -> Result<Frame, FrameError> {
    if frame.len() < HEADER_LEN {
        return Err(FrameError::PeerTooShort { kind: 0, len: 0 });
    }
    let kind = frame.get_u8();
    frame.advance(HEADER_LEN - 1);
    decode_payload(kind, frame)
}

/// Takes the first frame off `buffer`; `None` when it is not whole yet.
///
/// # Errors
/// When the bytes cannot be a frame; `buffer` is then of no further use.
pub fn decode(buffer: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
    match frame_len(buffer)? {
        Some(len) if len <= buffer.len() => parse(buffer.split_to(len).freeze()).map(Some),
        _ => Ok(None),
    }
}

fn decode_payload(kind: u8, mut payload: Bytes) -> Result<Frame, FrameError> {
    let len = payload.len();
    let channel = match kind {
        MESSAGE => return Ok(Frame::Message(Message::decode(&payload)?)),
        ACK if len == OFFSET_LEN => return Ok(Frame::Ack(payload.get_u64())),
        OUTPUT => Channel::Output,
        ERROR => Channel::Error,
        INPUT => Channel::Input,
        ACK => return Err(FrameError::PeerTooShort { kind, len }),
        SKIPPABLE.. => return Ok(Frame::Skipped(kind)),
        _ => return Err(FrameError::PeerUnknownKind(kind)),
    };
    if len <= OFFSET_LEN {
        return Err(FrameError::PeerTooShort { kind, len });
    }
    let offset = payload.get_u64();
    Ok(Frame::Data { channel, offset, bytes: payload })
}

/// Stream bytes as a whole data frame.
///
/// # Panics
/// When there are none, or more than [`MAX_DATA`]: the caller cuts.
pub fn encode_data(channel: Channel, offset: u64, bytes: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(HEADER_LEN + OFFSET_LEN + bytes.len());
    frame.put_slice(&encode_data_header(channel, offset, bytes.len()));
    frame.put_slice(bytes);
    frame.freeze()
}

/// The bytes that go before `len` stream bytes in a data frame.
///
/// # Panics
/// When `len` is zero or above [`MAX_DATA`]: the caller cuts.
pub fn encode_data_header(
    channel: Channel,
    offset: u64,
    len: usize,
) -> [u8; HEADER_LEN + OFFSET_LEN] {
    assert!((1..=MAX_DATA).contains(&len), "a data frame carries 1 to {MAX_DATA} bytes");
    let mut header = [0; HEADER_LEN + OFFSET_LEN];
    header[..HEADER_LEN].copy_from_slice(&frame_header(channel.kind(), OFFSET_LEN + len));
    header[HEADER_LEN..].copy_from_slice(&offset.to_be_bytes());
    header
}

/// An acknowledgement as a whole frame.
pub fn encode_ack(offset: u64) -> [u8; HEADER_LEN + OFFSET_LEN] {
    let mut frame = [0; HEADER_LEN + OFFSET_LEN];
    frame[..HEADER_LEN].copy_from_slice(&frame_header(ACK, OFFSET_LEN));
    frame[HEADER_LEN..].copy_from_slice(&offset.to_be_bytes());
    frame
}

/// A message as a whole frame.
///
/// # Panics
/// When the message is longer than a frame may be; every field has a limit well below.
pub fn encode_message(message: &Message) -> Bytes {
    let body = message.encode();
    assert!(body.len() <= MAX_PAYLOAD, "messages are short");
    let mut frame = BytesMut::with_capacity(HEADER_LEN + body.len());
    frame.put_slice(&frame_header(MESSAGE, body.len()));
    frame.put_slice(&body);
    frame.freeze()
}

fn frame_header(kind: u8, len: usize) -> [u8; HEADER_LEN] {
    let [_, a, b, c] = u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes();
    [kind, a, b, c]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn data(channel: Channel, offset: u64, bytes: &[u8]) -> Vec<u8> {
        [&encode_data_header(channel, offset, bytes.len()), bytes].concat()
    }

    #[test]
    fn a_frame_is_taken_only_when_whole() {
        let whole = data(Channel::Output, 7, b"hello");
        for cut in 0..whole.len() {
            let mut buffer = BytesMut::from(&whole[..cut]);
            assert_eq!(decode(&mut buffer), Ok(None), "after {cut} bytes");
            assert_eq!(buffer.len(), cut);
        }
        let mut buffer = BytesMut::from(&whole[..]);
        let bytes = Bytes::from_static(b"hello");
        let frame = Frame::Data { channel: Channel::Output, offset: 7, bytes };
        assert_eq!(decode(&mut buffer), Ok(Some(frame)));
        assert!(buffer.is_empty());
    }

    #[test]
    fn a_later_versions_frame_is_skipped_and_an_unknown_low_one_is_refused() {
        assert_eq!(
            decode(&mut BytesMut::from(&[0x40, 0, 0, 1, 9][..])),
            Ok(Some(Frame::Skipped(0x40)))
        );
        assert_eq!(
            decode(&mut BytesMut::from(&[0x3f, 0, 0, 0][..])),
            Err(FrameError::PeerUnknownKind(0x3f))
        );
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_it_is_waited_for() {
        let mut buffer = BytesMut::from(&[0x02, 0xff, 0xff, 0xff][..]);
        assert_eq!(decode(&mut buffer), Err(FrameError::PeerTooLong(0xff_ffff)));
    }

    #[test]
    fn empty_data_and_odd_acks_are_refused() {
        for bytes in
            [&[0x02, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0][..], &[0x05, 0, 0, 1, 0], &[0x04, 0, 0, 0]]
        {
            assert!(matches!(
                decode(&mut BytesMut::from(bytes)),
                Err(FrameError::PeerTooShort { .. })
            ));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = decode(&mut buffer) {}
        }

        #[test]
        fn acks_read_back(offset: u64) {
            prop_assert_eq!(decode(&mut BytesMut::from(&encode_ack(offset)[..])), Ok(Some(Frame::Ack(offset))));
        }
    }
}
