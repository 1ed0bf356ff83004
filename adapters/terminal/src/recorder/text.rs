//! Bytes of a terminal as the text of a JSON string.

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
    /// Appends the text of `bytes` to `out`, escaped for a JSON string.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut rest = bytes;
        while !self.carry.as_bytes().is_empty() {
            let Some((&next, after)) = rest.split_first() else { return };
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
                Err(_) => self.finish(out),
            }
        }
        self.push_fresh(rest, out);
    }

    /// Appends what stands for a character that will never be finished.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.carry.as_bytes().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
            self.carry = Carry::default();
        }
    }

    fn push_fresh(&mut self, mut rest: &[u8], out: &mut Vec<u8>) {
        loop {
            let Err(error) = std::str::from_utf8(rest) else { return escape(rest, out) };
            let (valid, bad) = rest.split_at(error.valid_up_to());
            escape(valid, out);
            let Some(len) = error.error_len() else {
                self.carry = Carry::new(bad).unwrap_or_default();
                return;
            };
            out.extend_from_slice("\u{fffd}".as_bytes());
            rest = &bad[len..];
        }
    }
}

/// Bytes looked at together; a block without anything to escape is copied as it is.
const BLOCK: usize = 32;

/// Appends UTF-8 text to a JSON string.
///
/// Only `"`, `\` and what is below a space needs an escape, so most blocks are copied: the compiler turns
/// the test of a block into a few vector instructions.
pub(super) fn escape(text: &[u8], out: &mut Vec<u8>) {
    out.reserve(text.len() + text.len() / 8);
    let mut blocks = text.chunks_exact(BLOCK);
    for block in &mut blocks {
        if block.iter().fold(0, |any, byte| any | special(*byte)) == 0 {
            out.extend_from_slice(block);
        } else {
            escape_words(block, out);
        }
    }
    escape_words(blocks.remainder(), out);
}

/// 1 for a byte that needs an escape, without a branch.
const fn special(byte: u8) -> u8 {
    (byte < 0x20) as u8 | (byte == b'"') as u8 | (byte == b'\\') as u8
}

fn escape_words(text: &[u8], out: &mut Vec<u8>) {
    let mut words = text.chunks_exact(8);
    for word in &mut words {
        let mut eight = [0; 8];
        eight.copy_from_slice(word);
        escape_word(eight, out);
    }
    for byte in words.remainder() {
        if special(*byte) == 0 {
            out.push(*byte);
        } else {
            escape_one(*byte, out);
        }
    }
}

fn escape_word(word: [u8; 8], out: &mut Vec<u8>) {
    let mut done = 0;
    while done < 8 {
        // Zeros come in from above; `min` keeps them from counting.
        let plain = plain_bytes(u64::from_le_bytes(word) >> (8 * done)).min(8 - done);
        out.extend_from_slice(&word[done..done + plain]);
        done += plain;
        if done < 8 {
            escape_one(word[done], out);
            done += 1;
        }
    }
}

/// How many of the lowest bytes of a word need no escape.
///
/// The classic test of all bytes of a word at once; a borrow may spoil what is above the first hit,
/// and only the first hit is used.
const fn plain_bytes(word: u64) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    const fn zero(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word
    }
    let below_space = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = zero(word ^ (ONES * b'"' as u64));
    let backslash = zero(word ^ (ONES * b'\\' as u64));
    ((below_space | quote | backslash) & HIGH).trailing_zeros() as usize / 8
}

/// The escape of a byte: six bytes, and how many of them count.
const ESCAPES: [([u8; 6], u8); 256] = {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut table = [([0; 6], 0); 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = ([b'\\', b'u', b'0', b'0', HEX[byte >> 4], HEX[byte & 15]], 6);
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
        table[short[i].0 as usize] = ([b'\\', short[i].1, 0, 0, 0, 0], 2);
        i += 1;
    }
    table
};

fn escape_one(byte: u8, out: &mut Vec<u8>) {
    let (escape, len) = &ESCAPES[usize::from(byte)];
    // Copying a fixed length and cutting it is one store; a variable length is a call.
    let end = out.len() + usize::from(*len);
    out.extend_from_slice(escape);
    out.truncate(end);
}

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
