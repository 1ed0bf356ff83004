//! Bending good bytes, the same way in every run.

/// A small generator of numbers: xorshift64*. Not for secrets.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// The same seed gives the same numbers.
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`; 0 when `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.next() % end as u64) as usize }
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// Longest input that bending makes.
const MAX_LEN: usize = 256 * 1024;

const BYTES: &[u8] = &[
    0, 1, 0x1b, 0x3f, 0x40, 0x5b, 0x7f, 0x80, 0x9b, 0x9f, 0xbb, 0xbf, 0xfe, 0xff, b'"', b'{',
    b'\\', b'\n',
];

const NUMBERS: &[u64] = &[
    0,
    1,
    0x7f,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0xffff_ffff_ffff_ffff,
];

const TEXTS: &[&str] = &[
    "null",
    "-1",
    "1e400",
    "18446744073709551615",
    "18446744073709551616",
    "4294967295",
    "0.5",
    "\"\"",
    "[]",
    "{}",
    "true",
    "..",
    "../",
    "\\u0000",
    "\\ud800",
    "é",
    "\u{202e}",
    "[[[[[[[[[[[[[[[[",
    "{\"a\":{\"a\":",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
];

/// Bends `data` once to four times; `other` is a second good input to take pieces of.
pub fn bend(data: &mut Vec<u8>, other: &[u8], chance: &mut Chance) {
    for _ in 0..=chance.below(4) {
        bend_once(data, other, chance);
    }
    data.truncate(MAX_LEN);
}

fn bend_once(data: &mut Vec<u8>, other: &[u8], chance: &mut Chance) {
    let at = chance.below(data.len());
    let end = at + chance.below(data.len() - at + 1).min(64);
    match chance.below(10) {
        0 if !data.is_empty() => data[at] ^= 1 << chance.below(8),
        1 if !data.is_empty() => data[at] = chance.pick(BYTES),
        2 => data.truncate(at),
        3 => drop(data.drain(at..end)),
        4 => data.extend_from_within(at..end),
        5 => overwrite(data, at, chance),
        6 => insert(data, at, chance.pick(TEXTS).as_bytes()),
        7 => replace_word(data, at, chance),
        8 => splice(data, at, other, chance),
        _ => insert(data, at, &[chance.pick(BYTES)]),
    }
}

fn insert(data: &mut Vec<u8>, at: usize, piece: &[u8]) {
    data.splice(at..at, piece.iter().copied());
}

fn overwrite(data: &mut [u8], at: usize, chance: &mut Chance) {
    let number = chance.pick(NUMBERS);
    let bytes = if chance.below(2) == 0 { number.to_be_bytes() } else { number.to_le_bytes() };
    let width = chance.pick(&[2, 4, 8]).min(data.len() - at);
    data[at..at + width].copy_from_slice(&bytes[8 - width..]);
}

/// Swaps the number or word of text around `at` for another.
fn replace_word(data: &mut Vec<u8>, at: usize, chance: &mut Chance) {
    let in_word = |byte: &u8| byte.is_ascii_alphanumeric() || b".-+_".contains(byte);
    let begin = data[..at].iter().rposition(|byte| !in_word(byte)).map_or(0, |found| found + 1);
    let end =
        data[at..].iter().position(|byte| !in_word(byte)).map_or(data.len(), |found| at + found);
    data.splice(begin..end, chance.pick(TEXTS).bytes());
}

fn splice(data: &mut Vec<u8>, at: usize, other: &[u8], chance: &mut Chance) {
    let from = chance.below(other.len());
    let to = from + chance.below(other.len() - from + 1);
    data.splice(at.., other[from..to].iter().copied());
}

/// Bytes that have broken decoders elsewhere; every decoder takes them.
pub fn nasty() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = (0..=u8::MAX).map(|byte| vec![byte]).collect();
    all.push(vec![]);
    for byte in [0, 0xff, b' ', b'[', b'{', b'"', 0x81, 0xa1, 0x9f, 0xbf, 0xc1] {
        all.push(vec![byte; 100_000]);
    }
    // CBOR: strings, arrays and maps that announce more than there is memory.
    for major in [0x40, 0x60, 0x80, 0xa0] {
        all.push([&[major | 0x1b], &[0xff; 8][..]].concat());
        all.push([&[major | 0x1a], &[0x7f, 0xff, 0xff, 0xff][..]].concat());
    }
    all.push("{\"a\":".repeat(50_000).into_bytes());
    all.push([b"\"".as_slice(), &[0xc3; 1000], b"\""].concat());
    all.push("1".repeat(100_000).into_bytes());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bending_is_the_same_in_every_run_and_never_fails() {
        let run = |seed| {
            let mut chance = Chance::new(seed);
            let mut data = b"{\"version\": 17}".to_vec();
            let mut all = vec![];
            for _ in 0..5_000 {
                bend(&mut data, b"other", &mut chance);
                all.push(data.clone());
                if chance.below(20) == 0 {
                    data = b"[1, 2, 3]".to_vec();
                }
            }
            all
        };
        let first = run(1);
        assert_eq!(first, run(1));
        assert_ne!(first, run(2));
        let distinct: std::collections::BTreeSet<_> = first.iter().collect();
        assert!(distinct.len() > 3_000, "only {} distinct inputs", distinct.len());
    }
}
