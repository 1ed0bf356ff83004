//! Hexadecimal text, as keys, signatures and hashes stand in metadata.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The bytes as lower-case digits.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(DIGITS[usize::from(value & 0xf)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// The bytes that the digits say, in either case; nothing when the text is no such digits.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let value = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(value(*high)? << 4 | value(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_prints_and_refuses_the_rest() {
        assert_eq!(encode(&[0, 0xa5, 0xff]), "00a5ff");
        assert_eq!(decode("00A5ff"), Some(vec![0, 0xa5, 0xff]));
        for text in ["0", "0g", "é", "+1"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
