//! What travels on a link.

use bytes::{Bytes, BytesMut};
use model::{PublicKey, Timestamp};
use session::mux::{Came, MUX_HEADER_LEN, Mux, STREAMS_MAX, Send, Side, WINDOW, WINDOW_MAX};
use session::{Channel, ClientHello, Frame, Outbox, SigningKey, SiteHello, Ticket};

use crate::Outcome;

const EXPORTER: [u8; 32] = [7; 32];

fn key() -> SigningKey {
    SigningKey::from_seed(&[9; 32]).expect("32 bytes are a seed")
}

/// Frames, as many as there are: whole and in small pieces they must be the same, and each written
/// again reads the same.
pub fn frame(data: &[u8]) -> Outcome {
    let (frames, whole) = read_all(&[data]);
    let pieces: Vec<&[u8]> = data.chunks(data.len() / 16 + 1).collect();
    let (in_pieces, outcome) = read_all(&pieces);
    assert_eq!(frames, in_pieces, "frames do not depend on how the bytes arrive");
    assert_eq!(whole, outcome);
    for frame in frames {
        let Some(bytes) = write(&frame) else { continue };
        let again = session::decode(&mut BytesMut::from(&bytes[..]));
        assert_eq!(
            again.as_ref().ok(),
            Some(&Some(frame)),
            "a frame reads back what it was written from"
        );
    }
    whole
}

fn read_all(pieces: &[&[u8]]) -> (Vec<Frame>, Outcome) {
    let mut buffer = BytesMut::new();
    let mut frames = vec![];
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match session::decode(&mut buffer) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => return (frames, Outcome::Refused),
            }
        }
    }
    (frames, Outcome::Accepted)
}

fn write(frame: &Frame) -> Option<Vec<u8>> {
    match frame {
        Frame::Message(message) => Some(session::encode_message(message).to_vec()),
        Frame::Ack(offset) => Some(session::encode_ack(*offset).to_vec()),
        Frame::Data { channel, offset, bytes } => {
            let header = session::encode_data_header(*channel, *offset, bytes.len());
            Some([&header, &bytes[..]].concat())
        }
        Frame::Skipped(_) => None,
    }
}

/// The body of a site's first words; signed here, so that what lies behind the signature is reached.
pub fn site_hello(data: &[u8]) -> Outcome {
    let _ = SiteHello::open(data, &EXPORTER, &[]);
    let sealed = sealed(&[b"sluis link v1 site\0", &EXPORTER], data);
    let opened = SiteHello::open(&sealed, &EXPORTER, &[]);
    if let Ok((hello, key)) = &opened {
        let _ = session::choose_version(hello);
        assert_eq!(*key, PublicKey(hello.key));
    }
    Outcome::of(&opened)
}

/// The body of a client's first words, signed here.
pub fn client_hello(data: &[u8]) -> Outcome {
    let _ = ClientHello::open(data, &EXPORTER);
    let opened =
        ClientHello::open(&sealed(&[b"sluis link v1 client\0", &EXPORTER], data), &EXPORTER);
    if let Ok((hello, key)) = &opened {
        let _ = hello.role();
        assert_eq!(*key, PublicKey(hello.key));
    }
    Outcome::of(&opened)
}

/// The body of a session ticket, signed here.
pub fn ticket(data: &[u8]) -> Outcome {
    let keys = [key().public()];
    let _ = Ticket::open(data, &keys, Timestamp(0));
    let opened = Ticket::open(&sealed(&[b"sluis session ticket v1\0"], data), &keys, Timestamp(0));
    if let Ok(ticket) = &opened {
        let again = Ticket::open(&ticket.seal(&key()), &keys, Timestamp(0));
        assert_eq!(again.as_ref(), Ok(ticket), "a ticket reads back what it was written from");
    }
    Outcome::of(&opened)
}

fn sealed(before: &[&[u8]], body: &[u8]) -> Vec<u8> {
    let signed = [&before.concat(), body].concat();
    [&key().sign(&signed), body].concat()
}

/// Bytes as a story of an outbox: whatever a peer acknowledges or asks for, the outbox hands out
/// the stream's bytes at their offsets, keeps what is not acknowledged, and stays within its limit.
pub fn outbox(data: &[u8]) -> Outcome {
    const LIMIT: usize = 300;
    let mut outbox = Outbox::new(LIMIT);
    let mut outcome = Outcome::Accepted;
    for step in data.chunks_exact(3) {
        let number = u64::from(u16::from_be_bytes([step[1], step[2]]));
        let refused = match step[0] % 4 {
            0 => {
                let len = (number as usize).min(outbox.room());
                let bytes: Vec<u8> = (outbox.head()..).take(len).map(byte_at).collect();
                if !bytes.is_empty() {
                    outbox.push(Channel::Output, Bytes::from(bytes));
                }
                false
            }
            1 => {
                if let Some((offset, chunk)) = outbox.take() {
                    let expected = (offset..).map(byte_at);
                    assert!(chunk.bytes.iter().copied().eq(expected.take(chunk.bytes.len())));
                }
                false
            }
            2 => outbox.ack(number).is_err(),
            _ => outbox.rewind(number).is_err(),
        };
        assert!(outbox.base() <= outbox.cursor() && outbox.cursor() <= outbox.head());
        assert!(outbox.head() - outbox.base() <= LIMIT as u64);
        if refused {
            outcome = Outcome::Refused;
        }
    }
    outcome
}

/// Bytes as what a peer sends on a multiplexed connection: our end keeps its limits whatever comes, takes
/// every frame that it announces room for, and after an error asks for nothing more.
pub fn mux(data: &[u8]) -> Outcome {
    let mut site = Mux::new(Side::Site);
    let mut open = vec![site.open(()).expect("the first stream")];
    let mut rest = data;
    while let Some((header, after)) = rest.split_first_chunk::<MUX_HEADER_LEN>() {
        let length = match site.receive(*header, || ()) {
            Ok(Came::Opened { stream, length, .. }) => {
                open.push(stream);
                assert!(open.len() <= STREAMS_MAX);
                length
            }
            Ok(Came::Data { stream, length, .. }) => {
                assert!(length <= WINDOW_MAX as usize, "more than there is ever room for");
                let _ = site.give(stream, length, true);
                length
            }
            Ok(Came::Stale { length } | Came::Reset { length, .. }) => length,
            Ok(Came::Answer(answer)) => {
                assert_eq!(answer[8..], header[8..], "a ping is answered with its value");
                0
            }
            Ok(Came::Room { stream, .. }) => {
                let room = site.room(stream).min(WINDOW as usize / 2);
                assert_ne!(site.send(stream, room), Send::Full);
                0
            }
            Ok(Came::GoAway { .. }) => return Outcome::Accepted,
            Ok(Came::Nothing) => 0,
            Err(_) => return Outcome::Refused,
        };
        rest = after.get(length..).unwrap_or_default();
    }
    for stream in open {
        let _ = site.forget(stream);
    }
    assert!(site.end().is_empty(), "a forgotten stream is gone");
    Outcome::Accepted
}

/// What stands at an offset of the story's stream.
fn byte_at(offset: u64) -> u8 {
    (offset % 251) as u8
}

pub mod seeds {
    //! Good bytes.

    use model::{AgentId, OperatorId, SessionId};
    use session::{AgentStatus, ChosenId, Exit, Message, OpenSession, Ping, Resume};

    use super::{
        Channel, ClientHello, Mux, PublicKey, Send, Side, SiteHello, Ticket, Timestamp, key,
    };

    pub fn frame() -> Vec<Vec<u8>> {
        let messages: Vec<Message> = vec![
            Ping { number: 5 }.into(),
            OpenSession {
                target: "web-1".into(),
                command: Some("uptime".into()),
                columns: 80,
                rows: 24,
                term: "xterm-256color".into(),
                terminal: true,
                session: Some(ChosenId(SessionId::from_bytes([7; 16]))),
            }
            .into(),
            Resume {
                session: SessionId::from_bytes([1; 16]),
                ticket: vec![2; 150],
                received: 9,
                base: 1,
                head: 7,
                away_ms: Some(5),
            }
            .into(),
            Exit { status: None, signal: Some(9), offset: 1 << 40, reason: Some("gone".into()) }
                .into(),
            AgentStatus {
                again: Some(true),
                phase: "proving".into(),
                version: "1.1.0".into(),
                text: String::new(),
                percent: 90,
            }
            .into(),
        ];
        let data = session::encode_data_header(Channel::Output, 1 << 33, 5);
        let mut all: Vec<Vec<u8>> =
            messages.iter().map(|message| session::encode_message(message).to_vec()).collect();
        all.push([&data[..], b"hello", &session::encode_ack(77)].concat());
        all.push(all.concat());
        all
    }

    pub fn mux() -> Vec<Vec<u8>> {
        let mut client = Mux::new(Side::Client);
        let mut all = Vec::new();
        for bytes in [&b"first"[..], b"", b"third"] {
            let stream = client.open(()).expect("few streams");
            let Send::Now(header) = client.send(stream, bytes.len()) else { continue };
            all.push([&header, bytes].concat());
            all.push(client.give(stream, 70_000, true).expect("open").to_vec());
            all.extend(client.finish(stream).map(Vec::from));
            all.extend(client.forget(stream).map(Vec::from));
        }
        // A ping, and an answer to one.
        all.push(vec![0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9]);
        all.push(vec![0, 2, 0, 2, 0, 0, 0, 0, 0, 0, 0, 9]);
        all.push(Mux::<()>::go_away().to_vec());
        vec![all.concat()]
    }

    pub fn site_hello() -> Vec<Vec<u8>> {
        let hello = SiteHello {
            version_min: 1,
            version_max: 1,
            key: key().public().0,
            version: "1.0.0".into(),
            revision: 1,
            generation: 3,
        };
        vec![minicbor::to_vec(hello).expect("a vector takes everything")]
    }

    pub fn client_hello() -> Vec<Vec<u8>> {
        let agent = ClientHello {
            version: 1,
            role: 1,
            key: key().public().0,
            name: "web-1".into(),
            software: "1.0.0".into(),
            revision: 1,
            platform: "linux-x86_64".into(),
            token: Some("k7h2".into()),
            passive: Some(false),
        };
        let console = ClientHello { role: 2, token: None, passive: None, ..agent.clone() };
        [agent, console]
            .map(|hello| minicbor::to_vec(hello).expect("a vector takes everything"))
            .into()
    }

    pub fn ticket() -> Vec<Vec<u8>> {
        let ticket = Ticket {
            session: SessionId::from_bytes([1; 16]),
            agent: AgentId::from_bytes([2; 16]),
            console: PublicKey([3; 32]),
            operator: OperatorId::from_bytes([4; 16]),
            operator_name: "ada".into(),
            endpoint: "web-1".into(),
            command: Some("uptime".into()),
            opened: Timestamp(1000),
            expires: Timestamp(u64::MAX),
            columns: 80,
            rows: 24,
        };
        let shell = Ticket { command: None, ..ticket.clone() };
        [ticket, shell].iter().map(|ticket| ticket.seal(&key())[64..].to_vec()).collect()
    }

    pub fn outbox() -> Vec<Vec<u8>> {
        let push = |n: u16| [&[0][..], &n.to_be_bytes()].concat();
        let take = || vec![1, 0, 0];
        let ack = |n: u16| [&[2][..], &n.to_be_bytes()].concat();
        let rewind = |n: u16| [&[3][..], &n.to_be_bytes()].concat();
        vec![
            [push(10), take(), ack(10), push(3), take(), ack(13)].concat(),
            [push(100), push(150), take(), rewind(0), take(), take(), ack(120), push(60)].concat(),
        ]
    }
}
