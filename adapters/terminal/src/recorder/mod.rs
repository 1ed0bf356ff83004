//! Writes what passes in a session to an asciicast v2 file before it is acknowledged.
//!
//! Two files in one folder: `<session>.cast`, which any player of asciicast v2 reads, and
//! `<session>.chain`, whose records ([`crate::chain`]) say how far the first is whole.
//! One process writes at a time: the recorder holds an exclusive lock on the chain file, and the next
//! generation of the site takes it over with [`Recorder::resume`] when the one before let go or died.
//!
//! [`Recorder::append`] keeps bytes in memory; [`Recorder::flush`] gives them to the operating system, which
//! survives the death of this process; [`sync_all`] waits until the disk has it, for all recordings of a folder
//! at once and off the echo path. Only what [`Recorder::recorded`] covers may be acknowledged.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::{SessionId, SessionOutcome, Timestamp};
use serde::Serialize;

use crate::chain::{Carry, Ending, Link, Record, Step};
use crate::process::Size;
use behind::Told;
use files::{Files, Missing};
use text::TextStream;

mod behind;
mod files;
mod resume;
mod sync;
mod text;
mod verify;

pub use behind::Behind;
pub use files::paths;
pub use resume::Resumed;
pub use sync::sync_all;
pub use verify::{Verified, verify};

/// What the first line of a recording says; the format is asciicast v2.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// Size of the terminal at the start; 80 × 24 is usual for a command without one.
    pub size: Size,
    /// When the session began.
    pub begun: Timestamp,
    /// What runs, when it is a single command.
    pub command: Option<String>,
    /// What a list of recordings calls it.
    pub title: Option<String>,
    /// Environment worth keeping, such as `TERM` and `SHELL`.
    pub env: BTreeMap<String, String>,
    /// Whether the command runs on pipes: nobody looks at its output through a terminal, so what is no text
    /// is kept byte for byte.
    pub pipes: bool,
}

/// One thing that happened in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// The endpoint wrote.
    Output {
        /// Where in the session's output the bytes begin.
        offset: u64,
        /// What it wrote.
        bytes: &'a [u8],
    },
    /// The operator typed.
    Input {
        /// Where in the session's input the bytes begin.
        offset: u64,
        /// What was typed.
        bytes: &'a [u8],
    },
    /// The terminal got another size.
    Resize(Size),
    /// A note, shown by players as a chapter.
    Marker(&'a str),
}

/// A recording cannot be made or gone on with.
#[derive(Debug, thiserror::Error)]
pub enum RecorderError {
    /// Another process writes this recording now.
    #[error("recording {0} is being written by another process")]
    HeldElsewhere(SessionId),
    /// There is a recording of this session; go on with it.
    #[error("recording {0} exists already; resume it instead of creating it")]
    Exists(SessionId),
    /// There is no recording to go on with.
    #[error("there is no recording {session} in {}: {reason}", dir.display())]
    Missing {
        /// The session.
        session: SessionId,
        /// Where it was looked for.
        dir: PathBuf,
        /// What is not there.
        reason: &'static str,
    },
    /// The session was over already.
    #[error("recording {0} is finished; nothing can be added to it")]
    Finished(SessionId),
    /// Bytes are missing between what is recorded and what was given.
    #[error("recording {session}: the next byte is {expected}, and what came begins at {offset}")]
    Gap {
        /// The session.
        session: SessionId,
        /// The offset that must come next.
        expected: u64,
        /// The offset that came.
        offset: u64,
    },
    /// The disk or the file system refuses.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Writes one recording; see the module.
#[derive(Debug)]
pub struct Recorder {
    session: SessionId,
    files: Files,
    /// The last record in the chain file.
    last: Record,
    /// What follows it: escaped events not given to the operating system yet.
    buffer: Vec<u8>,
    /// Whether output that is no text is kept byte for byte; see [`Header::pipes`].
    pipes: bool,
    output: Track,
    input: Track,
    last_ms: u64,
    cast_synced: u64,
    told: Told,
    telling: Arc<()>,
}

/// One direction of a session.
#[derive(Debug, Clone, Copy, Default)]
struct Track {
    /// The offset that comes next, the buffer included.
    next: u64,
    text: TextStream,
}

impl Recorder {
    /// Begins the recording of a session: writes its header, so that it exists after a crash too.
    ///
    /// Files of a try that did not get as far as its first record are written over.
    pub fn create(dir: &Path, session: SessionId, header: &Header) -> Result<Self, RecorderError> {
        let mut files = Files::open(dir, session, Missing::Create)?;
        if files.record_count()? > 0 {
            return Err(RecorderError::Exists(session));
        }
        files.truncate(0, 0)?;
        let first = Record {
            step: Step::Begin,
            number: 0,
            output: 0,
            input: 0,
            cast_len: 0,
            cast_synced: 0,
            begun: header.begun,
            last_ms: 0,
            output_carry: crate::chain::Carry::default(),
            input_carry: crate::chain::Carry::default(),
            link: Link::first(session),
        };
        let mut recorder = Self::standing_at(session, files, first, header.pipes);
        recorder.buffer = header_line(header);
        recorder.write_record(Step::Begin, 0)?;
        Ok(recorder)
    }

    fn standing_at(session: SessionId, files: Files, last: Record, pipes: bool) -> Self {
        let track = |next, carry| Track { next, text: TextStream { carry } };
        Self {
            session,
            files,
            buffer: Vec::new(),
            pipes,
            output: track(last.output, last.output_carry),
            input: track(last.input, last.input_carry),
            last_ms: last.last_ms,
            cast_synced: last.cast_synced,
            told: Told::nothing(last.cast_len),
            telling: Arc::default(),
            last,
        }
    }

    /// Adds an event in memory; [`Self::flush`] writes it.
    ///
    /// Bytes that are recorded already are skipped, so what is delivered twice stands once.
    /// Time never goes back: an earlier `at` counts as that of the event before.
    pub fn append(&mut self, at: Timestamp, event: Event<'_>) -> Result<(), RecorderError> {
        if matches!(self.last.step, Step::End(_)) {
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
        let empty = self.buffer.len();
        let track = if code == b'o' { &mut self.output } else { &mut self.input };
        let is_text = track.text.push(fresh, &mut self.buffer);
        track.next = next;
        if exact && !is_text {
            self.buffer.truncate(start);
            self.append_binary(at, carried, fresh);
        } else if self.buffer.len() == empty {
            // Nothing but the beginning of a character.
            self.buffer.truncate(start);
        } else {
            self.buffer.extend_from_slice(b"\"]\n");
        }
        Ok(())
    }

    /// Adds output that is no text, byte for byte: what was carried over from the piece before, and what came.
    fn append_binary(&mut self, at: Timestamp, carried: Carry, bytes: &[u8]) {
        self.output.text.carry = Carry::default();
        self.begin_event(at, b'b');
        if carried.as_bytes().is_empty() {
            text::encode(bytes, &mut self.buffer);
        } else {
            text::encode(&[carried.as_bytes(), bytes].concat(), &mut self.buffer);
        }
        self.buffer.extend_from_slice(b"\"]\n");
    }

    fn append_text(&mut self, at: Timestamp, code: u8, text: &str) {
        self.begin_event(at, code);
        text::escape(text.as_bytes(), &mut self.buffer);
        self.buffer.extend_from_slice(b"\"]\n");
    }

    /// Writes `[12.345, "o", "` and says where it begins.
    fn begin_event(&mut self, at: Timestamp, code: u8) -> usize {
        let start = self.buffer.len();
        self.last_ms = self.last_ms.max(at.0.saturating_sub(self.last.begun.0));
        let (seconds, millis) = (self.last_ms / 1000, self.last_ms % 1000);
        let written = write!(self.buffer, "[{seconds}.{millis:03}, \"{}\", \"", char::from(code));
        debug_assert!(written.is_ok(), "memory takes every write");
        start
    }

    /// Notes that bytes of the output are lost for ever, and goes on behind them.
    ///
    /// After a power cut the endpoint may have given up bytes that were acknowledged and not yet on the disk.
    /// A marker in the recording says how many.
    pub fn note_loss(&mut self, at: Timestamp, next_output: u64) -> Result<(), RecorderError> {
        let Some(lost) = next_output.checked_sub(self.output.next).filter(|lost| *lost > 0) else {
            return Ok(());
        };
        self.append(at, Event::Marker(&format!("{lost} bytes of output are missing here")))?;
        self.output.next = next_output;
        Ok(())
    }

    /// Bytes that wait in memory for [`Self::flush`].
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// The offset in the session's output up to which it is written; what may be acknowledged.
    pub fn recorded(&self) -> u64 {
        self.last.output
    }

    /// The same for the session's input.
    pub fn recorded_input(&self) -> u64 {
        self.last.input
    }

    /// The last hash of the chain: kept elsewhere, it proves the recording up to here.
    pub fn link(&self) -> Link {
        self.last.link
    }

    /// Length of the recording in bytes, as written.
    pub fn len(&self) -> u64 {
        self.last.cast_len
    }

    /// Whether nothing is written, which is never so: a recording begins with its header.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives what was appended to the operating system: first the recording, then its chain record.
    ///
    /// After an error (a full disk, say) nothing of it is recorded and all of it is kept: call it again.
    pub fn flush(&mut self) -> Result<(), RecorderError> {
        if self.is_flushed() {
            return Ok(());
        }
        self.write_record(Step::Data, self.last.number + 1)
    }

    fn is_flushed(&self) -> bool {
        self.buffer.is_empty()
            && self.output.next == self.last.output
            && self.input.next == self.last.input
    }

    fn write_record(&mut self, step: Step, number: u64) -> Result<(), RecorderError> {
        let mut record = Record {
            step,
            number,
            output: self.output.next,
            input: self.input.next,
            cast_len: self.last.cast_len + self.buffer.len() as u64,
            cast_synced: self.cast_synced,
            begun: self.last.begun,
            last_ms: self.last_ms,
            output_carry: self.output.text.carry,
            input_carry: self.input.text.carry,
            link: self.last.link,
        };
        record.link = record.link_after(self.last.link, &self.buffer);
        let chain_len = number * crate::chain::RECORD_LEN as u64;
        if let Err(error) = self.files.write(&self.buffer, &record) {
            // What a full disk cut is taken back, so that the next try begins at the same place.
            let _ = self.files.truncate(self.last.cast_len, chain_len);
            return Err(error);
        }
        self.last = record;
        self.buffer.clear();
        // A burst must not hold its memory for the rest of a quiet session.
        self.buffer.shrink_to(64 * 1024);
        Ok(())
    }

    /// Waits until what was flushed is on the disk.
    pub fn sync(&mut self) -> Result<(), RecorderError> {
        let synced = self.last.cast_len;
        self.files.sync()?;
        self.cast_synced = synced;
        Ok(())
    }

    /// What the system need not keep in memory any more, when that is much and the last time is done; tell
    /// it on another thread.
    pub fn behind(&mut self) -> Option<Behind> {
        if Arc::strong_count(&self.telling) > 1 {
            return None;
        }
        let part = self.told.next(self.last.cast_len)?;
        // Without a descriptor to spare it stays in memory.
        Some(Behind {
            cast: self.files.cast.try_clone().ok()?,
            part,
            _under_way: self.telling.clone(),
        })
    }

    /// Whether something was flushed that is not known to be on the disk.
    pub fn is_unsynced(&self) -> bool {
        self.cast_synced < self.last.cast_len
    }

    /// Notes that the recording is on the disk up to that length, after [`sync_all`].
    pub fn synced_up_to(&mut self, cast_len: u64) {
        self.cast_synced = self.cast_synced.max(cast_len.min(self.last.cast_len));
    }

    /// Ends the recording, syncs it and says its last hash.
    pub fn finish(
        mut self,
        at: Timestamp,
        outcome: &SessionOutcome,
    ) -> Result<Link, RecorderError> {
        self.end(at, outcome)?;
        Ok(self.last.link)
    }

    /// As [`Self::finish`], for a caller that wants to try again after an error.
    pub fn end(&mut self, at: Timestamp, outcome: &SessionOutcome) -> Result<(), RecorderError> {
        if matches!(self.last.step, Step::End(_)) {
            return self.sync();
        }
        let carried = self.output.text.carry;
        if self.pipes && !carried.as_bytes().is_empty() {
            self.append_binary(at, carried, &[]);
        }
        for code in [b'o', b'i'] {
            let track = if code == b'o' { self.output } else { self.input };
            if !track.text.carry.as_bytes().is_empty() {
                self.begin_event(at, code);
                let track = if code == b'o' { &mut self.output } else { &mut self.input };
                track.text.finish(&mut self.buffer);
                self.buffer.extend_from_slice(b"\"]\n");
            }
        }
        if let SessionOutcome::Failed(reason) = outcome {
            self.append(at, Event::Marker(reason))?;
        }
        self.write_record(Step::End(Ending::from(outcome)), self.last.number + 1)?;
        self.sync()
    }
}

fn header_line(header: &Header) -> Vec<u8> {
    #[derive(Serialize)]
    struct Line<'a> {
        version: u8,
        width: u16,
        height: u16,
        timestamp: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        command: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<&'a str>,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        env: &'a BTreeMap<String, String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        terminal: Option<bool>,
    }
    let line = Line {
        version: 2,
        width: header.size.columns.max(1),
        height: header.size.rows.max(1),
        timestamp: header.begun.as_secs(),
        command: header.command.as_deref(),
        title: header.title.as_deref(),
        env: &header.env,
        terminal: header.pipes.then_some(false),
    };
    let mut bytes = serde_json::to_vec(&line).expect("numbers and strings always serialise");
    bytes.push(b'\n');
    bytes
}

fn failed(what: &'static str, path: &Path, source: io::Error) -> RecorderError {
    RecorderError::Io { what, path: path.to_owned(), source }
}
