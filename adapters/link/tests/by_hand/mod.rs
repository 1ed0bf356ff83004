//! A client's first words, made from `docs/concepts/link.md` alone.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use session::{SigningKey, Welcome};
use sluis_link::{Accepted, Acceptor, Greeter, Link};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;

/// A connection, the site's end of it, and what the site was told.
pub struct ByHand {
    pub tls: TlsStream<TcpStream>,
    pub site: Link,
    pub hello: session::ClientHello,
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

/// Dials a real site and proves itself to it; yamux has not begun.
pub async fn shake_hands() -> ByHand {
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
