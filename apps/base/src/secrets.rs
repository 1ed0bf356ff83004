//! Random values and their one-way forms.

use aws_lc_rs::digest::{SHA256, digest};
use release::to_hex;

/// Fills an array from the system's generator.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // It fails only where the system has no source of randomness; nothing here could go on then.
    aws_lc_rs::rand::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

/// A token that cannot be guessed, as hexadecimal digits.
pub fn token() -> String {
    to_hex(&random::<32>())
}

/// A password for a person to type once: five groups of four letters and digits that cannot be taken for others.
pub fn first_password() -> String {
    const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";
    let mut text = String::new();
    while text.len() < 24 {
        let [byte] = random::<1>();
        // The rest of the range would favour the first letters.
        if usize::from(byte) < 256 / LETTERS.len() * LETTERS.len() {
            if text.len() % 5 == 4 {
                text.push('-');
            }
            text.push(char::from(LETTERS[usize::from(byte) % LETTERS.len()]));
        }
    }
    text
}

/// What is kept of a token.
pub fn fingerprint(token: &str) -> String {
    to_hex(digest(&SHA256, token.as_bytes()).as_ref())
}

/// Compares without telling by its time where two texts differ.
pub fn same(a: &str, b: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a.as_bytes(), b.as_bytes()).is_ok()
}
