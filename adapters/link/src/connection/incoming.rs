use std::sync::Arc;

use session::mux::MUX_HEADER_LEN;

use super::slot::Slot;

/// What is being read.
pub(super) enum Incoming {
    Header { bytes: [u8; MUX_HEADER_LEN], have: usize },
    Bytes { to: Option<Arc<Slot>>, left: usize, bytes: Vec<u8>, last: bool },
}

impl Incoming {
    pub const START: Self = Self::Header { bytes: [0; MUX_HEADER_LEN], have: 0 };

    /// Takes what it can use; answers how much that was, and whether it is whole now.
    pub fn take(&mut self, chunk: &[u8]) -> (usize, bool) {
        match self {
            Self::Header { bytes, have } => {
                let n = chunk.len().min(MUX_HEADER_LEN - *have);
                bytes[*have..*have + n].copy_from_slice(&chunk[..n]);
                *have += n;
                (n, *have == MUX_HEADER_LEN)
            }
            Self::Bytes { to, left, bytes, .. } => {
                let n = chunk.len().min(*left);
                if to.is_some() {
                    bytes.extend_from_slice(&chunk[..n]);
                }
                *left -= n;
                (n, *left == 0)
            }
        }
    }
}
