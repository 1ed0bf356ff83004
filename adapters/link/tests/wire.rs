//! A client written from `docs/concepts/link.md` alone: hellos, yamux, frames and messages by hand.
//! What it exchanges with the real site's side shows that the page suffices for another implementation.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use session::{Channel, ControlStream, Frame, Message, Ping, Pong, SigningKey, Welcome};
use sluis_link::{Accepted, Acceptor, Greeter, Link};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;

const DATA: u8 = 0;
const WINDOW: u8 = 1;
const PING: u8 = 2;
const SYN: u16 = 1;
const ACK: u16 = 2;
const FIN: u16 = 4;

/// A connection, the site's end of it, and what the site was told.
struct ByHand {
    tls: TlsStream<TcpStream>,
    site: Link,
    hello: session::ClientHello,
}

/// The client's hello as a CBOR map, byte by byte.
fn client_map(key: &[u8]) -> Vec<u8> {
    let text = |out: &mut Vec<u8>, number: u8, text: &str| {
        out.extend([number, 0x60 + text.len() as u8]);
        out.extend(text.as_bytes());
    };
    let mut map = vec![0xa8, 1, 1, 2, 1, 3, 0x58, 32];
    map.extend(key);
    text(&mut map, 4, "web-1");
    text(&mut map, 5, "1.0.0");
    map.extend([6, 3]);
    text(&mut map, 7, "plan9-mips");
    // A field of a later version.
    map.extend([0x18, 99, 0xf5]);
    map
}

async fn shake_hands() -> ByHand {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).expect("a certificate");
    let (certificate, private) = (made.cert.pem(), made.signing_key.serialize_pem());
    let config =
        sluis_link::server_config(certificate.as_bytes(), private.as_bytes()).expect("fits");
    let key = SigningKey::from_seed(&[1; 32]).expect("a seed");
    let greeter = Greeter { key, version: "1.1.0".into(), revision: 2, generation: 7 };
    let acceptor = Acceptor::new(config, greeter);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let accepting = tokio::spawn(async move {
        let (tcp, from) = listener.accept().await.expect("dialled");
        let Ok(Accepted::Link(request)) = acceptor.accept(tcp, from).await else {
            panic!("the client speaks a link")
        };
        let hello = request.hello.clone();
        let welcome = Welcome { id: Some(vec![0xa1; 16]), name: "web-1".into(), known: true };
        (request.welcome(welcome).await.expect("the client is there"), hello)
    });

    let tcp = TcpStream::connect(address).await.expect("listening");
    let name = rustls::pki_types::ServerName::try_from("localhost").expect("a name");
    let connector = tokio_rustls::TlsConnector::from(sluis_link::client_config());
    let mut tls = connector.connect(name, tcp).await.expect("TLS");
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"sluis/1"[..]));
    let exporter = tls
        .get_ref()
        .1
        .export_keying_material([0; 32], b"EXPORTER-sluis-link-v1", None)
        .expect("TLS 1.3");
    check_site_hello(&read_hello(&mut tls).await, &exporter);
    let own = Ed25519KeyPair::from_seed_unchecked(&[2; 32]).expect("a seed");
    let map = client_map(own.public_key().as_ref());
    let signature = own.sign(&[&b"sluis link v1 client\0"[..], &exporter, &map].concat());
    let rest = [signature.as_ref(), &map].concat();
    let len = u16::try_from(rest.len()).expect("short").to_be_bytes();
    tls.write_all(&[&len, &rest[..]].concat()).await.expect("sent");
    let (site, hello) = accepting.await.expect("accepted");

    let mut header = [0; 4];
    tls.read_exact(&mut header).await.expect("a frame");
    let mut payload = vec![0; usize::from(header[3])];
    tls.read_exact(&mut payload).await.expect("whole");
    assert_eq!(header[0], 0x01, "a message");
    assert_eq!(payload[..2], [0x18, 42], "Welcome");
    ByHand { tls, site, hello }
}

async fn read_hello(tls: &mut TlsStream<TcpStream>) -> Vec<u8> {
    let mut hello = vec![0; usize::from(tls.read_u16().await.expect("a length"))];
    tls.read_exact(&mut hello).await.expect("whole");
    hello
}

fn check_site_hello(hello: &[u8], exporter: &[u8; 32]) {
    let (signature, map) = hello.split_at(64);
    assert_eq!(map[..8], [0xa6, 1, 1, 2, 1, 3, 0x58, 32], "versions 1 to 1, then the key");
    let signed = [&b"sluis link v1 site\0"[..], exporter, map].concat();
    let proven = UnparsedPublicKey::new(&ED25519, &map[8..40]).verify(&signed, signature);
    assert!(proven.is_ok(), "the site proves itself on this connection");
    assert_eq!(&map[40..], b"\x04\x651.1.0\x05\x02\x06\x07");
}

impl ByHand {
    /// A yamux frame: version, type, flags, stream, length; then the bytes of a data frame.
    async fn yamux(&mut self, kind: u8, flags: u16, stream: u32, bytes: &[u8]) {
        let mut frame = vec![0, kind];
        frame.extend(flags.to_be_bytes());
        frame.extend(stream.to_be_bytes());
        frame.extend(u32::try_from(bytes.len()).expect("short").to_be_bytes());
        frame.extend(bytes);
        self.tls.write_all(&frame).await.expect("sent");
    }

    async fn answer_ping(&mut self, value: u32) {
        let mut pong = vec![0, PING];
        pong.extend(ACK.to_be_bytes());
        pong.extend(0_u32.to_be_bytes());
        pong.extend(value.to_be_bytes());
        self.tls.write_all(&pong).await.expect("sent");
    }

    /// The next bytes of a stream, and whether this frame opened it.
    async fn receive(&mut self) -> (u32, u16, Vec<u8>) {
        loop {
            let mut header = [0; 12];
            self.tls.read_exact(&mut header).await.expect("a yamux frame");
            let word =
                |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().expect("4 bytes"));
            let flags = u16::from_be_bytes([header[2], header[3]]);
            assert_eq!(header[0], 0, "yamux version 0");
            match header[1] {
                DATA => {
                    let mut bytes = vec![0; word(8) as usize];
                    self.tls.read_exact(&mut bytes).await.expect("whole");
                    if !bytes.is_empty() || flags & FIN != 0 {
                        return (word(4), flags, bytes);
                    }
                }
                WINDOW => {}
                PING => self.answer_ping(word(8)).await,
                other => panic!("yamux frame of type {other}"),
            }
        }
    }
}

#[tokio::test]
async fn a_client_made_from_the_page_is_understood() {
    let mut client = shake_hands().await;
    assert_eq!((client.hello.name.as_str(), client.hello.revision), ("web-1", 3));
    assert_eq!(client.hello.platform, "plan9-mips");

    let control_stream = [0x01, 0, 0, 2, 20, 0xa0];
    client.yamux(DATA, SYN, 1, &control_stream).await;
    let (mut from_client, to_client) = client.site.accept().await.expect("a stream").split();
    assert_eq!(
        from_client.message().await.expect("read"),
        Message::ControlStream(ControlStream {})
    );

    // Things of later versions, then Ping { 1: 5, 99: true }, cut in two.
    client.yamux(DATA, 0, 1, &[0x40, 0, 0, 3, 1, 2, 3]).await;
    client.yamux(DATA, 0, 1, &[0x01, 0, 0, 3, 0x18, 99, 0xa0]).await;
    client.yamux(DATA, 0, 1, &[0x01, 0, 0, 7, 21]).await;
    client.yamux(DATA, 0, 1, &[0xa2, 1, 5, 0x18, 99, 0xf5]).await;
    assert_eq!(from_client.message().await.expect("read"), Message::Ping(Ping { number: 5 }));
    to_client.message(Pong { number: 5 }).await.expect("sent");
    let (stream, _, bytes) = client.receive().await;
    assert_eq!((stream, &bytes[..]), (1, &[0x01, 0, 0, 4, 22, 0xa1, 1, 5][..]));
}

#[tokio::test]
async fn bytes_acks_and_the_end_of_a_stream_are_as_the_page_says() {
    let mut client = shake_hands().await;
    let (mut from_client, to_client) = client.site.handle().open().await.expect("opened").split();
    to_client.data(Channel::Input, 258, b"hi").await.expect("sent");
    let (stream, flags, bytes) = client.receive().await;
    assert_eq!(stream % 2, 0, "the site's streams have even numbers");
    assert_eq!(flags & SYN, SYN, "the first frame opens the stream");
    assert_eq!(bytes, [0x04, 0, 0, 10, 0, 0, 0, 0, 0, 0, 1, 2, b'h', b'i']);

    client.yamux(DATA, 0, stream, &[0x05, 0, 0, 8, 0, 0, 0, 0, 0, 0, 1, 4]).await;
    assert_eq!(from_client.next().await.expect("read").expect("a frame").frame, Frame::Ack(260));
    client.yamux(DATA, FIN, stream, &[0x03, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, b'!']).await;
    let last =
        from_client.next().await.expect("read").expect("what was written before arrives").frame;
    assert_eq!(last, Frame::Data { channel: Channel::Error, offset: 0, bytes: "!".into() });
    assert!(from_client.next().await.expect("read").is_none(), "then it ends");
}

#[tokio::test]
async fn a_stream_that_breaks_the_rules_ends_and_the_link_goes_on() {
    for wrong in [
        &[0x3f, 0, 0, 0][..],
        &[0x02, 0xff, 0xff, 0xff],
        &[0x02, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0x05, 0, 0, 1, 0],
        &[0x01, 0, 0, 2, 21, 0xa0],
    ] {
        let mut client = shake_hands().await;
        client.yamux(DATA, SYN, 1, wrong).await;
        let (mut bad, _keep) = client.site.accept().await.expect("a stream").split();
        assert!(bad.next().await.is_err(), "{wrong:02x?}");
        client.yamux(DATA, SYN, 3, &[0x01, 0, 0, 2, 20, 0xa0]).await;
        let (mut good, _keep) = client.site.accept().await.expect("another stream").split();
        assert!(good.message().await.is_ok(), "after {wrong:02x?}");
    }
}
