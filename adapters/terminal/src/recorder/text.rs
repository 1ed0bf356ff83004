//! Bytes of a terminal as the text of a JSON string.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::{Simd, general_purpose::PAD};

use crate::chain::Carry;

/// Turns one stream of bytes into JSON text, whatever the pieces it comes in.
///
/// What is not UTF-8 becomes U+FFFD, exactly as `String::from_utf8_lossy` does it on the whole stream: a
/// character that a piece cuts is kept back until its rest comes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TextStream {
    pub carry: Carry,
}

impl TextStream {
    /// Appends the text of `bytes` to `out`, escaped for a JSON string; answers whether all of it was text.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> bool {
        let mut rest = bytes;
        let mut is_text = true;
        while !self.carry.as_bytes().is_empty() {
            let Some((&next, after)) = rest.split_first() else { return is_text };
            let mut joined = self.carry.as_bytes().to_vec();
            joined.push(next);
            match std::str::from_utf8(&joined) {
                Ok(_) => {
                    out.extend_from_slice(&joined);
                    self.carry = Carry::default();
                    rest = after;
                }
                Err(e) if e.error_len().is_none() => {
                    self.carry = Carry::new(&joined).unwrap_or_default();
                    rest = after;
                }
                // The carry never becomes a character; the next byte begins anew.
                Err(_) => {
                    self.finish(out);
                    is_text = false;
                }
            }
        }
        self.push_fresh(rest, out) && is_text
    }

    /// Appends what stands for a character that will never be finished.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.carry.as_bytes().is_empty() {
            out.extend_from_slice(REPLACEMENT);
            self.carry = Carry::default();
        }
    }

    fn push_fresh(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> bool {
        let escaped = escape(bytes, out);
        self.carry = Carry::new(escaped.unfinished).unwrap_or_default();
        escaped.is_text
    }
}

const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// Bytes collected before they are appended: so the loop below writes without asking for room.
const STAGE: usize = 4096;

/// Bytes that are looked at together.
const BLOCK: usize = 32;

/// What [`escape`] found in its bytes.
pub(super) struct Escaped<'a> {
    /// The beginning of a character at their end, not appended.
    pub unfinished: &'a [u8],
    /// Whether everything before it is UTF-8.
    pub is_text: bool,
}

/// The standard alphabet with padding, by the vector instructions that this processor has: a byte at a time,
/// base64 was a fifth of all that the site does for output that is no text.
static BASE64: LazyLock<Simd> = LazyLock::new(|| Simd::standard(PAD));

/// Appends bytes in base64, as RFC 4648 has it, with padding.
pub(super) fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = BASE64.encode_slice(bytes, &mut out[start..]);
    debug_assert_eq!(written.ok(), Some(out.len() - start), "there is room for all of it");
}

/// Appends bytes to a JSON string.
///
/// Only `"`, `\`, what is below a space and what is not ASCII needs a look. A block of bytes is copied and
/// tested together; the first that needs a look says how many of them count.
pub(super) fn escape<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Escaped<'a> {
    let mut is_text = true;
    out.reserve(rest.len() + rest.len() / 8);
    let mut stage = [0; STAGE];
    let mut end = 0;
    while !rest.is_empty() {
        if end > STAGE - 2 * BLOCK {
            out.extend_from_slice(&stage[..end]);
            end = 0;
        }
        let (block, length) = next_block(rest);
        put(&mut stage, end, &block);
        let plain = plain_bytes(&block).min(length);
        end += plain;
        rest = &rest[plain..];
        if plain == length {
            continue;
        }
        let first = rest[0];
        if first.is_ascii() {
            let (escape, length) = &ESCAPES[usize::from(first)];
            put(&mut stage, end, escape);
            end += usize::from(*length);
            rest = &rest[1..];
            continue;
        }
        match character(rest) {
            Character::Whole(length) => {
                stage[end..end + length].copy_from_slice(&rest[..length]);
                end += length;
                rest = &rest[length..];
            }
            Character::Bad(length) => {
                is_text = false;
                stage[end..end + 3].copy_from_slice(REPLACEMENT);
                end += 3;
                rest = &rest[length..];
            }
            Character::Unfinished => break,
        }
    }
    out.extend_from_slice(&stage[..end]);
    Escaped { unfinished: rest, is_text }
}

/// Copies a known number of bytes, which is a few instructions where a slice would be a call.
#[inline]
fn put<const N: usize>(stage: &mut [u8; STAGE], at: usize, bytes: &[u8; N]) {
    if let Some(place) = stage.get_mut(at..).and_then(|stage| stage.first_chunk_mut()) {
        *place = *bytes;
    }
}

/// The next block, or fewer bytes at the end, and how many.
fn next_block(bytes: &[u8]) -> ([u8; BLOCK], usize) {
    if let Some(block) = bytes.first_chunk() {
        return (*block, BLOCK);
    }
    let mut block = [b' '; BLOCK];
    block[..bytes.len()].copy_from_slice(bytes);
    (block, bytes.len())
}

/// How many bytes at the beginning of a block need no look.
///
/// Most blocks have none that does, which the compiler finds out with a few vector instructions.
fn plain_bytes(block: &[u8; BLOCK]) -> usize {
    if block.iter().fold(0, |any, byte| any | needs_look(*byte)) == 0 {
        return BLOCK;
    }
    let mut looks = 0;
    for (at, word) in block.as_chunks::<8>().0.iter().enumerate() {
        looks |= looks_in_word(u64::from_le_bytes(*word)) << (8 * at);
    }
    looks.trailing_zeros() as usize
}

/// 1 for a byte that needs a look, without a branch.
const fn needs_look(byte: u8) -> u8 {
    (byte < 0x20) as u8 | (byte == b'"') as u8 | (byte == b'\\') as u8 | (byte >= 0x80) as u8
}

/// A bit for each byte of a word: the lowest that is set stands for the first byte that needs a look.
///
/// The classic test of all bytes of a word at once; a borrow may spoil what is above the first hit.
/// The product gathers the highest bits of the eight bytes in its highest byte.
const fn looks_in_word(word: u64) -> u32 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    const GATHER: u64 = 0x0002_0408_1020_4081;
    const fn zero(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word
    }
    let below_space = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = zero(word ^ (ONES * b'"' as u64));
    let backslash = zero(word ^ (ONES * b'\\' as u64));
    let hits = (below_space | quote | backslash | word) & HIGH;
    (hits.wrapping_mul(GATHER) >> 56) as u32
}

/// What stands at the beginning of bytes that are not ASCII.
enum Character {
    /// A character of so many bytes.
    Whole(usize),
    /// So many bytes that are none, and stand for one U+FFFD.
    Bad(usize),
    /// The beginning of one; the rest has not come.
    Unfinished,
}

/// Reads one character by table 3-7 of the Unicode standard.
fn character(bytes: &[u8]) -> Character {
    let (length, low, high) = match bytes[0] {
        0xc2..=0xdf => (2, 0x80, 0xbf),
        0xe0 => (3, 0xa0, 0xbf),
        0xed => (3, 0x80, 0x9f),
        0xe1..=0xef => (3, 0x80, 0xbf),
        0xf0 => (4, 0x90, 0xbf),
        0xf1..=0xf3 => (4, 0x80, 0xbf),
        0xf4 => (4, 0x80, 0x8f),
        _ => return Character::Bad(1),
    };
    match bytes.get(1) {
        None => return Character::Unfinished,
        Some(second) if !(low..=high).contains(second) => return Character::Bad(1),
        Some(_) => {}
    }
    for at in 2..length {
        match bytes.get(at) {
            None => return Character::Unfinished,
            Some(next) if !(0x80..=0xbf).contains(next) => return Character::Bad(at),
            Some(_) => {}
        }
    }
    Character::Whole(length)
}

/// The escape of a byte: eight bytes, and how many of them count.
const ESCAPES: [([u8; 8], u8); 128] = {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut table = [([0; 8], 0); 128];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = ([b'\\', b'u', b'0', b'0', HEX[byte >> 4], HEX[byte & 15], 0, 0], 6);
        byte += 1;
    }
    let short = [
        (b'"', b'"'),
        (b'\\', b'\\'),
        (b'\n', b'n'),
        (b'\r', b'r'),
        (b'\t', b't'),
        (0x08, b'b'),
        (0x0c, b'f'),
    ];
    let mut i = 0;
    while i < short.len() {
        table[short[i].0 as usize] = ([b'\\', short[i].1, 0, 0, 0, 0, 0, 0], 2);
        i += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text_of(pieces: &[&[u8]]) -> String {
        let (mut stream, mut out) = (TextStream::default(), vec![b'"']);
        for piece in pieces {
            stream.push(piece, &mut out);
        }
        stream.finish(&mut out);
        out.push(b'"');
        serde_json::from_slice(&out).expect("a JSON string")
    }

    #[test]
    fn a_character_cut_anywhere_comes_out_whole() {
        let bytes = "a€🦀é\u{7f}".as_bytes();
        for cut in 0..=bytes.len() {
            let (left, right) = bytes.split_at(cut);
            assert_eq!(text_of(&[left, right]).as_bytes(), bytes);
        }
        assert_eq!(text_of(&[b"\xf0", b"\x9f", b"x"]), "\u{fffd}x");
        assert_eq!(text_of(&[b"\xf0\x9f"]), "\u{fffd}");
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40),
            "[ -~]{0,90}".prop_map(String::into_bytes),
            "\\PC{0,20}".prop_map(String::into_bytes),
        ];
        proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_are_the_lossy_text(all in bytes(), cuts in proptest::collection::vec(0..400usize, 0..8)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(all.len())).collect();
            cuts.extend([0, all.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &all[w[0]..w[1]]).collect();
            prop_assert_eq!(text_of(&pieces), String::from_utf8_lossy(&all));
        }
    }
}
