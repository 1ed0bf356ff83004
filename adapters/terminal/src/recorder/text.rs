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

/// Text escaped in one go. The library asks for room for the worst, six bytes for each.
const PIECE: usize = 8 * 1024;

/// Appends bytes to a JSON string that has begun, without its last quote.
pub(super) fn escape<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Escaped<'a> {
    let mut is_text = true;
    loop {
        let (text, bad) = match std::str::from_utf8(rest) {
            Ok(text) => (text, None),
            Err(error) => {
                let text = &rest[..error.valid_up_to()];
                (std::str::from_utf8(text).unwrap_or_default(), Some(error.error_len()))
            }
        };
        escape_text(text, out);
        rest = &rest[text.len()..];
        match bad {
            // All of it, or all but the beginning of a character.
            None | Some(None) => return Escaped { unfinished: rest, is_text },
            Some(Some(bad)) => {
                is_text = false;
                out.extend_from_slice(REPLACEMENT);
                rest = &rest[bad..];
            }
        }
    }
}

fn escape_text(mut text: &str, out: &mut Vec<u8>) {
    while !text.is_empty() {
        let (piece, rest) = text.split_at(text.floor_char_boundary(PIECE));
        // It puts quotes around: the first in place of the byte before, which is put back then.
        let before = out.pop();
        let at = out.len();
        json_escape_simd::escape_into(piece, out);
        out.pop();
        match before {
            Some(before) => out[at] = before,
            None => drop(out.remove(at)),
        }
        text = rest;
    }
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
