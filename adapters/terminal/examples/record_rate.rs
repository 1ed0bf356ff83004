//! Prints how many bytes of session output one core records in a second.
//!
//! `cargo run -p sluis-terminal --example record_rate [DIR]`; without `DIR` it writes to a temporary folder.

use std::path::{Path, PathBuf};
use std::time::Instant;

use model::{SessionId, Timestamp};
use sluis_terminal::{Event, Header, Recorder};

const CHUNK: usize = 128 * 1024;
const TOTAL: usize = 512 * 1024 * 1024;

fn main() {
    let given = std::env::args_os().nth(1).map(PathBuf::from);
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let dir = given.as_deref().unwrap_or(temporary.path());
    for (name, chunk) in
        [("log lines", log_lines()), ("coloured text", coloured()), ("random bytes", random())]
    {
        let (wall, core) = rate(dir, &chunk);
        println!("{name:14} {core:.2} GB in a second of one core's time, {wall:.2} GB/s");
    }
}

fn rate(dir: &Path, chunk: &[u8]) -> (f64, f64) {
    let session = SessionId::from_bytes([7; 16]);
    let recorder = Recorder::create(dir, session, &Header::default()).expect("a recording");
    let (started, busy) = (Instant::now(), core_time());
    let mut offset = 0;
    while offset < TOTAL as u64 {
        let at = Timestamp(started.elapsed().as_millis() as u64);
        recorder.append(at, Event::Output { offset, bytes: chunk }).expect("appended");
        recorder.flush().expect("written");
        offset += chunk.len() as u64;
    }
    let gigabytes = offset as f64 / 1e9;
    let rate = (gigabytes / started.elapsed().as_secs_f64(), gigabytes / (core_time() - busy));
    drop(recorder);
    for name in ["cast", "chain"] {
        std::fs::remove_file(dir.join(format!("{session}.{name}"))).expect("removed");
    }
    rate
}

/// Seconds that this thread has had a core; what others take on a busy machine does not count.
#[cfg(unix)]
fn core_time() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

#[cfg(not(unix))]
fn core_time() -> f64 {
    f64::NAN
}

fn log_lines() -> Vec<u8> {
    let line = b"2026-11-21T19:44:42Z node-17 unit[4711]: connection from 10.0.3.7 port 52814 accepted in 12 ms\r\n";
    line.iter().copied().cycle().take(CHUNK).collect()
}

fn coloured() -> Vec<u8> {
    let line =
        "\x1b[1;32muser@host\x1b[0m:\x1b[34m~/src\x1b[0m$ ls → \x1b[1mCargo.toml\x1b[0m \"x\"\r\n";
    line.bytes().cycle().take(CHUNK).collect()
}

fn random() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..CHUNK).map(|_| next()).collect()
}
