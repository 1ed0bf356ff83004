//! Lets the system forget what a recording has written.
//!
//! A recording is written once and hardly ever read, yet the system keeps it in memory until something
//! else needs the room. A session that prints fast would take all of it: what others read from disk is pushed
//! out, a database's sync waits behind gigabytes, and each new page costs more than one used again.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

/// Bytes written after which the system is told, at the earliest. A session that somebody looks at hardly
/// comes this far.
const STEP: u64 = 8 * 1024 * 1024;

/// What the system was told last.
#[derive(Debug)]
pub(super) struct Told(Range<u64>);

impl Told {
    /// Nothing yet, of a file of that length.
    pub const fn nothing(len: u64) -> Self {
        Self(len..len)
    }

    /// What to tell when the file has grown to `len`: the new bytes, which the system begins to write, and
    /// those it was told last, which it has written meanwhile and can drop.
    pub fn next(&mut self, len: u64) -> Option<Range<u64>> {
        if len < self.0.end.saturating_add(STEP) {
            return None;
        }
        let part = self.0.start..len;
        self.0 = self.0.end..len;
        Some(part)
    }
}

/// A part of a recording that need not stay in memory.
#[derive(Debug)]
pub struct Behind {
    pub(super) cast: File,
    pub(super) part: Range<u64>,
    /// Shared with the recorder, which sees by it that this is not done: on a slow disk one call waits, not
    /// one after the other.
    pub(super) _under_way: Arc<()>,
}

impl Behind {
    /// Tells the system. Waits when the disk is slow, so call it on a thread that may wait.
    ///
    /// It is advice: bytes that are not on the disk yet stay in memory, and where there is no such call,
    /// nothing happens.
    pub fn let_go(self) {
        advise(&self.cast, &self.part);
    }
}

#[cfg(target_os = "linux")]
fn advise(file: &File, part: &Range<u64>) {
    use rustix::fs::{Advice, fadvise};
    let len = std::num::NonZeroU64::new(part.end - part.start);
    // A file system that knows no such advice keeps its own counsel.
    let _ = fadvise(file, part.start, len, Advice::DontNeed);
}

#[cfg(not(target_os = "linux"))]
const fn advise(_: &File, _: &Range<u64>) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_told_twice_but_the_last_ones() {
        let mut told = Told::nothing(0);
        assert_eq!(told.next(STEP - 1), None);
        assert_eq!(told.next(STEP), Some(0..STEP));
        assert_eq!(told.next(2 * STEP - 1), None);
        assert_eq!(told.next(3 * STEP), Some(0..3 * STEP));
        assert_eq!(told.next(4 * STEP), Some(STEP..4 * STEP));
        assert_eq!(told.next(5 * STEP), Some(3 * STEP..5 * STEP));
    }

    #[test]
    fn a_recording_that_is_gone_on_with_is_told_from_there() {
        let mut told = Told::nothing(5 * STEP + 3);
        assert_eq!(told.next(6 * STEP), None);
        assert_eq!(told.next(6 * STEP + 3), Some(5 * STEP + 3..6 * STEP + 3));
    }
}
