use serde::{Deserialize, Serialize};

use model::Timestamp;

use crate::crc::crc32;
use crate::{Course, Install, PackageRef, PlanRun};

/// One entry of the journal: the state that was entered, in the order of `n`.
///
/// On disk it is a line: eight hexadecimal digits of a CRC-32 over the rest, a space, JSON, a line feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// One more than that of the record before it.
    pub n: u64,
    /// When the state was entered.
    pub at: Timestamp,
    /// The state.
    pub install: Install<PackageRef>,
    /// The plan that the state is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanRun>,
}

impl Record {
    /// What was saved.
    pub fn course(self) -> Course<PackageRef> {
        Course { install: self.install, plan: self.plan }
    }
}

/// What a journal holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The last whole record.
    pub last: Option<Record>,
    /// Bytes up to the end of that record; what follows was torn and is cut off before the next append.
    pub good: usize,
    /// Whole records.
    pub count: u64,
}

/// The journal cannot be trusted: a record is damaged, and others follow it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the journal is damaged at byte {offset} ({reason}) and goes on after it; nothing is installed from it. \
     Restore the file, or move it away to begin with what `current` points to"
)]
pub struct JournalDamaged {
    /// Where the damaged record begins.
    pub offset: usize,
    /// What is wrong.
    pub reason: &'static str,
}

/// The bytes of one record.
pub fn write(record: &Record) -> Result<Vec<u8>, serde_json::Error> {
    let json = serde_json::to_string(record)?;
    Ok(format!("{:08x} {json}\n", crc32(json.as_bytes())).into_bytes())
}

/// Reads a journal: a torn last record is dropped, damage before that fails closed.
///
/// A record's JSON holds no line feed, and records are appended one at a time, each on stable storage before the next.
/// So only the last line can be torn.
pub fn read(bytes: &[u8]) -> Result<Read, JournalDamaged> {
    let mut result = Read { last: None, good: 0, count: 0 };
    while result.good < bytes.len() {
        let rest = &bytes[result.good..];
        let end = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1);
        let follows = result.last.as_ref().map(|record| record.n);
        match record(&rest[..end], follows) {
            Ok(record) => {
                result.good += end;
                result.count += 1;
                result.last = Some(record);
            }
            Err(_) if end == rest.len() => break,
            Err(reason) => return Err(JournalDamaged { offset: result.good, reason }),
        }
    }
    Ok(result)
}

fn record(line: &[u8], follows: Option<u64>) -> Result<Record, &'static str> {
    let line = line.strip_suffix(b"\n").ok_or("it has no end")?;
    let (crc, json) = line.split_at_checked(9).ok_or("it is too short")?;
    // Compared as text, so that one value has one spelling.
    if crc != format!("{:08x} ", crc32(json)).as_bytes() {
        return Err("its checksum is wrong");
    }
    let record: Record = serde_json::from_slice(json).map_err(|_| "it is no record")?;
    match follows {
        Some(n) if n.checked_add(1) != Some(record.n) => Err("a record before it is missing"),
        _ => Ok(record),
    }
}
