//! Two ends of a link over real sockets on loopback.

use std::net::SocketAddr;
use std::sync::Arc;

use model::PublicKey;
use session::{Channel, Frame, Message, Ping, Refused, RefusedCode, SigningKey, Welcome};
use sluis_link as link;
use sluis_link::{Accepted, Acceptor, ClientKind, Dialer, Greeter, Link, LinkError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).expect("a certificate");
    (made.cert.pem(), made.signing_key.serialize_pem())
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32]).expect("a seed")
}

fn acceptor() -> Acceptor {
    let (certificate, private) = certificate();
    let config = link::server_config(certificate.as_bytes(), private.as_bytes()).expect("fits");
    Acceptor::new(
        config,
        Greeter { key: key(1), version: "1.0.0".into(), revision: 1, generation: 1 },
    )
}

fn dialer(address: SocketAddr, pinned: Vec<PublicKey>) -> Dialer {
    Dialer {
        address: address.to_string(),
        kind: ClientKind::Agent,
        key: Arc::new(key(2)),
        pinned,
        name: "web-1".into(),
        software: "1.0.0".into(),
        revision: 1,
        token: None,
        tls: link::client_config(),
    }
}

fn welcome() -> Welcome {
    Welcome { id: None, name: "web-1".into(), known: true }
}

/// A site that welcomes everybody and hands the links out.
async fn site() -> (SocketAddr, tokio::sync::mpsc::Receiver<Link>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let (links, out) = tokio::sync::mpsc::channel(8);
    tokio::spawn(async move {
        let acceptor = acceptor();
        while let Ok((tcp, from)) = listener.accept().await {
            let (acceptor, links) = (acceptor.clone(), links.clone());
            tokio::spawn(async move {
                if let Ok(Accepted::Link(request)) = acceptor.accept(tcp, from).await {
                    let link = request.welcome(welcome()).await.expect("the client is there");
                    let _ = links.send(link).await;
                }
            });
        }
    });
    (address, out)
}

#[tokio::test]
async fn both_ends_open_streams_and_frames_arrive_whole() {
    let (address, mut links) = site().await;
    let mut client = dialer(address, vec![key(1).public()]).dial().await.expect("dialled");
    let mut site = links.recv().await.expect("accepted");

    let (mut from_site, to_site) = client.link.handle().open().expect("opened").split();
    to_site.message(Ping { number: 1 }).await.expect("sent");
    let (mut from_client, to_client) = site.accept().await.expect("seen").split();
    assert_eq!(from_client.message().await.expect("read"), Message::Ping(Ping { number: 1 }));

    let bulk: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    let sent = bulk.clone();
    let sending = tokio::spawn(async move {
        for (i, part) in sent.chunks(session::MAX_DATA).enumerate() {
            let offset = (i * session::MAX_DATA) as u64;
            to_client.data(Channel::Output, offset, part).await.expect("sent");
        }
        to_client.close();
    });
    let mut got = Vec::new();
    while let Some(received) = from_site.next().await.expect("read") {
        let Frame::Data { offset, bytes, .. } = received.frame else {
            panic!("only data was sent")
        };
        assert_eq!(offset, got.len() as u64);
        got.extend_from_slice(&bytes);
    }
    sending.await.expect("sent");
    assert!(got == bulk, "the bytes differ");

    let (_, to_client) = site.handle().open().expect("opened by the site").split();
    to_client.message(Ping { number: 2 }).await.expect("sent");
    let (mut from_site, _keep) = client.link.accept().await.expect("seen").split();
    assert_eq!(from_site.message().await.expect("read"), Message::Ping(Ping { number: 2 }));
}

#[test]
fn the_last_word_of_a_program_that_ends_goes_out() {
    let site_runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let site_runtime = site_runtime.expect("a runtime");
    let (address, mut links) = site_runtime.block_on(site());
    let client_runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    client_runtime.expect("a runtime").block_on(async {
        let client = dialer(address, vec![]).dial().await.expect("dialled");
        let (_reader, writer) = client.link.handle().open().expect("opened").split();
        writer.message(Ping { number: 5 }).await.expect("sent");
        // No task has had a turn since, and none will.
    });
    site_runtime.block_on(async {
        let mut site = links.recv().await.expect("accepted");
        let (mut reader, _keep) = site.accept().await.expect("seen").split();
        assert_eq!(reader.message().await.expect("read"), Message::Ping(Ping { number: 5 }));
    });
}

#[tokio::test]
async fn a_full_window_makes_the_sender_wait_and_other_streams_go_on() {
    let (address, mut links) = site().await;
    let client = dialer(address, vec![]).dial().await.expect("dialled");
    let mut site = links.recv().await.expect("accepted");
    let (_unread, full) = client.link.handle().open().expect("opened").split();
    let part = vec![0; session::MAX_DATA];
    let flood = tokio::spawn(async move {
        for i in 0..1000_u64 {
            let offset = i * session::MAX_DATA as u64;
            if full.data(Channel::Output, offset, &part).await.is_err() {
                break;
            }
        }
    });
    let _unread_stream = site.accept().await.expect("seen");

    let (_, other) = client.link.handle().open().expect("opened").split();
    other.message(Ping { number: 9 }).await.expect("sent");
    let (mut reader, _keep) = site.accept().await.expect("seen").split();
    assert_eq!(reader.message().await.expect("read"), Message::Ping(Ping { number: 9 }));
    assert!(!flood.is_finished(), "64 MB cannot fit in the window");
}

#[tokio::test]
async fn another_site_is_refused_by_the_client() {
    let (address, _links) = site().await;
    let pinned = vec![key(7).public()];
    let error = dialer(address, pinned).dial().await.err().expect("refused");
    assert!(error.to_string().contains("another site"), "{error}");
    assert!(!error.is_passing());
}

#[tokio::test]
async fn a_man_in_the_middle_is_noticed_whatever_he_presents() {
    let (address, _links) = site().await;
    let middle = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let middle_address = middle.local_addr().expect("bound");
    tokio::spawn(async move {
        let (tcp, _) = middle.accept().await.expect("the victim dials");
        let (certificate, private) = certificate();
        let config = link::server_config(certificate.as_bytes(), private.as_bytes()).expect("fits");
        let mut victim = tokio_rustls::TlsAcceptor::from(config).accept(tcp).await.expect("TLS");
        let tcp = TcpStream::connect(address).await.expect("the site is up");
        let name = rustls::pki_types::ServerName::try_from("localhost").expect("a name");
        let connector = tokio_rustls::TlsConnector::from(link::client_config());
        let mut site = connector.connect(name, tcp).await.expect("TLS");
        let _ = tokio::io::copy_bidirectional(&mut victim, &mut site).await;
    });
    let error = dialer(middle_address, vec![key(1).public()]).dial().await.err().expect("noticed");
    assert!(error.to_string().contains("somebody may be in between"), "{error}");
}

#[tokio::test]
async fn a_refusal_arrives_with_its_reason() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        let (tcp, from) = listener.accept().await.expect("dialled");
        let Ok(Accepted::Link(request)) = acceptor().accept(tcp, from).await else {
            panic!("the client speaks a link")
        };
        request.refuse(Refused::new(RefusedCode::NotEnrolled, "ask for a token")).await;
    });
    let error = dialer(address, vec![]).dial().await.err().expect("refused");
    let LinkError::Refused(refused) = error else { panic!("{error}") };
    assert_eq!(refused.reason(), RefusedCode::NotEnrolled);
    assert_eq!(refused.text, "ask for a token");
}

// Whatever is sent instead of a hello: an error, and the acceptor serves the next one.
#[tokio::test]
async fn noise_instead_of_a_hello_is_an_error() {
    for noise in [&b"\xff\xff"[..], b"\x00\x00", b"\x00\x05hello", &[0; 4096]] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let client = tokio::spawn(async move {
            let tcp = TcpStream::connect(address).await.expect("listening");
            let name = rustls::pki_types::ServerName::try_from("localhost").expect("a name");
            let connector = tokio_rustls::TlsConnector::from(link::client_config());
            let mut tls = connector.connect(name, tcp).await.expect("TLS");
            tls.write_all(noise).await.expect("sent");
            let _ = tls.shutdown().await;
            let _ = tls.read_to_end(&mut Vec::new()).await;
        });
        let (tcp, from) = listener.accept().await.expect("dialled");
        assert!(acceptor().accept(tcp, from).await.is_err());
        client.await.expect("no panic");
    }
}
