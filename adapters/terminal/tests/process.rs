//! Real commands on terminals and pipes.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::time::Duration;

use bytes::BytesMut;
use model::SessionOutcome;
use sluis_terminal::process::READ_LIMIT;
use sluis_terminal::{
    Command, Output, Process, ProcessError, Run, Size, Stream, Terminal, Waiting,
};
use tokio::io::AsyncWriteExt;

fn on_terminal(run: Run) -> Command {
    let size = Size { columns: 91, rows: 17 };
    let terminal = Terminal { term: "xterm-256color".into(), size };
    Command { run, terminal: Some(terminal), env: Vec::new(), dir: None }
}

fn line(line: &str) -> Run {
    Run::Program(vec!["/bin/sh".into(), "-c".into(), line.into()])
}

async fn all(output: &mut Output) -> Vec<u8> {
    let mut buffer = BytesMut::new();
    while output.read_into(&mut buffer, READ_LIMIT).await.unwrap() > 0 {}
    buffer.to_vec()
}

/// Reads until the text is there; a command that ends before fails the test.
async fn until(output: &mut Output, seen: &mut BytesMut, text: &str) {
    while !String::from_utf8_lossy(seen).contains(text) {
        let count = output.read_into(seen, READ_LIMIT).await.unwrap();
        assert!(count > 0, "ended before “{text}”: {:?}", String::from_utf8_lossy(seen));
    }
}

#[tokio::test]
async fn a_command_on_a_terminal_sees_it() {
    let script =
        "test -t 0 && test -t 2 && stty size && echo $TERM && tty && read x && stty size && exit 9";
    let mut process = Process::start(&on_terminal(line(script))).unwrap();
    let mut seen = BytesMut::new();
    until(&mut process.output, &mut seen, "/dev/pts/").await;
    assert!(String::from_utf8_lossy(&seen).starts_with("17 91\r\nxterm-256color\r\n"));
    process.control.resize(Size { columns: 40, rows: 10 }).unwrap();
    process.input.write_all(b"\n").await.unwrap();
    let rest = all(&mut process.output).await;
    assert!(String::from_utf8_lossy(&rest).contains("10 40\r\n"));
    assert_eq!(process.exit.wait().await, SessionOutcome::Exited(9));
    assert_eq!(process.exit.wait().await, SessionOutcome::Exited(9));
}

#[tokio::test]
async fn the_login_shell_has_job_control_and_ends_in_spite_of_its_jobs() {
    let terminal = Terminal { term: "dumb".into(), size: Size::default() };
    let mut process = Process::start(&Command::shell(terminal)).unwrap();
    process.input.write_all(b"set -m; sleep 1000 & jobs; echo d''one; exit 4\n").await.unwrap();
    assert_eq!(process.exit.wait().await, SessionOutcome::Exited(4));
    let mut rest = BytesMut::new();
    while process.output.read_now(&mut rest, READ_LIMIT).unwrap() > 0 {}
    let text = String::from_utf8_lossy(&rest);
    assert!(text.contains("done"), "{text}");
    assert!(!text.contains("no job control"), "{text}");
    process.control.kill();
    while process.output.read_into(&mut rest, READ_LIMIT).await.unwrap() > 0 {}
}

#[tokio::test]
async fn a_command_on_pipes_keeps_its_errors_apart_and_reads_the_end_of_its_input() {
    let mut process = Process::start(&Command::line("cat; echo oops >&2; exit 3")).unwrap();
    process.input.write_all(b"through\n").await.unwrap();
    process.input.close();
    assert_eq!(all(&mut process.output).await, b"through\n");
    assert_eq!(all(process.errors.as_mut().unwrap()).await, b"oops\n");
    assert_eq!(process.exit.wait().await, SessionOutcome::Exited(3));
    let closed = process.input.write_all(b"more").await.unwrap_err();
    assert_eq!(closed.kind(), std::io::ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn bulk_output_comes_whole_and_in_large_reads() {
    let mut process = Process::start(&Command::line("seq 1 400000")).unwrap();
    let (mut buffer, mut reads) = (BytesMut::new(), 0);
    while process.output.read_into(&mut buffer, READ_LIMIT).await.unwrap() > 0 {
        reads += 1;
    }
    let numbers: Vec<u32> = buffer[..]
        .split(|b| *b == b'\n')
        .filter_map(|n| std::str::from_utf8(n).ok()?.parse().ok())
        .collect();
    assert!(numbers.into_iter().eq(1..=400_000));
    assert!(reads < buffer.len() / 4096, "{reads} reads");
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let nothing = Run::Program(vec!["/no/such/program".into()]);
    let error = Process::start(&on_terminal(nothing)).unwrap_err();
    assert!(error.to_string().contains("cannot start /no/such/program"), "{error}");
    let mut bad = on_terminal(Run::Shell);
    bad.terminal.as_mut().unwrap().term = "../x".into();
    assert!(matches!(Process::start(&bad), Err(ProcessError::BadTerm(_))));
    let empty = Command { terminal: None, ..on_terminal(Run::Program(Vec::new())) };
    assert!(matches!(Process::start(&empty), Err(ProcessError::Empty)));
}

#[tokio::test]
async fn ending_a_session_takes_its_background_jobs_along() {
    let script = "trap '' HUP; set -m; sleep 1000 & echo pid=$!.; wait";
    let bash = Run::Program(vec!["/bin/bash".into(), "-c".into(), script.into()]);
    let mut process = Process::start(&on_terminal(bash)).unwrap();
    let mut seen = BytesMut::new();
    until(&mut process.output, &mut seen, ".").await;
    let text = String::from_utf8_lossy(&seen).into_owned();
    let job: i32 = text.split(['=', '.']).nth(1).unwrap().parse().unwrap();
    let control = process.control.clone();
    let (outcome, ()) = tokio::join!(process.exit.wait(), control.end(Duration::from_millis(100)));
    assert_eq!(outcome, SessionOutcome::Signalled(9));
    all(&mut process.output).await;
    let gone = || {
        let state = std::fs::read_to_string(format!("/proc/{job}/stat"));
        state.map_or(true, |state| state.contains(" Z "))
    };
    // It is killed; the kernel ends it when its turn comes.
    let ends = async {
        while !gone() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), ends).await.expect("the job is still there");
}

#[tokio::test]
async fn a_process_is_rebuilt_from_its_descriptors() {
    for run in [
        on_terminal(line("read a; echo got $a; exit 6")),
        Command::line("read a; echo got $a; exit 6"),
    ] {
        let first = Process::start(&run).unwrap();
        let description = first.control.describe();
        let fds = first.control.duplicate().unwrap();
        drop(first);
        let mut second = Process::from_inherited(&description, fds, Waiting::Child).unwrap();
        second.input.write_all(b"it\n").await.unwrap();
        let text = String::from_utf8_lossy(&all(&mut second.output).await).into_owned();
        assert!(text.contains("got it"), "{text}");
        assert_eq!(second.exit.wait().await, SessionOutcome::Exited(6));
    }
}

#[tokio::test]
async fn a_closed_input_stays_closed_over_a_hand_over() {
    let mut first = Process::start(&Command::line("cat; sleep 0.05; echo end")).unwrap();
    first.input.write_all(b"x").await.unwrap();
    first.input.close();
    let description = first.control.describe();
    assert_eq!(description.streams, [Stream::Output, Stream::Errors]);
    let fds = first.control.duplicate().unwrap();
    drop(first);
    let mut second = Process::from_inherited(&description, fds, Waiting::Child).unwrap();
    assert_eq!(all(&mut second.output).await, b"xend\n");
    assert!(second.input.write_all(b"y").await.is_err());
}

#[tokio::test]
async fn an_adopted_process_ends_as_its_parent_says() {
    let mut first = Process::start(&Command::line("exit 5")).unwrap();
    let description = first.control.describe();
    let fds = first.control.duplicate().unwrap();
    let (tell, told) = tokio::sync::oneshot::channel();
    let mut second = Process::from_inherited(&description, fds, Waiting::Adopted(told)).unwrap();
    tell.send(first.exit.wait().await).unwrap();
    assert_eq!(second.exit.wait().await, SessionOutcome::Exited(5));

    let (_, never) = tokio::sync::oneshot::channel();
    let fds = first.control.duplicate().unwrap();
    let mut third = Process::from_inherited(&description, fds, Waiting::Adopted(never)).unwrap();
    assert!(matches!(third.exit.wait().await, SessionOutcome::Failed(_)));
    let wrong = Process::from_inherited(&description, Vec::new(), Waiting::Child).unwrap_err();
    assert!(wrong.to_string().contains("number of descriptors"), "{wrong}");
}
