use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use model::SessionId;

use super::resume::hash_range;
use super::{RecorderError, failed, paths};
use crate::chain::{Ending, Link, RECORD_LEN, Record, Step};

/// What a check of a whole recording found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Whole records whose hashes are right, from the first on.
    pub records: u64,
    /// Bytes of the `.cast` file that they cover.
    pub cast_len: u64,
    /// Bytes of the session's output that they cover.
    pub output: u64,
    /// How the session ended, when the recording is finished.
    pub ending: Option<Ending>,
    /// Hash of the last of them; compare it with the one that was kept elsewhere.
    pub link: Link,
    /// Where the recording stops being what was recorded, and how.
    ///
    /// While a session is live this may name a tail that is just being written.
    pub broken: Option<String>,
}

/// Checks a recording against its chain from the first byte to the last.
///
/// An error means that the files cannot be read; a recording that was changed is [`Verified::broken`].
pub fn verify(dir: &Path, session: SessionId) -> Result<Verified, RecorderError> {
    let (cast_path, chain_path) = paths(dir, session);
    let mut cast = File::open(&cast_path).map_err(|e| failed("open", &cast_path, e))?;
    let chain = File::open(&chain_path).map_err(|e| failed("open", &chain_path, e))?;
    let mut chain = BufReader::new(chain);
    let cast_len = cast.metadata().map_err(|e| failed("read", &cast_path, e))?.len();

    let mut found = Verified {
        records: 0,
        cast_len: 0,
        output: 0,
        ending: None,
        link: Link::first(session),
        broken: None,
    };
    loop {
        let mut bytes = Vec::with_capacity(RECORD_LEN);
        let read = chain.by_ref().take(RECORD_LEN as u64).read_to_end(&mut bytes);
        if read.map_err(|e| failed("read", &chain_path, e))? == 0 {
            break;
        }
        let number = found.records;
        let record = match fitting(&found, &bytes, cast_len) {
            Ok(record) => record,
            Err(reason) => {
                found.broken = Some(format!("record {number} {reason}"));
                return Ok(found);
            }
        };
        let link = hash_range(&mut cast, &record, found.link, found.cast_len)
            .map_err(|e| failed("read", &cast_path, e))?;
        if link != record.link {
            let (from, to) = (found.cast_len, record.cast_len);
            found.broken =
                Some(format!("bytes {from} to {to} are not what record {number} sealed"));
            return Ok(found);
        }
        found.records += 1;
        found.cast_len = record.cast_len;
        found.output = record.output;
        found.link = link;
        found.ending = match record.step {
            Step::End(ending) => Some(ending),
            Step::Begin | Step::Data => None,
        };
    }
    if cast_len > found.cast_len {
        let (from, to) = (found.cast_len, cast_len);
        found.broken = Some(format!("bytes {from} to {to} stand behind the last record"));
    } else if found.records == 0 {
        found.broken = Some("the chain is empty".to_owned());
    }
    Ok(found)
}

/// The record in `bytes`, when it can follow what was found so far.
fn fitting(found: &Verified, bytes: &[u8], cast_len: u64) -> Result<Record, String> {
    let Some(record) = Record::decode(bytes) else { return Err("is torn or damaged".to_owned()) };
    if found.ending.is_some() {
        return Err("follows the end of the session".to_owned());
    }
    if record.number != found.records {
        return Err(format!("says that it is record {}", record.number));
    }
    if (record.step == Step::Begin) != (record.number == 0) {
        return Err("is not of the kind that belongs there".to_owned());
    }
    if record.cast_len < found.cast_len || record.output < found.output {
        return Err("goes back".to_owned());
    }
    if record.cast_len > cast_len {
        let len = record.cast_len;
        return Err(format!("seals {len} bytes, and the recording has only {cast_len}"));
    }
    Ok(record)
}
