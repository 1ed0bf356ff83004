//! The disk of the recordings stands still: sessions go on, and nothing is missing in a recording afterwards.
//!
//! It needs root, a free loop device, `mkfs.ext4` and `fsfreeze`. Where one is missing the test says which, and
//! passes.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use link::{LinkHandle, Reader, Writer};
use model::SessionId;
use session::{Channel, EndOfInput, Frame, Message, Refused};
use sluis_e2e::by_hand::{Stage, ask, send, to_its_end};
use sluis_e2e::live::check_recordings_in;
use sluis_e2e::rig::Rig;
use tokio::sync::watch;

/// Far more than the site keeps in memory, and less than the endpoint may hold unacknowledged.
const MUCH: u64 = 2 * 1024 * 1024;
/// More than the endpoint may hold, so that the session must wait for the disk.
const TOO_MUCH: u64 = 8 * 1024 * 1024;
const KEYS: u64 = 100;
/// More than the site has threads that relay.
const NEW: usize = 12;

/// A file system in a file.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new() -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("it needs root".into());
        }
        let disk = Self(tempfile::tempdir().map_err(|error| error.to_string())?);
        let image = disk.0.path().join("image");
        let made = File::create(&image).and_then(|file| file.set_len(64 << 20));
        made.and_then(|()| std::fs::create_dir(disk.path())).map_err(|error| error.to_string())?;
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image))?;
        run(Command::new("mount").args(["-o", "loop"]).arg(image).arg(disk.path()))?;
        Ok(disk)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("mount")
    }

    fn freeze(&self) -> Result<Frozen, String> {
        run(Command::new("fsfreeze").arg("-f").arg(self.path()))?;
        Ok(Frozen(self.path()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = run(Command::new("umount").arg(self.path()));
    }
}

/// While it lives, every write waits.
struct Frozen(PathBuf);

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = run(Command::new("fsfreeze").arg("-u").arg(&self.0));
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

async fn open(link: &LinkHandle, command: &str) -> (Reader, Writer) {
    let asked = ask(SessionId(uuid::Uuid::now_v7()), command);
    let (mut reader, writer) = send(link, &asked).await.expect("asked");
    let answer = reader.message().await.expect("an answer");
    assert!(matches!(answer, Message::Opened(_)), "{answer:?}");
    (reader, writer)
}

/// What a session that cannot be recorded is answered.
async fn refused(link: LinkHandle) -> Refused {
    let asked = ask(SessionId(uuid::Uuid::now_v7()), "true");
    let (mut reader, _writer) = send(&link, &asked).await.expect("asked");
    let answer = reader.message().await.expect("an answer");
    let Message::Refused(refused) = answer else { panic!("{answer:?}") };
    refused
}

/// Types, and waits for each echo; that many keys were typed before.
async fn type_and_see(before: u64, reader: &mut Reader, writer: &Writer) {
    for key in before..before + KEYS {
        writer.data(Channel::Input, key, b"k").await.expect("typed");
        loop {
            let received = reader.next().await.expect("the link holds").expect("the session runs");
            if let Frame::Data { offset, bytes, .. } = received.frame {
                assert_eq!((offset, &bytes[..]), (key, &b"k"[..]));
                break;
            }
        }
    }
}

fn recordings(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "cast")).count()
}

// req: SES-03
#[test]
fn a_disk_that_stands_still_stops_no_session_and_no_byte_is_missing_afterwards() {
    let disk = match Disk::new() {
        Ok(disk) => disk,
        Err(reason) => {
            eprintln!("Left out: {reason}");
            return;
        }
    };
    let rig = Rig::new().expect("a rig");
    std::os::unix::fs::symlink(disk.path(), rig.path("site/recordings")).expect("a link");
    let stage = Stage::on(rig).expect("a site with an agent");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let dialed = stage.dial(&stage.ada).await.expect("a link");
        let link = dialed.link.handle();
        let (mut typing, keys) = open(&link, "cat").await;
        let print = format!("read go; head -c {TOO_MUCH} /dev/zero | tr '\\0' x");
        let (printing, go) = open(&link, &print).await;

        let frozen = disk.freeze().expect("frozen");
        go.data(Channel::Input, 0, b"\n").await.expect("it begins");
        let (count, mut counted) = watch::channel(0);
        let printed = to_its_end(printing, go, 0, move |n| {
            count.send_replace(n);
        });
        let printed = tokio::spawn(printed);
        let limit = Duration::from_mins(1);
        let much = counted.wait_for(|n| *n > MUCH);
        tokio::time::timeout(limit, much).await.expect("it prints on").expect("it runs");
        let refused: Vec<_> = (0..NEW).map(|_| tokio::spawn(refused(link.clone()))).collect();
        let echo = type_and_see(0, &mut typing, &keys);
        tokio::time::timeout(limit, echo).await.expect("the other session is not stopped");
        assert!(*counted.borrow() < TOO_MUCH, "more than the endpoint may hold is not recorded");
        for answer in refused {
            let text = answer.await.expect("an answer").text;
            assert!(text.contains("disk needs attention"), "{text}");
        }
        let echo = type_and_see(KEYS, &mut typing, &keys);
        tokio::time::timeout(limit, echo).await.expect("the other session is not stopped");
        drop(frozen);

        let (shown, exit) = printed.await.expect("it runs").expect("all of it comes");
        assert_eq!((shown.len() as u64, exit.status), (TOO_MUCH, Some(0)));
        keys.message(EndOfInput { offset: 2 * KEYS }).await.expect("said");
        let (_, exit) = to_its_end(typing, keys, 2 * KEYS, |_| {}).await.expect("it ends");
        assert_eq!((exit.status, exit.offset), (Some(0), 2 * KEYS));
    });
    // Those that were begun too late are taken away as soon as the disk lets them begin.
    let deadline = Instant::now() + Duration::from_secs(30);
    while recordings(&disk.path()) > 2 {
        assert!(Instant::now() < deadline, "recordings of sessions that were refused stay");
        std::thread::sleep(Duration::from_millis(20));
    }
    let whole = check_recordings_in(&disk.path(), Duration::from_secs(30)).expect("whole");
    assert_eq!(whole, 2);
}
