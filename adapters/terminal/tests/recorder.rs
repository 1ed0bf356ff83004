//! What a recording holds after any split, duplicate and crash.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::path::Path;

use base64::Engine as _;
use model::{SessionId, SessionOutcome, Timestamp};
use proptest::prelude::*;
use sluis_terminal::chain::{Ending, RECORD_LEN};
use sluis_terminal::recorder::paths;
use sluis_terminal::{Event, Header, Recorder, RecorderError, Size, verify};

const SESSION: SessionId = SessionId::from_bytes([3; 16]);
const BEGUN: u64 = 1_795_290_282_500;

fn header() -> Header {
    Header {
        size: Size { columns: 100, rows: 30 },
        begun: Timestamp(BEGUN),
        command: None,
        title: Some("ann on \"web-1\"".into()),
        env: BTreeMap::from([("TERM".into(), "xterm-256color".into())]),
        pipes: false,
    }
}

fn at(ms: u64) -> Timestamp {
    Timestamp(BEGUN + ms)
}

fn output(recorder: &Recorder, ms: u64, offset: u64, bytes: &[u8]) {
    recorder.append(at(ms), Event::Output { offset, bytes }).unwrap();
}

/// Reads a recording strictly: the header, then events of which time never goes back.
fn events(dir: &Path) -> Vec<(f64, String, String)> {
    let text = std::fs::read_to_string(paths(dir, SESSION).0).unwrap();
    assert!(text.ends_with('\n'));
    let mut lines = text.lines();
    let first: serde_json::Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    assert_eq!(
        (&first["version"], &first["width"], &first["height"]),
        (&2.into(), &100.into(), &30.into())
    );
    assert_eq!(first["timestamp"], BEGUN / 1000);
    assert_eq!(first["title"], "ann on \"web-1\"");
    let mut last = 0.0;
    let parse = |line: &str| {
        let event: (f64, String, String) = serde_json::from_str(line).unwrap();
        assert!(event.0 >= last, "{line}");
        last = event.0;
        event
    };
    lines.map(parse).collect()
}

/// The output of a command on pipes, byte for byte.
fn bytes(dir: &Path) -> Vec<u8> {
    let bytes = |(_, code, data): (f64, String, String)| match code.as_str() {
        "o" => data.into_bytes(),
        "b" => base64::engine::general_purpose::STANDARD.decode(data).unwrap(),
        other => panic!("{other}"),
    };
    events(dir).into_iter().flat_map(bytes).collect()
}

fn text(dir: &Path, code: &str) -> String {
    events(dir).into_iter().filter(|event| event.1 == code).map(|event| event.2).collect()
}

// req: SES-03
#[test]
fn a_recording_says_what_happened_and_proves_it() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::create(dir.path(), SESSION, &header()).unwrap();
    output(&recorder, 10, 0, b"$ ");
    recorder.append(at(20), Event::Input { offset: 0, bytes: b"ls\r" }).unwrap();
    recorder.append(at(30), Event::Resize(Size { columns: 120, rows: 40 })).unwrap();
    output(&recorder, 15, 2, "caf\u{e9} \x1b[1m\"x\"\\\r\n".as_bytes());
    assert_eq!(recorder.recorded(), 0, "nothing is recorded before it is written");
    recorder.flush().unwrap();
    assert_eq!((recorder.recorded(), recorder.recorded_input()), (18, 3));
    recorder.append(at(40), Event::Marker("done")).unwrap();
    let link = recorder.finish(at(50), &SessionOutcome::Exited(3)).unwrap();

    let expected = [
        (0.01, "o", "$ "),
        (0.02, "i", "ls\r"),
        (0.03, "r", "120x40"),
        (0.03, "o", "caf\u{e9} \x1b[1m\"x\"\\\r\n"),
        (0.04, "m", "done"),
    ];
    let found = events(dir.path());
    let found: Vec<_> = found.iter().map(|e| (e.0, e.1.as_str(), e.2.as_str())).collect();
    assert_eq!(found, expected);
    let verified = verify(dir.path(), SESSION).unwrap();
    assert_eq!((verified.broken, verified.ending), (None, Some(Ending::Exited(3))));
    assert_eq!((verified.link, verified.output), (link, 18));
    assert!(matches!(Recorder::resume(dir.path(), SESSION), Err(RecorderError::Finished(_))));
}

// req: SES-03
#[test]
fn output_on_pipes_that_is_no_text_is_kept_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let on_pipes = Header { pipes: true, ..header() };
    let recorder = Recorder::create(dir.path(), SESSION, &on_pipes).unwrap();
    let pieces: [&[u8]; 6] =
        [b"caf\xc3", b"\xa9\n", b"a\0b", b"\xe2\x82", b"\xff\xfe", b"end \xf0\x9f"];
    let mut offset = 0;
    for bytes in pieces {
        output(&recorder, offset, offset, bytes);
        offset += bytes.len() as u64;
    }
    recorder.finish(at(40), &SessionOutcome::Exited(0)).unwrap();
    assert_eq!(bytes(dir.path()), pieces.concat());
    let found = events(dir.path());
    let found: Vec<_> = found.iter().map(|e| (e.1.as_str(), e.2.as_str())).collect();
    let expected = [
        ("o", "caf"),
        ("o", "\u{e9}\n"),
        ("b", "YQBi"),
        ("b", "4oL//g=="),
        ("o", "end "),
        ("b", "8J8="),
    ];
    assert_eq!(found, expected);
}

// req: SES-03
#[test]
fn what_is_appended_while_another_thread_writes_stands_in_its_order() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::create(dir.path(), SESSION, &header()).unwrap();
    let all: Vec<u8> = (0..200_000_u32).map(|i| b'a' + (i % 23) as u8).collect();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut times = 0;
            while recorder.recorded() < all.len() as u64 {
                recorder.flush().unwrap();
                times += 1;
            }
            times
        });
        for (number, piece) in all.chunks(100).enumerate() {
            output(&recorder, number as u64, (number * 100) as u64, piece);
            assert!(recorder.recorded() <= recorder.appended());
        }
        assert!(writer.join().unwrap() > 0);
    });
    assert!(recorder.is_flushed());
    recorder.finish(at(2_000), &SessionOutcome::Exited(0)).unwrap();
    assert_eq!(text(dir.path(), "o").as_bytes(), all);
    assert_eq!(verify(dir.path(), SESSION).unwrap().broken, None);
}

// req: SES-03
#[test]
fn a_recording_that_was_let_go_of_is_anothers_whoever_still_holds_it() {
    let dir = tempfile::tempdir().unwrap();
    let first = Recorder::create(dir.path(), SESSION, &header()).unwrap();
    output(&first, 1, 0, b"one ");
    first.flush().unwrap();
    output(&first, 2, 4, b"lost");
    first.let_go();
    let (second, resumed) = Recorder::resume(dir.path(), SESSION).unwrap();
    assert_eq!(resumed.output, 4);
    for refused in [first.flush(), first.sync(), first.end(at(3), &SessionOutcome::Closed)] {
        assert!(matches!(refused, Err(RecorderError::LetGo(SESSION))), "{refused:?}");
    }
    output(&second, 4, 4, b"two");
    second.finish(at(5), &SessionOutcome::Closed).unwrap();
    assert_eq!(text(dir.path(), "o"), "one two");
    assert_eq!(verify(dir.path(), SESSION).unwrap().broken, None);
}

// req: SES-03
#[test]
fn one_part_at_a_time_leaves_memory_and_the_recording_stays_whole() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::create(dir.path(), SESSION, &header()).unwrap();
    let piece = vec![b'x'; 1024 * 1024];
    let mut offset = 0;
    let mut print = |recorder: &Recorder, pieces: usize| {
        for _ in 0..pieces {
            output(recorder, 1, offset, &piece);
            offset += piece.len() as u64;
            recorder.flush().unwrap();
        }
    };
    print(&recorder, 7);
    assert!(recorder.behind().is_none(), "too little to be worth it");
    print(&recorder, 1);
    let first = recorder.behind().unwrap();
    print(&recorder, 9);
    assert!(recorder.behind().is_none(), "the disk is slow, so the rest waits");
    first.let_go();
    recorder.behind().unwrap().let_go();
    assert!(recorder.behind().is_none(), "all was told");
    recorder.finish(at(2), &SessionOutcome::Exited(0)).unwrap();
    assert!(verify(dir.path(), SESSION).is_ok());
    assert_eq!(text(dir.path(), "o").len(), 17 * 1024 * 1024);
}

#[test]
fn every_changed_byte_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::create(dir.path(), SESSION, &header()).unwrap();
    for (offset, bytes) in [(0, b"first"), (5, b"after")] {
        output(&recorder, offset, offset, bytes);
        recorder.flush().unwrap();
    }
    recorder.finish(at(9), &SessionOutcome::Closed).unwrap();
    let (cast, chain) = paths(dir.path(), SESSION);
    for path in [cast, chain] {
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            std::fs::write(&path, &changed).unwrap();
            assert!(verify(dir.path(), SESSION).unwrap().broken.is_some(), "byte {at}");
        }
        let longer = [whole.as_slice(), b"x"].concat();
        std::fs::write(&path, longer).unwrap();
        assert!(verify(dir.path(), SESSION).unwrap().broken.is_some(), "a byte more");
        std::fs::write(&path, whole).unwrap();
    }
    assert_eq!(verify(dir.path(), SESSION).unwrap().broken, None);
}

#[test]
fn bytes_delivered_twice_stand_once_and_a_gap_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::create(dir.path(), SESSION, &header()).unwrap();
    output(&recorder, 1, 0, b"0123");
    output(&recorder, 2, 2, b"2345");
    output(&recorder, 3, 1, b"123");
    recorder.flush().unwrap();
    let gap = recorder.append(at(4), Event::Output { offset: 7, bytes: b"7" }).unwrap_err();
    assert!(matches!(gap, RecorderError::Gap { expected: 6, offset: 7, .. }), "{gap}");
    recorder.note_loss(at(4), 7).unwrap();
    output(&recorder, 5, 7, b"7");
    recorder.finish(at(6), &SessionOutcome::Failed("link lost".into())).unwrap();
    assert_eq!(text(dir.path(), "o"), "0123457");
    assert_eq!(text(dir.path(), "m"), "1 bytes of output are missing herelink lost");
}

#[test]
fn one_process_writes_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::create(dir.path(), SESSION, &header()).unwrap();
    let second = Recorder::resume(dir.path(), SESSION).unwrap_err();
    assert!(matches!(second, RecorderError::HeldElsewhere(_)), "{second}");
    let second = Recorder::create(dir.path(), SESSION, &header()).unwrap_err();
    assert!(matches!(second, RecorderError::HeldElsewhere(_)), "{second}");
    drop(recorder);
    let exists = Recorder::create(dir.path(), SESSION, &header()).unwrap_err();
    assert!(matches!(exists, RecorderError::Exists(_)), "{exists}");
    Recorder::resume(dir.path(), SESSION).unwrap();
    let other = SessionId::from_bytes([4; 16]);
    let missing = Recorder::resume(dir.path(), other).unwrap_err();
    assert!(matches!(missing, RecorderError::Missing { .. }), "{missing}");
}

#[test]
fn a_recording_of_another_session_does_not_pass() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::create(dir.path(), SESSION, &header()).unwrap();
    output(&recorder, 1, 0, b"x");
    recorder.finish(at(2), &SessionOutcome::Closed).unwrap();
    let other = SessionId::from_bytes([4; 16]);
    let (from, to) = (paths(dir.path(), SESSION), paths(dir.path(), other));
    std::fs::copy(from.0, to.0).unwrap();
    std::fs::copy(from.1, to.1).unwrap();
    assert!(verify(dir.path(), other).unwrap().broken.is_some());
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_and_nothing_is_lost_when_there_is_room_again() {
    let dir = tempfile::tempdir().unwrap();
    let mount = |args: &[&str]| {
        let status = std::process::Command::new(args[0]).args(&args[1..]).status();
        status.is_ok_and(|status| status.success())
    };
    let path = dir.path().to_str().unwrap();
    if !mount(&["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", path]) {
        eprintln!("Left out: mounting a small file system needs root");
        return;
    }
    let ballast = dir.path().join("ballast");
    std::fs::write(&ballast, vec![0; 128 * 1024]).unwrap();
    let recorder = Recorder::create(dir.path(), SESSION, &header()).unwrap();
    let all = "line of text\r\n".repeat(12_000).into_bytes();
    output(&recorder, 1, 0, &all);
    let error = recorder.flush().unwrap_err();
    assert!(error.to_string().starts_with("cannot write "), "{error}");
    assert_eq!(recorder.recorded(), 0);
    std::fs::remove_file(ballast).unwrap();
    recorder.flush().unwrap();
    assert_eq!(recorder.recorded(), all.len() as u64);
    recorder.finish(at(2), &SessionOutcome::Closed).unwrap();
    let (found, verified) = (text(dir.path(), "o"), verify(dir.path(), SESSION).unwrap());
    assert!(mount(&["umount", path]));
    assert_eq!(found.as_bytes(), all);
    assert_eq!(verified.broken, None);
}

/// What the crash leaves: either file shorter, or with rubbish behind its end.
#[derive(Debug, Clone, Copy)]
enum Crash {
    CutCast(usize),
    CutChain(usize),
    /// The recording did not reach the disk and its file is filled up with zeros.
    ZeroCast(usize),
    Rubbish(u8),
}

fn crash() -> impl Strategy<Value = Crash> {
    prop_oneof![
        any::<usize>().prop_map(Crash::CutCast),
        any::<usize>().prop_map(Crash::CutChain),
        any::<usize>().prop_map(Crash::ZeroCast),
        any::<u8>().prop_map(Crash::Rubbish),
    ]
}

/// Damages the tail after the first record and after what was synced.
fn strike(dir: &Path, crash: Crash, cast_keep: u64, chain_keep: u64) {
    let (cast, chain) = paths(dir, SESSION);
    let (path, keep, zero) = match crash {
        Crash::CutCast(_) => (cast, cast_keep, false),
        Crash::ZeroCast(_) => (cast, cast_keep, true),
        Crash::CutChain(_) => (chain, chain_keep, false),
        Crash::Rubbish(byte) => {
            for path in [cast, chain] {
                let mut bytes = std::fs::read(&path).unwrap();
                bytes.extend(std::iter::repeat_n(byte, usize::from(byte)));
                std::fs::write(path, bytes).unwrap();
            }
            return;
        }
    };
    let len = std::fs::metadata(&path).unwrap().len();
    let (Crash::CutCast(at) | Crash::CutChain(at) | Crash::ZeroCast(at)) = crash else { return };
    let cut = keep + at as u64 % (len - keep + 1);
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(cut).unwrap();
    if zero {
        file.set_len(len).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    // req: SES-03
    // req: SES-05
    #[test]
    fn after_any_crash_the_recording_goes_on_to_the_same_stream(
        all in prop_oneof![
            proptest::collection::vec(any::<u8>(), 1..600),
            "\\PC{1,200}".prop_map(String::into_bytes),
        ],
        pieces in proptest::collection::vec((1..60usize, any::<bool>(), 0..20u8), 1..40),
        crashes in proptest::collection::vec((0..40usize, crash()), 0..4),
        pipes in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut recorder = Recorder::create(dir.path(), SESSION, &Header { pipes, ..header() }).unwrap();
        let (mut sent, mut ms, mut kept) = (0, 0, (recorder.len(), RECORD_LEN as u64));
        let mut records = 1;
        for (step, (len, flush, sync)) in pieces.into_iter().cycle().enumerate() {
            if sent == all.len() {
                break;
            }
            ms += 7;
            let end = all.len().min(sent + len);
            output(&recorder, ms, sent as u64, &all[sent..end]);
            sent = end;
            if flush {
                recorder.flush().unwrap();
                records += 1;
                if sync == 0 {
                    recorder.sync().unwrap();
                    kept = (recorder.len(), records * RECORD_LEN as u64);
                }
            }
            for (_, crash) in crashes.iter().filter(|(when, _)| *when == step) {
                drop(recorder);
                strike(dir.path(), *crash, kept.0, kept.1);
                let (resumed, from) = Recorder::resume(dir.path(), SESSION).unwrap();
                recorder = resumed;
                prop_assert!(from.output <= sent as u64);
                sent = usize::try_from(from.output).unwrap();
                records = std::fs::metadata(paths(dir.path(), SESSION).1).unwrap().len() / RECORD_LEN as u64;
            }
        }
        recorder.finish(at(ms), &SessionOutcome::Exited(0)).unwrap();
        if pipes {
            prop_assert_eq!(bytes(dir.path()), all.clone());
        } else {
            prop_assert_eq!(text(dir.path(), "o"), String::from_utf8_lossy(&all));
        }
        let verified = verify(dir.path(), SESSION).unwrap();
        prop_assert_eq!(verified.broken, None);
        prop_assert_eq!(verified.output, all.len() as u64);
    }
}
