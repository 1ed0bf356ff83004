//! The wire as committed bytes: `tests/transcripts/*.txt`, which `docs/concepts/link.md` refers to.
//!
//! Each file is made anew from code and compared byte by byte; `GOLDEN=write cargo nextest run -p
//! sluis-core-session` writes the files. What stands in them is then read back with the decoders, so
//! that a change of either side is noticed.

use std::fmt::Write as _;
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use model::{AgentId, OperatorId, PublicKey, SessionId, Timestamp};
use sluis_core_session::{
    AgentStatus, Bye, Channel, ChosenId, ClientHello, Close, ControlStream, EndOfInput, Exit,
    Finished, Frame, Message, Migrate, MigrateReady, Moved, OpenApi, OpenSession, Opened, Ping,
    Pong, Refused, RefusedCode, Resize, Resume, SendFrom, Signal, SignalTaken, SigningKey,
    SiteHello, StartSession, Ticket, Uninstalled, UpgradeAvailable, Welcome, decode, encode_ack,
    encode_data, encode_message,
};

const EXPORTER: [u8; 32] = [0xee; 32];

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32]).expect("32 bytes")
}

// ---- the text ----

/// A transcript as it is written: comments, and lines `direction name` with their bytes below.
struct Transcript {
    name: &'static str,
    text: String,
}

impl Transcript {
    fn new(name: &'static str, about: &str) -> Self {
        let mut transcript = Self { name, text: String::new() };
        transcript.note(about);
        transcript
    }

    fn note(&mut self, text: &str) {
        for line in text.lines() {
            let mark = if line.is_empty() { "" } else { "# " };
            let _ = writeln!(self.text, "{mark}{line}");
        }
    }

    /// An entry: who says what to whom, and its parts with what each means.
    fn entry(&mut self, direction: &str, name: &str, parts: &[(&[u8], &str)]) {
        let _ = writeln!(self.text, "\n{direction}: {name}");
        for (bytes, meaning) in parts {
            let chunks: Vec<&[u8]> = bytes.chunks(16).collect();
            for (i, chunk) in chunks.iter().enumerate() {
                let hex: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
                let remark = if i == 0 { format!("; {meaning}") } else { String::new() };
                let _ = writeln!(
                    self.text,
                    "{}",
                    format!("  {:<48}{remark}", hex.join(" ")).trim_end()
                );
            }
        }
    }

    fn message(&mut self, direction: &str, message: impl Into<Message>) {
        let message = message.into();
        let name = format!("{message:?}");
        let name = name.split('(').next().unwrap_or_default();
        self.frame(direction, name, &encode_message(&message));
    }

    /// A whole frame, cut where its meaning changes.
    fn frame(&mut self, direction: &str, name: &str, frame: &[u8]) {
        let (header, payload) = frame.split_at(4);
        let kind = match header[0] {
            0x01 => "message",
            0x02 => "output",
            0x03 => "error",
            0x04 => "input",
            0x05 => "ack",
            _ => "skipped by who does not know it",
        };
        let header_means = format!("kind {kind}, {} bytes", payload.len());
        match header[0] {
            0x01 => {
                let type_len = if payload[0] < 24 { 1 } else { 2 };
                let (number, map) = payload.split_at(type_len);
                let type_means = format!("type {}", number[type_len - 1]);
                self.entry(
                    direction,
                    name,
                    &[(header, &header_means), (number, &type_means), (map, "fields")],
                );
            }
            0x02..=0x05 => {
                let (offset, bytes) = payload.split_at(8);
                let shown = String::from_utf8_lossy(bytes).escape_debug().to_string();
                let offset_means =
                    format!("offset {}", u64::from_be_bytes(offset.try_into().expect("8 bytes")));
                self.entry(
                    direction,
                    name,
                    &[(header, &header_means), (offset, &offset_means), (bytes, &shown)],
                );
            }
            _ => self.entry(direction, name, &[(header, &header_means), (payload, "anything")]),
        }
    }

    fn data(&mut self, direction: &str, channel: Channel, offset: u64, bytes: &[u8]) {
        self.frame(direction, &format!("{channel:?}"), &encode_data(channel, offset, bytes));
    }

    fn ack(&mut self, direction: &str, offset: u64) {
        self.frame(direction, "Ack", &encode_ack(offset));
    }

    /// Compares with the committed file, or writes it; answers its entries, read back from the file.
    #[expect(clippy::disallowed_methods, reason = "golden files lie beside the test")]
    fn check(self) -> Vec<(String, Vec<u8>)> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
        let path = folder.join(format!("{}.txt", self.name));
        if std::env::var_os("GOLDEN").is_some_and(|value| value == "write") {
            std::fs::write(&path, &self.text).expect("the transcripts can be written");
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == self.text,
            "{} is not what the code says; a change of the wire needs a new version, a new key or a \
             new number; `GOLDEN=write` writes the file",
            path.display()
        );
        entries(&committed)
    }
}

/// The names and bytes of a transcript's text.
fn entries(text: &str) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<(String, Vec<u8>)> = Vec::new();
    for line in text.lines() {
        if let Some(hex) = line.strip_prefix("  ") {
            let hex = hex.split(';').next().unwrap_or_default();
            let bytes = hex.split_whitespace().map(|b| u8::from_str_radix(b, 16).expect("hex"));
            found.last_mut().expect("a name stands above").1.extend(bytes);
        } else if !line.is_empty() && !line.starts_with('#') {
            found.push((line.to_owned(), Vec::new()));
        }
    }
    found
}

/// Reads every entry as one whole frame.
fn frames(entries: Vec<(String, Vec<u8>)>) -> Vec<(String, Frame)> {
    let read = |(name, bytes): (String, Vec<u8>)| {
        let mut buffer = BytesMut::from(&bytes[..]);
        let frame = decode(&mut buffer).expect("readable").expect("whole");
        assert!(buffer.is_empty(), "{name} is one frame");
        (name, frame)
    };
    entries.into_iter().map(read).collect()
}

// ---- what is said ----

fn site_hello() -> SiteHello {
    SiteHello {
        version_min: 1,
        version_max: 1,
        key: key(1).public().0,
        version: "1.1.0".into(),
        revision: 2,
        generation: 7,
    }
}

fn client_hello() -> ClientHello {
    ClientHello {
        version: 1,
        role: 1,
        key: key(2).public().0,
        name: "web-1".into(),
        software: "1.0.0".into(),
        revision: 1,
        platform: "linux-x86_64".into(),
        token: Some("enrol-me".into()),
        passive: None,
    }
}

fn session_id() -> SessionId {
    SessionId::from_bytes([0x51; 16])
}

fn ticket() -> Ticket {
    Ticket {
        session: session_id(),
        agent: AgentId::from_bytes([0xa1; 16]),
        console: key(3).public(),
        operator: OperatorId::from_bytes([0x0b; 16]),
        operator_name: "ada".into(),
        endpoint: "web-1".into(),
        command: Some("cat".into()),
        opened: Timestamp(1_790_000_000_000),
        expires: Timestamp(1_790_604_800_000),
        columns: 80,
        rows: 24,
    }
}

fn sealed_ticket() -> Vec<u8> {
    ticket().seal(&key(4))
}

fn open_session() -> OpenSession {
    OpenSession {
        target: "web-1".into(),
        command: Some("cat".into()),
        columns: 80,
        rows: 24,
        term: "xterm".into(),
        terminal: false,
        session: Some(ChosenId(session_id())),
    }
}

fn start_session() -> StartSession {
    StartSession {
        session: session_id(),
        ticket: sealed_ticket(),
        command: Some("cat".into()),
        columns: 80,
        rows: 24,
        term: "xterm".into(),
        terminal: false,
        operator: "ada".into(),
    }
}

fn opened(ticket: Vec<u8>, endpoint: &str) -> Opened {
    Opened { session: session_id(), ticket, endpoint: endpoint.into() }
}

fn resume(received: u64, base: u64, head: u64) -> Resume {
    let (session, ticket) = (session_id(), sealed_ticket());
    Resume { session, ticket, received, base, head, away_ms: Some(120) }
}

fn exit(offset: u64) -> Exit {
    Exit { status: Some(0), signal: None, offset, reason: None }
}

fn welcome() -> Welcome {
    Welcome { id: Some(vec![0xa1; 16]), name: "web-1".into(), known: true }
}

// ---- the files ----

fn length_of(hello: &[u8]) -> [u8; 2] {
    u16::try_from(hello.len()).expect("short").to_be_bytes()
}

#[test]
fn hellos() {
    let mut transcript = Transcript::new(
        "hellos",
        "Both hellos and the welcome, directly in TLS, before yamux.\n\
         The site's key has the seed 01 × 32, the client's 02 × 32; the exporter value is ee × 32.",
    );
    let site = site_hello().seal(&key(1), &EXPORTER);
    let client = client_hello().seal(&key(2), &EXPORTER);
    for (direction, hello) in [("site → client", &site), ("client → site", &client)] {
        let (signature, map) = hello.split_at(64);
        let len = length_of(hello);
        let parts: [(&[u8], &str); 3] =
            [(&len, "length"), (signature, "signature"), (map, "fields")];
        transcript.entry(direction, "hello", &parts);
    }
    transcript.message("site → client", welcome());

    let read = transcript.check();
    let site = SiteHello::open(&read[0].1[2..], &EXPORTER, &[key(1).public()]);
    assert_eq!(site, Ok((site_hello(), key(1).public())));
    let client = ClientHello::open(&read[1].1[2..], &EXPORTER);
    assert_eq!(client, Ok((client_hello(), key(2).public())));
    for (_, hello) in &read[..2] {
        assert_eq!(hello[..2], length_of(&hello[2..]));
    }
    assert_eq!(frames(read[2..].to_vec())[0].1, Frame::Message(welcome().into()));
}

fn every_message() -> Vec<Message> {
    let refused = Refused::new(RefusedCode::Offline, "“web-1” is offline");
    let upgrade = UpgradeAvailable {
        target: "agent/agent-1.1.0-r2-x86_64-linux".into(),
        version: "1.1.0".into(),
        revision: 2,
    };
    let status = AgentStatus {
        phase: "downloading".into(),
        version: "1.1.0".into(),
        text: String::new(),
        percent: 40,
        again: None,
    };
    let failed = AgentStatus {
        phase: "failed".into(),
        text: "it was put back".into(),
        percent: 0,
        again: Some(false),
        ..status.clone()
    };
    vec![
        open_session().into(),
        start_session().into(),
        opened(sealed_ticket(), "web-1").into(),
        resume(5, 0, 3).into(),
        SendFrom { offset: 5 }.into(),
        refused.into(),
        Resize { columns: 132, rows: 50 }.into(),
        EndOfInput { offset: 300 }.into(),
        exit(70_000).into(),
        Exit { status: None, signal: Some(9), offset: 0, reason: None }.into(),
        Exit { status: None, signal: None, offset: 0, reason: Some("no shell".into()) }.into(),
        Finished {}.into(),
        Close {}.into(),
        Moved {}.into(),
        Signal { number: 2, serial: None }.into(),
        Signal { number: 15, serial: Some(1) }.into(),
        SignalTaken { serial: 1 }.into(),
        ControlStream {}.into(),
        Ping { number: 1 }.into(),
        Pong { number: 1 }.into(),
        Migrate { generation: 7 }.into(),
        MigrateReady {}.into(),
        Bye {}.into(),
        upgrade.into(),
        status.into(),
        failed.into(),
        Uninstalled {}.into(),
        OpenApi {}.into(),
        welcome().into(),
    ]
}

#[test]
fn messages() {
    let mut transcript = Transcript::new("messages", "Every message as a whole frame.");
    for message in every_message() {
        transcript.message("message", message);
    }
    transcript.note("\nWhat a later version may send.");
    let later = [&[0x01, 0, 0, 12, 0x15, 0xa2, 1, 5, 0x18, 99, 0x65][..], b"later"].concat();
    transcript.frame("message", "Ping with the unknown key 99", &later);
    transcript.frame("message", "the unknown type 99", &[0x01, 0, 0, 3, 0x18, 99, 0xa0]);

    let mut want = every_message();
    want.extend([Ping { number: 5 }.into(), Message::Unknown(99)]);
    let got: Vec<_> = frames(transcript.check()).into_iter().map(|(_, frame)| frame).collect();
    assert_eq!(got, want.into_iter().map(Frame::Message).collect::<Vec<_>>());
}

#[test]
fn frames_of_bytes() {
    let mut transcript = Transcript::new("frames", "Data and acknowledgements.");
    transcript.data("agent → site → console", Channel::Output, 0, b"hello\r\n");
    transcript.data("agent → site → console", Channel::Error, 7, b"oops\n");
    transcript.data("console → site → agent", Channel::Input, 1 << 33, b"\x03");
    transcript.ack("consumer → producer", 12);
    transcript.frame("anybody", "a kind of a later version", &[0x40, 0, 0, 2, 9, 9]);

    let data =
        |channel, offset, bytes| Frame::Data { channel, offset, bytes: Bytes::from_static(bytes) };
    let got: Vec<_> = frames(transcript.check()).into_iter().map(|(_, frame)| frame).collect();
    let want = [
        data(Channel::Output, 0, b"hello\r\n"),
        data(Channel::Error, 7, b"oops\n"),
        data(Channel::Input, 1 << 33, b"\x03"),
        Frame::Ack(12),
        Frame::Skipped(0x40),
    ];
    assert_eq!(got, want);
}

#[test]
fn tickets() {
    let mut transcript = Transcript::new(
        "ticket",
        "A session ticket, signed by the session key with the seed 04 × 32.",
    );
    let sealed = sealed_ticket();
    let (signature, map) = sealed.split_at(64);
    transcript.entry(
        "site → agent, console",
        "ticket",
        &[(signature, "signature"), (map, "fields")],
    );
    let read = transcript.check();
    let opened = Ticket::open(&read[0].1, &[key(4).public()], Timestamp(1_790_000_000_001));
    assert_eq!(opened, Ok(ticket()));
    let foreign: PublicKey = key(5).public();
    assert!(Ticket::open(&read[0].1, &[foreign], Timestamp(0)).is_err());
}

#[test]
fn a_session() {
    let mut t = Transcript::new(
        "session",
        "A session from its first message to its last: `cat` on web-1, one line typed.\n\
         The console's stream and the agent's stream are told apart by their directions.",
    );
    t.message("console → site", open_session());
    t.message("site → agent", start_session());
    t.message("agent → site", opened(vec![], ""));
    t.message("site → console", opened(sealed_ticket(), "web-1"));
    t.data("console → site → agent", Channel::Input, 0, b"ahoy\n");
    t.ack("agent → site → console", 5);
    t.data("agent → site → console", Channel::Output, 0, b"ahoy\n");
    t.ack("console → site", 5);
    t.note("\nRecorded and seen: now the agent may forget.");
    t.ack("site → agent", 5);
    t.message("console → site → agent", EndOfInput { offset: 5 });
    t.message("agent → site → console", exit(5));
    t.message("console → site", Finished {});
    t.note("\nThe recording is whole and ended.");
    t.message("site → agent", Finished {});
    t.message("site → console", Finished {});
    story(t, &["input 0 5", "output 0 5"]);
}

#[test]
fn a_resume() {
    let mut t = Transcript::new(
        "resume",
        "The site process died: 9 bytes of output were shown, 4 of them were recorded.\n\
         Both ends dial, and resume on the process that answers now.",
    );
    t.message("agent → site", resume(3, 0, 12));
    t.note("\nNo console yet: the recording goes on from where it ends.");
    t.message("site → agent", SendFrom { offset: 4 });
    t.data("agent → site", Channel::Output, 4, b"o world\n");
    t.message("console → site", resume(9, 0, 5));
    t.note("\n12 bytes are recorded now and 9 are seen.");
    t.ack("site → agent", 9);
    t.message("site → agent", SendFrom { offset: 9 });
    t.ack("site → console", 3);
    t.message("site → console", SendFrom { offset: 3 });
    t.data("agent → site → console", Channel::Output, 9, b"ld\n");
    t.data("console → site → agent", Channel::Input, 3, b"y\n");
    t.ack("agent → site → console", 5);
    t.ack("console → site", 12);
    t.ack("site → agent", 12);
    story(t, &["output 4 8", "output 9 3", "input 3 2"]);
}

#[test]
fn a_migration() {
    let mut t = Transcript::new(
        "migration",
        "A hand-over from generation 7 to 8. Old links are marked 7, new ones 8; control streams are\n\
         marked `control`. The console does the same as the agent, at any time.",
    );
    t.message("control 7: site → agent", Migrate { generation: 7 });
    t.note("\nThe agent dials; generation 8 answers. Both links are up.");
    t.message("control 8: agent → site", ControlStream {});
    t.message("control 7: agent → site", MigrateReady {});
    t.note("\nThe console is ready too: generation 7 writes its recordings and lets go.");
    t.message("stream 7: site → agent", Moved {});
    t.message("stream 7: site → console", Moved {});
    t.message("stream 8: agent → site", resume(3, 9, 12));
    t.message("stream 8: site → agent", SendFrom { offset: 12 });
    t.message("stream 8: console → site", resume(12, 3, 3));
    t.ack("stream 8: site → agent", 12);
    t.message("stream 8: site → agent", SendFrom { offset: 12 });
    t.ack("stream 8: site → console", 3);
    t.message("stream 8: site → console", SendFrom { offset: 3 });
    t.note("\nNothing is on the old links any more.");
    t.message("control 7: site → agent", Bye {});
    t.message("control 7: site → console", Bye {});
    story(t, &[]);
}

/// Compares, reads every frame back, and looks at the data in them.
fn story(transcript: Transcript, data: &[&str]) {
    let mut found = Vec::new();
    for (name, frame) in frames(transcript.check()) {
        match frame {
            Frame::Data { channel, offset, bytes } => {
                found.push(format!("{channel:?} {offset} {}", bytes.len()).to_lowercase());
            }
            Frame::Message(message) => {
                assert!(!matches!(message, Message::Unknown(_)), "{name} is a known message");
                assert!(
                    name.ends_with(format!("{message:?}").split('(').next().unwrap_or_default())
                );
            }
            Frame::Ack(_) => {}
            Frame::Skipped(kind) => panic!("{name} has the unknown kind {kind:#04x}"),
        }
    }
    assert_eq!(found, data);
}
