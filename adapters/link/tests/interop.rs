//! Our multiplexer against an independent one, the `yamux` crate, in both roles.

mod by_hand;

use std::sync::Arc;

use futures_util::{AsyncReadExt as _, AsyncWriteExt as _};
use session::mux::STREAMS_MAX;
use session::{Channel, EXPORTER_LABEL, Frame, Message, Ping, SigningKey, SiteHello, Welcome};
use sluis_link::{ClientKind, Dialer, Link};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::compat::TokioAsyncReadCompatExt;
use yamux::{Config, Connection, Mode};

/// More than several windows.
const MUCH: usize = 3_000_000;

/// The other implementation's end: drives the connection, opens streams when asked, hands out those
/// that we open.
struct Theirs {
    open: mpsc::Sender<tokio::sync::oneshot::Sender<yamux::Stream>>,
    opened: mpsc::Receiver<yamux::Stream>,
}

fn theirs<S>(tls: S, mode: Mode) -> Theirs
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + std::marker::Send + 'static,
{
    let mut connection = Connection::new(tls.compat(), Config::default(), mode);
    let (open, mut wanted) = mpsc::channel::<tokio::sync::oneshot::Sender<_>>(8);
    let (inbound, opened) = mpsc::channel(STREAMS_MAX);
    tokio::spawn(async move {
        std::future::poll_fn(|cx| {
            while let std::task::Poll::Ready(Some(asked)) = wanted.poll_recv(cx) {
                match connection.poll_new_outbound(cx) {
                    std::task::Poll::Ready(Ok(stream)) => drop(asked.send(stream)),
                    other => panic!("no stream: {other:?}"),
                }
            }
            while let std::task::Poll::Ready(next) = connection.poll_next_inbound(cx) {
                match next {
                    Some(Ok(stream)) => drop(inbound.try_send(stream)),
                    Some(Err(_)) | None => return std::task::Poll::Ready(()),
                }
            }
            std::task::Poll::Pending
        })
        .await;
    });
    Theirs { open, opened }
}

impl Theirs {
    async fn open(&self) -> yamux::Stream {
        let (answer, opened) = tokio::sync::oneshot::channel();
        self.open.send(answer).await.expect("driven");
        opened.await.expect("opened")
    }
}

/// A site by hand for our client.
async fn client_and_theirs() -> (Link, Theirs) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).expect("a certificate");
    let (certificate, private) = (made.cert.pem(), made.signing_key.serialize_pem());
    let config =
        sluis_link::server_config(certificate.as_bytes(), private.as_bytes()).expect("fits");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let accepting = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.expect("dialled");
        let mut tls = tokio_rustls::TlsAcceptor::from(config).accept(tcp).await.expect("TLS");
        let mut exporter = [0; 32];
        tls.get_ref().1.export_keying_material(&mut exporter, EXPORTER_LABEL, None).expect("1.3");
        let key = SigningKey::from_seed(&[1; 32]).expect("a seed");
        let hello = SiteHello {
            version_min: 1,
            version_max: 1,
            key: key.public().0,
            version: "1.0.0".into(),
            revision: 1,
            generation: 1,
        };
        let hello = hello.seal(&key, &exporter);
        tls.write_u16(u16::try_from(hello.len()).expect("short")).await.expect("sent");
        tls.write_all(&hello).await.expect("sent");
        let mut answer = vec![0; usize::from(tls.read_u16().await.expect("a length"))];
        tls.read_exact(&mut answer).await.expect("whole");
        let welcome = Welcome { id: None, name: "web-1".into(), known: true };
        tls.write_all(&session::encode_message(&welcome.into())).await.expect("sent");
        theirs(tls, Mode::Server)
    });
    let dialer = Dialer {
        address,
        kind: ClientKind::Agent,
        key: Arc::new(SigningKey::from_seed(&[2; 32]).expect("a seed")),
        pinned: vec![],
        name: "web-1".into(),
        software: "1.0.0".into(),
        revision: 1,
        token: None,
        tls: sluis_link::client_config(),
    };
    let dialed = dialer.dial().await.expect("welcomed");
    (dialed.link, accepting.await.expect("accepted"))
}

async fn site_and_theirs() -> (Link, Theirs) {
    let client = by_hand::shake_hands().await;
    assert_eq!(client.hello.name, "web-1");
    let mut tls = client.tls;
    // By hand, Welcome has been read; what follows is yamux.
    tls.flush().await.expect("up");
    (client.site, theirs(tls, Mode::Client))
}

/// As many bytes as that, framed as output.
async fn send_much(writer: sluis_link::Writer) {
    let bytes: Vec<u8> = (0..MUCH).map(|i| (i % 251) as u8).collect();
    for (i, part) in bytes.chunks(session::MAX_DATA).enumerate() {
        writer.data(Channel::Output, (i * session::MAX_DATA) as u64, part).await.expect("sent");
    }
    writer.close();
}

fn framed() -> Vec<u8> {
    let bytes: Vec<u8> = (0..MUCH).map(|i| (i % 251) as u8).collect();
    let mut all = Vec::new();
    for (i, part) in bytes.chunks(session::MAX_DATA).enumerate() {
        let offset = (i * session::MAX_DATA) as u64;
        all.extend(session::encode_data(Channel::Output, offset, part));
    }
    all
}

/// Both ends open a stream; on each, much goes both ways at once and ends.
async fn exchange(mut ours: Link, mut theirs: Theirs) {
    let ours_first = ours.handle().open().expect("opened");
    let (our_reader, our_writer) = ours_first.split();
    our_writer.message(Ping { number: 1 }).await.expect("sent");
    let mut seen = theirs.opened.recv().await.expect("seen by them");
    let mut ping = vec![0; session::encode_message(&Ping { number: 1 }.into()).len()];
    seen.read_exact(&mut ping).await.expect("read by them");

    let mut from_them = theirs.open().await;
    from_them.write_all(&session::encode_message(&Ping { number: 2 }.into())).await.expect("sent");
    let (mut reader, writer) = ours.accept().await.expect("seen by us").split();
    assert_eq!(reader.message().await.expect("read"), Message::Ping(Ping { number: 2 }));

    for (reader, writer, stream) in [(our_reader, our_writer, seen), (reader, writer, from_them)] {
        let (mut in_theirs, mut out_theirs) = stream.split();
        let ((), (), (), got) = tokio::join!(
            async {
                out_theirs.write_all(&framed()).await.expect("sent by them");
                out_theirs.close().await.expect("ended by them");
            },
            send_much(writer),
            read_much(reader),
            async {
                let mut got = Vec::new();
                in_theirs.read_to_end(&mut got).await.expect("read by them");
                got
            },
        );
        assert!(got == framed(), "what they got differs");
    }
}

async fn read_much(mut reader: sluis_link::Reader) {
    let mut got = 0;
    while let Some(received) = reader.next().await.expect("read by us") {
        let Frame::Data { offset, bytes, .. } = received.frame else { panic!("only data is sent") };
        assert_eq!(offset, got);
        assert!(bytes.iter().zip(got..).all(|(byte, i)| u64::from(*byte) == i % 251), "at {got}");
        got += bytes.len() as u64;
    }
    assert_eq!(got, MUCH as u64);
}

#[tokio::test]
async fn as_the_site_we_understand_another_implementation() {
    let (ours, theirs) = site_and_theirs().await;
    exchange(ours, theirs).await;
}

#[tokio::test]
async fn as_the_client_we_understand_another_implementation() {
    let (ours, theirs) = client_and_theirs().await;
    exchange(ours, theirs).await;
}

#[tokio::test]
async fn a_stream_that_either_end_gives_up_ends_at_the_other() {
    let (ours, mut theirs) = client_and_theirs().await;
    let (reader, writer) = ours.handle().open().expect("opened").split();
    writer.message(Ping { number: 1 }).await.expect("sent");
    let mut seen = theirs.opened.recv().await.expect("seen by them");
    drop((reader, writer));
    let mut got = Vec::new();
    seen.read_to_end(&mut got).await.expect("what came before is whole");
    assert_eq!(got, session::encode_message(&Ping { number: 1 }.into()));

    let (mut reader, writer) = ours.handle().open().expect("opened").split();
    writer.message(Ping { number: 2 }).await.expect("sent");
    drop(theirs.opened.recv().await.expect("seen by them"));
    assert!(reader.next().await.expect("no error").is_none(), "they gave it up");
    assert!(writer.message(Ping { number: 3 }).await.is_err(), "nobody reads it");
}

#[tokio::test]
async fn an_end_of_the_connection_ends_all_streams_on_both_sides() {
    let (ours, mut theirs) = client_and_theirs().await;
    let handle = ours.handle();
    let (mut reader, writer) = handle.open().expect("opened").split();
    writer.message(Ping { number: 1 }).await.expect("sent");
    let mut seen = theirs.opened.recv().await.expect("seen by them");
    drop(ours);
    handle.closed().await;
    assert!(handle.is_closed() && handle.open().is_err());
    assert!(reader.next().await.expect("no error").is_none());
    assert!(writer.message(Ping { number: 2 }).await.is_err());
    let mut got = Vec::new();
    seen.read_to_end(&mut got).await.expect("what came before is whole");
    assert_eq!(got, session::encode_message(&Ping { number: 1 }.into()));
    assert!(theirs.opened.recv().await.is_none(), "their end is over");
}
