//! What happened in a session and is not written yet, as the text of the recording.

use std::io::Write as _;

use model::{SessionId, Timestamp};

use super::text::{self, TextStream};
use super::{Event, RecorderError};
use crate::chain::{Carry, Record};

/// Events in memory; nothing here ever waits.
#[derive(Debug)]
pub(super) struct Pending {
    session: SessionId,
    begun: Timestamp,
    /// Whether output that is no text is kept byte for byte; see [`super::Header::pipes`].
    pipes: bool,
    /// Whether the recording is finished, so that nothing can be added.
    pub ended: bool,
    /// Escaped events not given to the operating system yet.
    pub text: Vec<u8>,
    output: Track,
    input: Track,
    last_ms: u64,
}

/// One direction of a session.
#[derive(Debug, Clone, Copy, Default)]
struct Track {
    /// The offset that comes next.
    next: u64,
    text: TextStream,
}

impl Pending {
    /// Nothing yet, behind that record.
    pub fn behind(session: SessionId, last: &Record, pipes: bool) -> Self {
        let track = |next, carry| Track { next, text: TextStream { carry } };
        Self {
            session,
            begun: last.begun,
            pipes,
            ended: false,
            text: Vec::new(),
            output: track(last.output, last.output_carry),
            input: track(last.input, last.input_carry),
            last_ms: last.last_ms,
        }
    }

    /// The offset in the session's output that comes next.
    pub const fn next_output(&self) -> u64 {
        self.output.next
    }

    /// Whether that record covers all of it.
    pub fn is_covered_by(&self, last: &Record) -> bool {
        self.text.is_empty() && self.output.next == last.output && self.input.next == last.input
    }

    /// What a record says that is written now and covers all of it; number, place and hash are to be filled in.
    pub fn fill(&self, record: Record) -> Record {
        Record {
            output: self.output.next,
            input: self.input.next,
            last_ms: self.last_ms,
            output_carry: self.output.text.carry,
            input_carry: self.input.text.carry,
            ..record
        }
    }

    /// Puts text back that was taken and could not be written.
    pub fn put_back(&mut self, mut text: Vec<u8>) {
        text.append(&mut self.text);
        self.text = text;
    }

    /// Adds an event; bytes that came before are skipped.
    pub fn append(&mut self, at: Timestamp, event: Event<'_>) -> Result<(), RecorderError> {
        if self.ended {
            return Err(RecorderError::Finished(self.session));
        }
        match event {
            Event::Output { offset, bytes } => self.append_bytes(at, b'o', offset, bytes),
            Event::Input { offset, bytes } => self.append_bytes(at, b'i', offset, bytes),
            Event::Resize(size) => {
                let text = format!("{}x{}", size.columns, size.rows);
                self.append_text(at, b'r', &text);
                Ok(())
            }
            Event::Marker(text) => {
                self.append_text(at, b'm', text);
                Ok(())
            }
        }
    }

    /// Notes in a marker that output before this offset is lost, and goes on behind it.
    pub fn note_loss(&mut self, at: Timestamp, next_output: u64) -> Result<(), RecorderError> {
        let Some(lost) = next_output.checked_sub(self.output.next).filter(|lost| *lost > 0) else {
            return Ok(());
        };
        self.append(at, Event::Marker(&format!("{lost} bytes of output are missing here")))?;
        self.output.next = next_output;
        Ok(())
    }

    /// Adds what stands for characters that will never be finished.
    pub fn finish_characters(&mut self, at: Timestamp) {
        let carried = self.output.text.carry;
        if self.pipes && !carried.as_bytes().is_empty() {
            self.append_binary(at, carried, &[]);
        }
        for code in [b'o', b'i'] {
            let track = if code == b'o' { self.output } else { self.input };
            if !track.text.carry.as_bytes().is_empty() {
                self.begin_event(at, code);
                let track = if code == b'o' { &mut self.output } else { &mut self.input };
                track.text.finish(&mut self.text);
                self.text.extend_from_slice(b"\"]\n");
            }
        }
    }

    fn append_bytes(
        &mut self,
        at: Timestamp,
        code: u8,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), RecorderError> {
        let expected = if code == b'o' { self.output.next } else { self.input.next };
        let gap = || RecorderError::Gap { session: self.session, expected, offset };
        let known = expected.checked_sub(offset).ok_or_else(gap)?;
        let fresh = usize::try_from(known).ok().and_then(|known| bytes.get(known..));
        let Some(fresh) = fresh.filter(|fresh| !fresh.is_empty()) else { return Ok(()) };
        // No session gets that far; a chain file that says so is not ours.
        let next = expected.checked_add(fresh.len() as u64).ok_or_else(gap)?;
        let exact = self.pipes && code == b'o';
        let carried = self.output.text.carry;
        if exact && memchr::memchr(0, fresh).is_some() {
            self.append_binary(at, carried, fresh);
            self.output.next = next;
            return Ok(());
        }
        let start = self.begin_event(at, code);
        let empty = self.text.len();
        let track = if code == b'o' { &mut self.output } else { &mut self.input };
        let is_text = track.text.push(fresh, &mut self.text);
        track.next = next;
        if exact && !is_text {
            self.text.truncate(start);
            self.append_binary(at, carried, fresh);
        } else if self.text.len() == empty {
            // Nothing but the beginning of a character.
            self.text.truncate(start);
        } else {
            self.text.extend_from_slice(b"\"]\n");
        }
        Ok(())
    }

    /// Adds output that is no text, byte for byte: what was carried over from the piece before, and what came.
    fn append_binary(&mut self, at: Timestamp, carried: Carry, bytes: &[u8]) {
        self.output.text.carry = Carry::default();
        self.begin_event(at, b'b');
        if carried.as_bytes().is_empty() {
            text::encode(bytes, &mut self.text);
        } else {
            text::encode(&[carried.as_bytes(), bytes].concat(), &mut self.text);
        }
        self.text.extend_from_slice(b"\"]\n");
    }

    fn append_text(&mut self, at: Timestamp, code: u8, text: &str) {
        self.begin_event(at, code);
        text::escape(text.as_bytes(), &mut self.text);
        self.text.extend_from_slice(b"\"]\n");
    }

    /// Writes `[12.345, "o", "` and says where it begins.
    fn begin_event(&mut self, at: Timestamp, code: u8) -> usize {
        let start = self.text.len();
        self.last_ms = self.last_ms.max(at.0.saturating_sub(self.begun.0));
        let (seconds, millis) = (self.last_ms / 1000, self.last_ms % 1000);
        let written = write!(self.text, "[{seconds}.{millis:03}, \"{}\", \"", char::from(code));
        debug_assert!(written.is_ok(), "memory takes every write");
        start
    }
}
