//! Two ends that obey never break a connection, lose a byte or stand still; an end that does not obey
//! is told what it broke.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;
use sluis_core_session::mux::{
    Came, LINK_GROWTH_MAX, MUX_HEADER_LEN, Mux, MuxError, STREAMS_MAX, Send, Side, WINDOW,
    WINDOW_MAX,
};

const HALF: usize = WINDOW as usize / 2;

type Header = [u8; MUX_HEADER_LEN];

fn header(kind: u8, flags: u8, stream: u32, length: u32) -> Header {
    let mut bytes = [0; MUX_HEADER_LEN];
    (bytes[1], bytes[3]) = (kind, flags);
    bytes[4..8].copy_from_slice(&stream.to_be_bytes());
    bytes[8..].copy_from_slice(&length.to_be_bytes());
    bytes
}

const DATA: u8 = 0;
const UPDATE: u8 = 1;
const PING: u8 = 2;
const GO_AWAY: u8 = 3;
const SYN: u8 = 1;
const ACK: u8 = 2;
const FIN: u8 = 4;
const RST: u8 = 8;

fn sent(mux: &mut Mux<()>, stream: u32, length: usize) -> Header {
    match mux.send(stream, length) {
        Send::Now(header) => header,
        other => panic!("{other:?} instead of a header"),
    }
}

#[test]
fn the_first_frame_opens_the_second_end_s_first_accepts() {
    let (mut client, mut site) = (Mux::new(Side::Client), Mux::new(Side::Site));
    let stream = client.open(()).unwrap();
    assert_eq!(stream, 1);
    let first = sent(&mut client, stream, 5);
    assert_eq!(first, header(DATA, SYN, 1, 5));
    assert_eq!(sent(&mut client, stream, 6), header(DATA, 0, 1, 6), "once is enough");
    let came = site.receive(first, || ()).unwrap();
    assert_eq!(came, Came::Opened { stream: 1, length: 5, last: false });
    assert_eq!(sent(&mut site, 1, 7), header(DATA, ACK, 1, 7));
    assert_eq!(site.open(()).unwrap(), 2);
}

#[test]
fn a_full_window_waits_for_what_was_taken() {
    let (mut client, mut site) = (Mux::new(Side::Client), Mux::new(Side::Site));
    let stream = client.open(()).unwrap();
    for _ in 0..2 {
        let frame = sent(&mut client, stream, HALF);
        site.receive(frame, || ()).unwrap();
    }
    assert_eq!(client.send(stream, 1), Send::Full);
    assert_eq!(client.room(stream), 0);
    let update = site.give(stream, HALF, false).unwrap();
    assert_eq!(update, header(UPDATE, ACK, 1, WINDOW / 2));
    assert_eq!(client.receive(update, || ()).unwrap(), Came::Room { stream, last: false });
    assert_eq!(client.room(stream), HALF);
    assert_eq!(client.send(stream, HALF + 1), Send::Full, "whole or not at all");
    sent(&mut client, stream, HALF);
}

/// How far the peer may send on a stream whose reader always keeps up.
fn grow(site: &mut Mux<()>, stream: u32) -> u32 {
    let mut window = WINDOW;
    for _ in 0..20 {
        site.receive(header(DATA, 0, stream, WINDOW / 2), || ()).expect("allowed");
        let update = site.give(stream, HALF, true).expect("worth saying");
        let given = update.last_chunk().expect("a header ends with its length");
        window = window - WINDOW / 2 + u32::from_be_bytes(*given);
    }
    window
}

#[test]
fn the_window_of_a_reader_that_keeps_up_grows_and_no_further_than_it_may() {
    let mut site = Mux::new(Side::Site);
    let open = |site: &mut Mux<()>, stream| {
        site.receive(header(DATA, SYN, stream, 0), || ()).expect("opened");
        grow(site, stream)
    };
    assert_eq!(open(&mut site, 1), WINDOW_MAX);
    let all = LINK_GROWTH_MAX / (WINDOW_MAX - WINDOW);
    let windows: Vec<u32> = (1..=all + 1).map(|i| open(&mut site, 2 * i + 1)).collect();
    let grown: u32 = windows.iter().map(|window| window - WINDOW).sum();
    assert!(grown + WINDOW_MAX - WINDOW <= LINK_GROWTH_MAX);
    assert_eq!(windows.last(), Some(&WINDOW), "all together have grown as far as they may");
    site.forget(1);
    assert_eq!(open(&mut site, 9_999), WINDOW_MAX, "what is forgotten makes room");
}

#[test]
fn keeping_up_with_single_bytes_makes_no_window_grow() {
    let mut site = Mux::new(Side::Site);
    site.receive(header(DATA, SYN, 1, 1), || ()).unwrap();
    assert_eq!(site.give(1, 1, true).unwrap(), header(UPDATE, ACK, 1, 1));
}

#[test]
fn an_end_is_said_once_and_bytes_may_still_come() {
    let (mut client, mut site) = (Mux::new(Side::Client), Mux::new(Side::Site));
    let stream = client.open(()).unwrap();
    let first = sent(&mut client, stream, 1);
    site.receive(first, || ()).unwrap();
    let end = client.finish(stream).unwrap();
    assert_eq!(end, header(DATA, FIN, 1, 0));
    assert_eq!(client.finish(stream), None);
    assert_eq!(client.send(stream, 1), Send::Never);
    assert_eq!(site.receive(end, || ()).unwrap(), Came::Data { stream, length: 0, last: true });
    assert_eq!(site.give(stream, 1, true), None, "nobody sends any more");
    let answer = sent(&mut site, stream, 9);
    let came = client.receive(answer, || ()).unwrap();
    assert_eq!(came, Came::Data { stream, length: 9, last: false });
    assert_eq!(site.forget(stream), Some(header(DATA, FIN, 1, 0)));
    assert_eq!(site.receive(header(DATA, 0, 1, 3), || ()).unwrap(), Came::Stale { length: 3 });
}

#[test]
fn a_forgotten_stream_tells_a_peer_that_could_still_send() {
    let (mut client, mut site) = (Mux::new(Side::Client), Mux::new(Side::Site));
    let unheard = client.open(()).unwrap();
    assert_eq!(client.forget(unheard), None, "the peer never heard of it");
    let stream = client.open(()).unwrap();
    let first = sent(&mut client, stream, 1);
    site.receive(first, || ()).unwrap();
    client.finish(stream).unwrap();
    let given_up = client.forget(stream).unwrap();
    assert_eq!(given_up, header(DATA, RST, stream, 0));
    assert_eq!(site.receive(given_up, || ()).unwrap(), Came::Reset { stream, length: 0 });
    assert_eq!(site.send(stream, 1), Send::Never);
    assert_eq!(site.finish(stream), None);
    assert_eq!(site.forget(stream), None);
}

#[test]
fn pings_are_answered_and_an_end_is_an_end() {
    let mut site = Mux::new(Side::Site);
    let came = site.receive(header(PING, SYN, 0, 77), || ()).unwrap();
    assert_eq!(came, Came::Answer(header(PING, ACK, 0, 77)));
    assert_eq!(site.receive(header(PING, ACK, 0, 77), || ()).unwrap(), Came::Nothing);
    assert_eq!(site.receive(Mux::<()>::go_away(), || ()).unwrap(), Came::GoAway { code: 0 });
    assert_eq!(Mux::<()>::go_away(), header(GO_AWAY, 0, 0, 0));
    let late = header(UPDATE, 0, 9, 10);
    assert_eq!(site.receive(late, || ()).unwrap(), Came::Nothing, "for a stream that is gone");
}

#[test]
fn what_a_peer_breaks_is_named() {
    let broken = |frames: &[Header]| {
        let mut site = Mux::new(Side::Site);
        let mut last = Ok(Came::Nothing);
        for frame in frames {
            last = site.receive(*frame, || ());
        }
        last.unwrap_err()
    };
    let mut newer = header(DATA, SYN, 1, 0);
    newer[0] = 1;
    assert_eq!(broken(&[newer]), MuxError::PeerVersion(1));
    assert_eq!(broken(&[header(4, 0, 1, 0)]), MuxError::PeerKind(4));
    assert_eq!(broken(&[header(DATA, SYN, 2, 0)]), MuxError::PeerStream(2));
    assert_eq!(broken(&[header(DATA, SYN, 0, 0)]), MuxError::PeerStream(0));
    let twice = header(UPDATE, SYN, 1, 0);
    assert_eq!(broken(&[twice, twice]), MuxError::PeerStream(1));
    let too_much = MuxError::PeerWindow { stream: 1, length: WINDOW + 1, window: WINDOW };
    assert_eq!(broken(&[header(DATA, SYN, 1, WINDOW + 1)]), too_much);
    let rest = MuxError::PeerWindow { stream: 1, length: 2, window: 1 };
    assert_eq!(broken(&[header(DATA, SYN, 1, WINDOW - 1), header(DATA, 0, 1, 2)]), rest);
    assert_eq!(broken(&[header(UPDATE, SYN, 1, u32::MAX)]), MuxError::PeerRoom(1));
    let many: Vec<Header> =
        (0..=STREAMS_MAX as u32).map(|i| header(DATA, SYN, 2 * i + 1, 0)).collect();
    assert_eq!(broken(&many), MuxError::PeerStreams);
}

#[test]
fn our_own_side_is_limited_too() {
    let mut client = Mux::new(Side::Client);
    for _ in 0..STREAMS_MAX {
        client.open(()).unwrap();
    }
    assert_eq!(client.open(()), Err(MuxError::TooMany));
    client.forget(1);
    assert_eq!(client.open(()).unwrap(), 2 * STREAMS_MAX as u32 + 1, "no number twice");
}

/// One end, with what arrived and was not taken.
struct End {
    mux: Mux<()>,
    waiting: BTreeMap<u32, usize>,
    grown: BTreeMap<u32, usize>,
    to_peer: VecDeque<Header>,
    sent: BTreeMap<u32, usize>,
    got: BTreeMap<u32, usize>,
}

impl End {
    fn new(side: Side) -> Self {
        Self {
            mux: Mux::new(side),
            waiting: BTreeMap::new(),
            grown: BTreeMap::new(),
            to_peer: VecDeque::new(),
            sent: BTreeMap::new(),
            got: BTreeMap::new(),
        }
    }

    fn pick(&self, which: usize) -> Option<u32> {
        self.waiting.keys().nth(which % self.waiting.len().max(1)).copied()
    }

    fn send(&mut self, stream: u32, length: usize) {
        if let Send::Now(header) = self.mux.send(stream, length) {
            self.to_peer.push_back(header);
            *self.sent.entry(stream).or_default() += length;
        }
    }

    fn take(&mut self, stream: u32) {
        let taken = self.waiting.insert(stream, 0).unwrap_or(0);
        if taken == 0 {
            return;
        }
        if let Some(update) = self.mux.give(stream, taken, taken.is_multiple_of(2)) {
            let given = u32::from_be_bytes(*update.last_chunk().expect("ends with its length"));
            *self.grown.entry(stream).or_default() += given as usize - taken;
            self.to_peer.push_back(update);
        }
    }

    fn receive(&mut self, header: Header) {
        match self.mux.receive(header, || ()).expect("the peer obeys") {
            Came::Opened { stream, length, .. } | Came::Data { stream, length, .. } => {
                let waiting = self.waiting.entry(stream).or_default();
                *waiting += length;
                let grown = self.grown.get(&stream).unwrap_or(&0);
                assert!(*waiting <= WINDOW as usize + grown, "more waits than was allowed");
                *self.got.entry(stream).or_default() += length;
            }
            Came::Answer(header) => self.to_peer.push_back(header),
            _ => {}
        }
    }
}

/// What an end does, with which stream and how many bytes.
fn act(end: &mut End, what: u8, which: usize, length: usize) {
    if what == 0 {
        if let Ok(stream) = end.mux.open(()) {
            end.waiting.insert(stream, 0);
            end.send(stream, length);
        }
        return;
    }
    let Some(stream) = end.pick(which) else { return };
    match what {
        1..=4 => end.send(stream, length),
        5 | 6 => end.take(stream),
        7 => end.to_peer.extend(end.mux.finish(stream)),
        _ => {
            end.waiting.remove(&stream);
            end.to_peer.extend(end.mux.forget(stream));
        }
    }
}

fn deliver(ends: &mut [End; 2], from: usize) -> bool {
    let Some(header) = ends[from].to_peer.pop_front() else { return false };
    ends[1 - from].receive(header);
    true
}

proptest! {
    #[test]
    fn whatever_two_ends_do_they_stay_together(
        acts in prop::collection::vec((0..2_usize, 0..12_u8, 0..8_usize, 0..=HALF), 1..400)
    ) {
        let mut ends = [End::new(Side::Client), End::new(Side::Site)];
        for (who, what, which, length) in acts {
            match what {
                0..=8 => act(&mut ends[who], what, which, length),
                _ => { deliver(&mut ends, who); }
            }
        }
        // Nothing stands still: when all is taken, whoever did not finish can send again.
        loop {
            let moved = deliver(&mut ends, 0) | deliver(&mut ends, 1);
            if !moved && ends.iter().all(|end| end.waiting.values().all(|waiting| *waiting == 0)) {
                break;
            }
            for end in &mut ends {
                let streams: Vec<u32> = end.waiting.keys().copied().collect();
                for stream in streams {
                    end.take(stream);
                }
            }
        }
        let [client, site] = &mut ends;
        let shared: Vec<u32> =
            client.waiting.keys().filter(|stream| site.waiting.contains_key(stream)).copied().collect();
        for stream in shared {
            prop_assert_eq!(client.sent.get(&stream).unwrap_or(&0), site.got.get(&stream).unwrap_or(&0));
            prop_assert_eq!(site.sent.get(&stream).unwrap_or(&0), client.got.get(&stream).unwrap_or(&0));
            for end in [&mut *client, &mut *site] {
                prop_assert_ne!(end.mux.send(stream, HALF), Send::Full);
            }
        }
    }
}
