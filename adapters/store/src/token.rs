use std::fmt;

use crate::{Error, Result};

/// What the database keeps of a token: its BLAKE3 hash, so that a copy of the file opens no door.
///
/// Tokens are long and random, so a plain hash is enough; passwords are not, and get Argon2id.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of the token as it was given out.
    pub fn of(token: &str) -> Self {
        Self(*blake3::hash(token.as_bytes()).as_bytes())
    }

    pub(crate) fn text(self) -> String {
        hex(&self.0)
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenHash({}…)", &self.text()[..8])
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads 32 bytes from hexadecimal digits that a column holds.
pub(crate) fn bytes32(table: &'static str, column: &'static str, text: &str) -> Result<[u8; 32]> {
    text.parse::<model::PublicKey>().map(|key| key.0).map_err(|_| Error::HostRow {
        table,
        column,
        value: text.chars().take(80).collect(),
    })
}
