//! A client written from `docs/concepts/link.md` alone: hellos, yamux, frames and messages by hand.
//! What it exchanges with the real site's side shows that the page suffices for another implementation.

mod by_hand;

use std::os::fd::AsFd;
use std::task::Poll;
use std::time::Duration;

use by_hand::{ByHand, shake_hands};
use session::{Channel, ControlStream, Frame, Message, Ping, Pong};
use sluis_link::{Link, Reader, Writer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const DATA: u8 = 0;
const WINDOW: u8 = 1;
const PING: u8 = 2;
const SYN: u16 = 1;
const ACK: u16 = 2;
const FIN: u16 = 4;

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

    /// By how much the other side widens the window of a stream next.
    async fn window(&mut self, stream: u32) -> u32 {
        loop {
            let mut header = [0; 12];
            self.tls.read_exact(&mut header).await.expect("a yamux frame");
            let word =
                |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().expect("4 bytes"));
            assert_ne!(header[1], DATA, "nothing is said here");
            if header[1] == WINDOW && word(4) == stream {
                return word(8);
            }
        }
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
    let (mut from_client, to_client) = client.site.handle().open().expect("opened").split();
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

const HALF: usize = session::mux::WINDOW as usize / 2;

/// Half a window in frames of an unknown kind, cut anywhere, as a file would come.
fn half_a_window() -> Vec<u8> {
    let mut half = Vec::new();
    while half.len() < HALF {
        let payload = (HALF - half.len() - session::HEADER_LEN).min(32 * 1024);
        half.extend([0x7f]);
        half.extend(&u32::try_from(payload).expect("short").to_be_bytes()[1..]);
        half.resize(half.len() + payload, 0);
    }
    half
}

#[tokio::test]
async fn the_window_grows_while_what_comes_is_read() {
    let mut client = shake_hands().await;
    let half = half_a_window();
    client.yamux(DATA, SYN, 1, &[0x01, 0, 0, 2, 20, 0xa0]).await;
    let (mut from_client, to_client) = client.site.accept().await.expect("a stream").split();
    from_client.message().await.expect("read");
    // Frames of an unknown kind are passed over, so this reads on to the end.
    let reading = tokio::spawn(async move { from_client.next().await });
    let (mut allowed, mut growing) = (0, Vec::new());
    for _ in 0..10 {
        client.yamux(DATA, 0, 1, &half).await;
        let more = client.window(1).await;
        allowed += more;
        growing.push(more > HALF as u32 + 6);
    }
    assert_eq!(growing, [[true; 6].as_slice(), &[false; 4]].concat());
    let grown = session::mux::WINDOW_MAX - session::mux::WINDOW;
    assert_eq!(allowed, 10 * HALF as u32 + 6 + grown, "what was taken, and the growth");
    client.yamux(DATA, FIN, 1, &[]).await;
    assert!(reading.await.expect("ran").expect("read").is_none());
    drop(to_client);
}

#[tokio::test]
async fn one_stream_too_many_is_said_to_be_that() {
    let client = shake_hands().await;
    let handle = client.site.handle();
    let mut open: Vec<_> =
        (0..session::mux::STREAMS_MAX).map(|_| handle.open().expect("opened")).collect();
    assert!(matches!(handle.open(), Err(sluis_link::LinkError::Full)));
    open.pop();
    handle.open().expect("there is room again");
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

#[tokio::test]
async fn who_breaks_the_rules_is_told_and_sent_away() {
    for broken in [[9; 12], [0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0]] {
        let mut client = shake_hands().await;
        client.tls.write_all(&broken).await.expect("sent");
        let mut last_words = [0; 12];
        client.tls.read_exact(&mut last_words).await.expect("a reason");
        assert_eq!(last_words, [0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], "go away: protocol error");
        assert!(client.site.accept().await.is_none(), "the link is over");
    }
}

#[tokio::test]
async fn a_window_of_single_bytes_arrives_as_one_whole() {
    let mut client = shake_hands().await;
    client.yamux(DATA, SYN, 1, &[0x01]).await;
    // Ping { 1: 5 }, a byte a frame, a thousand times.
    for byte in [0x01, 0, 0, 4, 21, 0xa1, 1, 5].repeat(1000).into_iter().skip(1) {
        client.yamux(DATA, 0, 1, &[byte]).await;
    }
    let (mut from_client, _keep) = client.site.accept().await.expect("a stream").split();
    for _ in 0..1000 {
        assert_eq!(from_client.message().await.expect("read"), Message::Ping(Ping { number: 5 }));
    }
}

/// Writes until the socket takes no more; answers the streams and how many frames went.
/// The last stream's writer must wait.
async fn fill_the_socket(site: &Link) -> (Vec<(Reader, Writer)>, usize) {
    let part = vec![7; session::MAX_DATA];
    let (mut streams, mut sent, mut full) = (Vec::new(), 0, false);
    while !full {
        let (reader, writer) = site.handle().open().expect("opened").split();
        for _ in 0..3 {
            let mut sending = std::pin::pin!(writer.data(Channel::Output, 0, &part));
            match std::future::poll_fn(|cx| Poll::Ready(sending.as_mut().poll(cx))).await {
                Poll::Ready(done) => done.expect("the link is up"),
                Poll::Pending => {
                    full = true;
                    break;
                }
            }
            sent += 1;
        }
        streams.push((reader, writer));
    }
    (streams, sent)
}

#[tokio::test]
async fn who_waits_for_the_socket_goes_on_though_an_answer_emptied_it() {
    let mut client = shake_hands().await;
    // Half a window, which is answered with room for more as soon as it is read.
    client.yamux(DATA, SYN, 1, &[0x01, 0, 0, 2, 20, 0xa0]).await;
    let (mut from_client, _keep) = client.site.accept().await.expect("a stream").split();
    from_client.message().await.expect("read");
    client.yamux(DATA, 0, 1, &half_a_window()).await;
    client.yamux(DATA, SYN, 3, &[0x01, 0, 0, 2, 20, 0xa0]).await;
    let _third = client.site.accept().await.expect("all of it has arrived");

    let (mut streams, _) = fill_the_socket(&client.site).await;
    let (_reader, writer) = streams.pop().expect("one that must wait");
    let waiting = tokio::spawn(async move { writer.data(Channel::Output, 0, b"on").await });
    let (mut signal, mut signalled) = tokio::net::UnixStream::pair().expect("a pair");
    let reading = tokio::spawn(async move {
        signalled.read_u8().await.expect("the signal");
        from_client.next().await
    });
    tokio::task::yield_now().await;
    // The reader is woken before the socket takes more, so it answers before the link's own task has its turn.
    signal.write_u8(1).await.expect("written");
    let tcp = client.tls.get_ref().0.as_fd().try_clone_to_owned().expect("a descriptor");
    let mut tcp = std::net::TcpStream::from(tcp);
    let mut room = vec![0; 1 << 20];
    while std::io::Read::read(&mut tcp, &mut room).is_ok() {}
    let gone_on = tokio::time::timeout(Duration::from_secs(20), waiting).await;
    gone_on.expect("it does not wait for ever").expect("ran").expect("sent");
    reading.abort();
}

#[tokio::test]
async fn what_was_written_before_the_end_goes_out_first() {
    let by_hand::ByHand { mut tls, site, .. } = shake_hands().await;
    let (streams, sent) = fill_the_socket(&site).await;
    let handle = site.handle();
    drop(site);
    while handle.open().is_ok() {
        tokio::task::yield_now().await;
    }
    // The end has been said by now, and waits behind what the socket did not take.
    tokio::task::yield_now().await;
    drop(streams);

    let mut arrived = 0;
    loop {
        let mut header = [0; 12];
        tls.read_exact(&mut header).await.expect("whole to the end");
        if header[1] == 3 {
            break;
        }
        let length = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
        let mut bytes = vec![0; length as usize];
        tls.read_exact(&mut bytes).await.expect("whole to the end");
        arrived += usize::from(length > 0);
    }
    assert_eq!(arrived, sent);
    assert_eq!(tls.read(&mut [0]).await.expect("closed in good order"), 0);
}
