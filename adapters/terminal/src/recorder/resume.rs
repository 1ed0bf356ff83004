use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::path::Path;

use model::SessionId;
use serde::Deserialize;

use super::{Files, Missing, Recorder, RecorderError, failed};
use crate::chain::{Link, RECORD_LEN, Record, Step};

/// A first line that is longer is not one of ours.
const HEADER_MAX: u64 = 1024 * 1024;

/// What a resumed recording goes on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resumed {
    /// Offset in the session's output that comes next.
    pub output: u64,
    /// Offset in the session's input that comes next.
    pub input: u64,
    /// Bytes cut from the end of the `.cast` file: written, not recorded, and so not acknowledged.
    pub cut: u64,
    /// Whole records dropped because the recording did not hold what they say.
    ///
    /// Not 0 only after a power cut or a repair of the file system: then bytes may be missing that the
    /// endpoint has given up, and [`Recorder::note_loss`] says so in the recording.
    pub dropped: u64,
}

impl Recorder {
    /// Goes on with a recording where its chain ends, and drops torn tails of both files.
    ///
    /// Everything since the last sync is checked against its hashes, because after a power cut the chain
    /// may be on the disk and the bytes before it not.
    pub fn resume(dir: &Path, session: SessionId) -> Result<(Self, Resumed), RecorderError> {
        let mut files = Files::open(dir, session, Missing::Refuse)?;
        let cast_len =
            files.cast.metadata().map_err(|e| failed("read", &files.cast_path, e))?.len();
        let missing = |reason| RecorderError::Missing { session, dir: dir.to_owned(), reason };
        let mut count = files.record_count()?;
        let mut newest_number = 0;
        let last = loop {
            let newest = newest_whole(&mut files, count)?;
            let newest = newest.ok_or_else(|| missing("its chain is empty"))?;
            newest_number = newest.number.max(newest_number);
            match last_true(&mut files, session, newest, cast_len)? {
                Tail::Ends(last) => break last,
                Tail::Hole(number) => count = number,
                Tail::Nothing => return Err(missing("not even its first line is whole")),
            }
        };
        if matches!(last.step, Step::End(_)) {
            return Err(RecorderError::Finished(session));
        }
        let pipes =
            is_on_pipes(&mut files.cast).map_err(|e| failed("read", &files.cast_path, e))?;
        // What is written next goes behind what stays.
        files.truncate(last.cast_len, (last.number + 1) * RECORD_LEN as u64)?;
        let resumed = Resumed {
            output: last.output,
            input: last.input,
            cut: cast_len - last.cast_len,
            dropped: newest_number - last.number,
        };
        Ok((Self::standing_at(session, files, last, pipes), resumed))
    }
}

/// What the recording's first line says of it.
fn is_on_pipes(cast: &mut std::fs::File) -> io::Result<bool> {
    #[derive(Deserialize)]
    struct Line {
        terminal: Option<bool>,
    }
    cast.seek(SeekFrom::Start(0))?;
    let mut line = Vec::new();
    io::BufReader::new(cast.take(HEADER_MAX)).read_until(b'\n', &mut line)?;
    let header = serde_json::from_slice::<Line>(&line);
    Ok(header.is_ok_and(|header| header.terminal == Some(false)))
}

fn newest_whole(files: &mut Files, count: u64) -> Result<Option<Record>, RecorderError> {
    for number in (0..count).rev() {
        if let Some(record) = files.record_at(number)? {
            return Ok(Some(record));
        }
    }
    Ok(None)
}

/// How the end of a recording looks.
enum Tail {
    /// This record is the last true one.
    Ends(Record),
    /// The record of that number is not whole although a later one is.
    Hole(u64),
    /// There is no true record.
    Nothing,
}

/// Finds the last record whose bytes, and those of all before it since the last sync, are what it says.
fn last_true(
    files: &mut Files,
    session: SessionId,
    newest: Record,
    cast_len: u64,
) -> Result<Tail, RecorderError> {
    // Back to a record whose bytes a sync covered; from there on each is checked.
    let sure = newest.cast_synced.min(cast_len);
    let mut unsure = Vec::new();
    let mut next = Some(newest);
    while let Some(record) = next.filter(|record| record.cast_len > sure) {
        unsure.push(record);
        let Some(number) = record.number.checked_sub(1) else {
            next = None;
            break;
        };
        next = files.record_at(number)?;
        if next.is_none() {
            return Ok(Tail::Hole(number));
        }
    }
    let mut last = next;
    for record in unsure.into_iter().rev() {
        let before = last.map_or((Link::first(session), 0), |last| (last.link, last.cast_len));
        if !holds(files, &record, before, cast_len)? {
            break;
        }
        last = Some(record);
    }
    Ok(last.map_or(Tail::Nothing, Tail::Ends))
}

/// Whether the recording holds the bytes that this record adds after `before`.
fn holds(
    files: &mut Files,
    record: &Record,
    before: (Link, u64),
    cast_len: u64,
) -> Result<bool, RecorderError> {
    let (link, from) = before;
    if record.cast_len > cast_len || record.cast_len < from {
        return Ok(false);
    }
    let hashed = hash_range(&mut files.cast, record, link, from);
    Ok(hashed.map_err(|e| failed("read", &files.cast_path, e))? == record.link)
}

/// The hash that `record` must have, over the bytes of the recording that it adds.
pub(super) fn hash_range(
    cast: &mut std::fs::File,
    record: &Record,
    before: Link,
    from: u64,
) -> io::Result<Link> {
    cast.seek(SeekFrom::Start(from))?;
    let mut hasher = record.begin_link(before);
    let mut left = record.cast_len - from;
    let mut buffer = vec![0; usize::try_from(left).map_or(64 * 1024, |left| left.min(64 * 1024))];
    while left > 0 {
        let part = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        cast.read_exact(&mut buffer[..part])?;
        hasher.update(&buffer[..part]);
        left -= part as u64;
    }
    Ok(Link(*hasher.finalize().as_bytes()))
}
