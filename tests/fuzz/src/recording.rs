//! What stands on the disk of a session that was recorded.

use std::path::Path;

use model::{SessionId, SessionOutcome, Timestamp};
use terminal::chain::{RECORD_LEN, Record};
use terminal::recorder::paths;
use terminal::{Event, Header, Recorder, verify};

use crate::Outcome;

const SESSION: SessionId = SessionId::from_bytes([1; 16]);

/// One record of the chain.
pub fn chain_record(data: &[u8]) -> Outcome {
    let _ = Record::decode(data);
    let Some(record) = Record::decode(&sealed(data)) else { return Outcome::Refused };
    assert_eq!(
        Record::decode(&record.encode()),
        Some(record),
        "a record reads back what it was written from"
    );
    Outcome::Accepted
}

/// A record with its checksum put right.
fn sealed(data: &[u8]) -> Vec<u8> {
    let mut record = data.to_vec();
    if let Some((body, check)) = record.split_at_mut_checked(RECORD_LEN - 8)
        && check.len() == 8
    {
        check.copy_from_slice(&blake3::hash(body).as_bytes()[..8]);
    }
    record
}

/// A whole recording: two bytes say how long the chain is, then come the chain and the asciicast
/// file. It is accepted when nothing is broken in it. Whatever it is, it can be verified, and a
/// recorder that goes on with it leaves one that can be verified.
pub fn recording(data: &[u8]) -> Outcome {
    let Some((len, rest)) = data.split_first_chunk::<2>() else { return Outcome::Refused };
    let (chain, cast) = rest.split_at(usize::from(u16::from_be_bytes(*len)).min(rest.len()));
    let chain: Vec<u8> = chain.chunks(RECORD_LEN).flat_map(sealed).collect();
    let dir = tempfile::tempdir().expect("a folder for one recording");
    let (cast_path, chain_path) = paths(dir.path(), SESSION);
    std::fs::write(&cast_path, cast).expect("room for one recording");
    std::fs::write(&chain_path, &chain).expect("room for one recording");
    let verified = verify(dir.path(), SESSION);
    go_on(dir.path());
    match verified {
        Ok(found) if found.broken.is_none() => Outcome::Accepted,
        Ok(_) | Err(_) => Outcome::Refused,
    }
}

fn go_on(dir: &Path) {
    let Ok((recorder, resumed)) = Recorder::resume(dir, SESSION) else { return };
    let at = Timestamp::from_secs(1_800_000_100);
    let _ = recorder.append(at, Event::Output { offset: resumed.output, bytes: b"and on\xe2" });
    let _ = recorder.append(at, Event::Input { offset: resumed.input, bytes: b"ls\n" });
    let _ = recorder.note_loss(at, resumed.output.saturating_add(100));
    let _ = recorder.end(at, &SessionOutcome::Closed);
    drop(recorder);
    assert!(verify(dir, SESSION).is_ok(), "a recording that was gone on with can be verified");
}

pub mod seeds {
    //! Good bytes.

    use super::{Event, Header, RECORD_LEN, Recorder, SESSION, SessionOutcome, Timestamp, paths};

    /// The chain and the asciicast file of a short session.
    fn files(over: bool) -> (Vec<u8>, Vec<u8>) {
        let dir = tempfile::tempdir().expect("a folder for one recording");
        let second = |n: u64| Timestamp::from_secs(1_800_000_000 + n);
        let header =
            Header { begun: second(0), title: Some("ada on web-1".into()), ..Header::default() };
        let recorder = Recorder::create(dir.path(), SESSION, &header).expect("a new recording");
        let output = |offset, bytes| Event::Output { offset, bytes };
        recorder.append(second(1), output(0, b"$ ")).expect("it comes next");
        recorder.flush().expect("room on the disk");
        recorder
            .append(second(2), Event::Input { offset: 0, bytes: b"ls\n" })
            .expect("it comes next");
        recorder.append(second(3), output(2, b"\xe2\x82")).expect("it comes next");
        recorder.flush().expect("room on the disk");
        recorder.append(second(4), output(4, b"\xac\xff\x1b[0m")).expect("it comes next");
        recorder.flush().expect("room on the disk");
        if over {
            recorder.end(second(5), &SessionOutcome::Exited(0)).expect("room on the disk");
        }
        drop(recorder);
        let (cast, chain) = paths(dir.path(), SESSION);
        let read = |path| std::fs::read(path).expect("it was written");
        (read(chain), read(cast))
    }

    pub fn chain_record() -> Vec<Vec<u8>> {
        files(true).0.chunks(RECORD_LEN).map(<[u8]>::to_vec).collect()
    }

    pub fn recording() -> Vec<Vec<u8>> {
        let whole = |over| {
            let (chain, cast) = files(over);
            let len = u16::try_from(chain.len()).expect("a short chain");
            [&len.to_be_bytes(), &chain[..], &cast].concat()
        };
        vec![whole(true), whole(false)]
    }
}
