//! Values that nobody can guess.

/// Fills an array from the system's generator.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // It fails only where the system has no source of randomness; nothing here could go on then.
    aws_lc_rs::rand::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

/// A token of 256 bits as hexadecimal digits.
pub fn token() -> String {
    hex(&random::<32>())
}

/// A first password for a person to type once: five groups of four letters and digits, none of which
/// is taken for another.
pub fn first_password() -> String {
    const SIGNS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789+";
    let mut text = String::new();
    while text.len() < 24 {
        let [byte] = random::<1>();
        let sign = SIGNS[usize::from(byte % 32)];
        if sign == b'+' {
            // 31 signs in 32 places, so that none comes more often than another.
            continue;
        }
        if text.len() % 5 == 4 {
            text.push('-');
        }
        text.push(char::from(sign));
    }
    text
}

/// Compares without telling by its time where two texts differ.
pub fn same(a: &str, b: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a.as_bytes(), b.as_bytes()).is_ok()
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_password_is_typed_without_doubt_and_never_comes_twice() {
        let (one, two) = (first_password(), first_password());
        assert_eq!(one.len(), 24);
        assert!(one.split('-').all(|group| group.len() == 4), "{one}");
        assert!(one.chars().all(|c| c == '-' || !"il1o0+".contains(c)), "{one}");
        assert_ne!(one, two);
        assert!(same("abc", "abc") && !same("abc", "abd") && !same("abc", "ab"));
    }
}
