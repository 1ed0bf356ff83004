//! Writes what passes in a session to an asciicast v2 file before it is acknowledged.
//!
//! Two files in one folder: `<session>.cast`, which any player of asciicast v2 reads, and
//! `<session>.chain`, whose records ([`crate::chain`]) say how far the first is whole.
//! One process writes at a time: the recorder holds an exclusive lock on the chain file, and the next
//! generation of the site takes it over with [`Recorder::resume`] when the one before let go or died.
//!
//! [`Recorder::append`] keeps bytes in memory and never waits; [`Recorder::flush`] gives them to the operating
//! system, which survives the death of this process; [`sync_all`] waits until the disk has it, for all
//! recordings of a folder at once and off the echo path. Only what [`Recorder::recorded`] covers may be
//! acknowledged.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::{SessionId, SessionOutcome, Timestamp};
use serde::Serialize;

use crate::chain::{Ending, Link, RECORD_LEN, Record, Step};
use crate::process::Size;
use behind::Told;
use files::{Files, Missing};
use pending::Pending;

mod behind;
mod files;
mod pending;
mod resume;
mod sync;
mod text;
mod verify;

pub use behind::Behind;
pub use files::paths;
pub use resume::Resumed;
pub use sync::sync_all;
pub use verify::{Verified, verify};

/// Text from which on its room is kept for the next one.
const ROOM_KEPT_FROM: usize = 64 * 1024;

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
    /// Its files were given back; another process may write it.
    #[error("recording {0} was let go of; nothing can be added to it here")]
    LetGo(SessionId),
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

/// Writes one recording; see the module. All tasks that need it share it.
///
/// What is appended waits under a lock of its own, so that who appends never waits for who writes.
#[derive(Debug)]
pub struct Recorder {
    session: SessionId,
    pending: Mutex<Pending>,
    /// Held while something is written. Who needs more than one lock takes them in this order: disk, pending,
    /// last.
    disk: Mutex<Disk>,
    /// The last record in the chain file.
    last: Mutex<Record>,
    cast_synced: AtomicU64,
}

/// What is used with the files, one call after the other.
#[derive(Debug)]
struct Disk {
    /// `None` when they were let go of.
    files: Option<Files>,
    /// Room for text, empty; nothing in a session that does not print much.
    spare: Vec<u8>,
    told: Told,
    telling: Arc<()>,
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
        let recorder = Self::standing_at(session, files, first, header.pipes);
        recorder.pending().text = header_line(header);
        recorder.write_record(&mut recorder.disk(), Step::Begin, 0)?;
        Ok(recorder)
    }

    fn standing_at(session: SessionId, files: Files, last: Record, pipes: bool) -> Self {
        let disk = Disk {
            files: Some(files),
            spare: Vec::new(),
            told: Told::nothing(last.cast_len),
            telling: Arc::default(),
        };
        Self {
            session,
            pending: Mutex::new(Pending::behind(session, &last, pipes)),
            disk: Mutex::new(disk),
            cast_synced: AtomicU64::new(last.cast_synced),
            last: Mutex::new(last),
        }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last(&self) -> Record {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an event in memory; [`Self::flush`] writes it. Never waits for the disk.
    ///
    /// Bytes that are recorded already are skipped, so what is delivered twice stands once.
    /// Time never goes back: an earlier `at` counts as that of the event before.
    pub fn append(&self, at: Timestamp, event: Event<'_>) -> Result<(), RecorderError> {
        self.pending().append(at, event)
    }

    /// Notes that bytes of the output are lost for ever, and goes on behind them.
    ///
    /// After a power cut the endpoint may have given up bytes that were acknowledged and not yet on the disk.
    /// A marker in the recording says how many.
    pub fn note_loss(&self, at: Timestamp, next_output: u64) -> Result<(), RecorderError> {
        self.pending().note_loss(at, next_output)
    }

    /// Bytes of text that wait in memory for [`Self::flush`].
    pub fn buffered(&self) -> usize {
        self.pending().text.len()
    }

    /// Whether everything that was appended is written.
    pub fn is_flushed(&self) -> bool {
        self.pending().is_covered_by(&self.last())
    }

    /// The offset in the session's output up to which it was appended.
    pub fn appended(&self) -> u64 {
        self.pending().next_output()
    }

    /// The offset in the session's output up to which it is written; what may be acknowledged.
    pub fn recorded(&self) -> u64 {
        self.last().output
    }

    /// The same for the session's input.
    pub fn recorded_input(&self) -> u64 {
        self.last().input
    }

    /// The last hash of the chain: kept elsewhere, it proves the recording up to here.
    pub fn link(&self) -> Link {
        self.last().link
    }

    /// Length of the recording in bytes, as written.
    pub fn len(&self) -> u64 {
        self.last().cast_len
    }

    /// Whether nothing is written, which is never so: a recording begins with its header.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives what was appended to the operating system: first the recording, then its chain record. Waits for
    /// whoever writes it already, and for a disk that does not take it: call it on a thread that may wait.
    ///
    /// After an error (a full disk, say) nothing of it is recorded and all of it is kept: call it again.
    pub fn flush(&self) -> Result<(), RecorderError> {
        let mut disk = self.disk();
        let last = self.last();
        if self.pending().is_covered_by(&last) {
            return Ok(());
        }
        self.write_record(&mut disk, Step::Data, last.number + 1)
    }

    fn write_record(&self, disk: &mut Disk, step: Step, number: u64) -> Result<(), RecorderError> {
        let Some(files) = &mut disk.files else { return Err(RecorderError::LetGo(self.session)) };
        let last = self.last();
        let (text, mut record) = {
            let mut pending = self.pending();
            let text = std::mem::replace(&mut pending.text, std::mem::take(&mut disk.spare));
            (text, pending.fill(last))
        };
        record.step = step;
        record.number = number;
        record.cast_len = last.cast_len + text.len() as u64;
        record.cast_synced = self.cast_synced.load(Ordering::Acquire);
        record.link = record.link_after(last.link, &text);
        if let Err(error) = files.write(&text, &record) {
            // What a full disk cut is taken back, so that the next try begins at the same place.
            let _ = files.truncate(last.cast_len, number * RECORD_LEN as u64);
            self.pending().put_back(text);
            return Err(error);
        }
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = record;
        self.keep_room(disk, text);
        Ok(())
    }

    /// Keeps the room of a text that was written for the next one, while much comes. A burst must not hold
    /// its memory for the rest of a quiet session.
    fn keep_room(&self, disk: &mut Disk, mut text: Vec<u8>) {
        if text.len() >= ROOM_KEPT_FROM {
            text.clear();
            disk.spare = text;
            return;
        }
        let mut pending = self.pending();
        if pending.text.is_empty() {
            pending.text = Vec::new();
        }
    }

    /// Waits until what was flushed is on the disk.
    pub fn sync(&self) -> Result<(), RecorderError> {
        let disk = self.disk();
        let Some(files) = &disk.files else { return Err(RecorderError::LetGo(self.session)) };
        files.sync()?;
        self.synced_up_to(self.len());
        Ok(())
    }

    /// What the system need not keep in memory any more, when that is much and the last time is done; tell
    /// it on another thread.
    pub fn behind(&self) -> Option<Behind> {
        let mut disk = self.disk();
        if Arc::strong_count(&disk.telling) > 1 {
            return None;
        }
        let part = disk.told.next(self.len())?;
        // Without a descriptor to spare it stays in memory.
        let cast = disk.files.as_ref()?.cast.try_clone().ok()?;
        Some(Behind { cast, part, _under_way: disk.telling.clone() })
    }

    /// Whether something was flushed that is not known to be on the disk.
    pub fn is_unsynced(&self) -> bool {
        self.cast_synced.load(Ordering::Acquire) < self.len()
    }

    /// Notes that the recording is on the disk up to that length, after [`sync_all`].
    pub fn synced_up_to(&self, cast_len: u64) {
        self.cast_synced.fetch_max(cast_len.min(self.len()), Ordering::AcqRel);
    }

    /// Gives the files back, whoever else still holds this recorder: another process can go on with the
    /// recording. What was not flushed stays with the endpoint, which was not told to forget it.
    pub fn let_go(&self) {
        self.disk().files = None;
    }

    /// Ends the recording, syncs it and says its last hash.
    pub fn finish(self, at: Timestamp, outcome: &SessionOutcome) -> Result<Link, RecorderError> {
        self.end(at, outcome)?;
        Ok(self.link())
    }

    /// As [`Self::finish`], for a caller that wants to try again after an error.
    pub fn end(&self, at: Timestamp, outcome: &SessionOutcome) -> Result<(), RecorderError> {
        let mut disk = self.disk();
        if !matches!(self.last().step, Step::End(_)) {
            {
                let mut pending = self.pending();
                pending.finish_characters(at);
                if let SessionOutcome::Failed(reason) = outcome {
                    pending.append(at, Event::Marker(reason))?;
                }
                // From here on nothing comes behind the end.
                pending.ended = true;
            }
            let number = self.last().number + 1;
            let written = self.write_record(&mut disk, Step::End(Ending::from(outcome)), number);
            self.pending().ended = written.is_ok();
            written?;
        }
        drop(disk);
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
