use std::collections::BTreeMap;

use super::header::{ACK, FIN, Header, Kind, MUX_HEADER_LEN, RST, SYN};

/// At most this many streams on one link: sessions of one agent, plus control and API calls.
pub const STREAMS_MAX: usize = 512;

/// Bytes of a stream that may be on their way without having been taken, when it begins.
pub const WINDOW: u32 = 256 * 1024;

/// What the window of a stream becomes at most while its reader keeps up: what comes in one round trip, so
/// 20 MB/s over 50 ms.
pub const WINDOW_MAX: u32 = 1024 * 1024;

/// By how much it grows at once.
const GROWTH: u32 = WINDOW / 2;

/// By how much the windows of one link grow, all together: a peer that makes many grow and is then not read
/// takes no more memory than this beyond what it could take anyway.
pub const LINK_GROWTH_MAX: u32 = 16 * 1024 * 1024;

/// Which end of the connection this is; each opens streams with numbers of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The end that dialled: odd numbers.
    Client,
    /// The end that answered: even numbers.
    Site,
}

/// The streams of one connection, each with something of its user's.
pub struct Mux<T> {
    side: Side,
    next: u32,
    streams: BTreeMap<u32, Stream<T>>,
    /// What all windows have grown by.
    grown: u32,
}

struct Stream<T> {
    user: T,
    /// What the next header carries beside its own flags: that the stream begins, or is accepted.
    greeting: u16,
    /// Bytes that the peer takes.
    room: u32,
    /// Bytes that we take.
    window: u32,
    /// What our window has grown by.
    grown: u32,
    /// We said that nothing follows.
    finished: bool,
    /// The peer said that nothing follows.
    ended: bool,
    /// The peer, or we, gave the stream up.
    reset: bool,
}

/// Whether bytes may be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Send {
    /// This goes before the bytes.
    Now([u8; MUX_HEADER_LEN]),
    /// Not before the peer has taken some.
    Full,
    /// Never: the stream is closed or was given up.
    Never,
}

/// What a header of the peer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// The peer opened this stream; `length` bytes of it follow.
    Opened {
        /// Its number.
        stream: u32,
        /// Bytes that follow.
        length: usize,
        /// Nothing comes behind them.
        last: bool,
    },
    /// `length` bytes of this stream follow.
    Data {
        /// Its number.
        stream: u32,
        /// Bytes that follow.
        length: usize,
        /// Nothing comes behind them.
        last: bool,
    },
    /// Bytes follow that belong to no stream any more; they are to be thrown away.
    Stale {
        /// Bytes that follow.
        length: usize,
    },
    /// More may be sent on this stream.
    Room {
        /// Its number.
        stream: u32,
        /// Nothing more comes on it.
        last: bool,
    },
    /// The peer gave the stream up; what came before it may still be read.
    Reset {
        /// Its number.
        stream: u32,
        /// Bytes that follow and that nobody wants.
        length: usize,
    },
    /// This is to be sent.
    Answer([u8; MUX_HEADER_LEN]),
    /// The peer ends the connection.
    GoAway {
        /// Why: 0 in good order, 1 since we broke the rules, 2 for trouble of its own.
        code: u32,
    },
    /// Nothing to do.
    Nothing,
}

/// What ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MuxError {
    /// Not version 0.
    #[error("the peer multiplexes with version {0} of yamux; only 0 is known")]
    PeerVersion(u8),
    /// A type of frame that does not exist.
    #[error("the peer sent a yamux frame of unknown type {0}")]
    PeerKind(u8),
    /// A number that is not the peer's to give, or is taken.
    #[error("the peer opened stream {0}, which is not its to open")]
    PeerStream(u32),
    /// More streams than there may be.
    #[error("the peer opened more than {STREAMS_MAX} streams")]
    PeerStreams,
    /// More bytes than it was allowed.
    #[error("the peer sent {length} bytes on stream {stream}, which had room for {window}")]
    PeerWindow {
        /// The stream.
        stream: u32,
        /// What it announced.
        length: u32,
        /// What it was allowed.
        window: u32,
    },
    /// More room than can be counted.
    #[error("the peer gave stream {0} more room than there can be")]
    PeerRoom(u32),
    /// Our side wants one stream too many.
    #[error("{STREAMS_MAX} streams are open on this link, and no more are allowed")]
    TooMany,
}

impl<T> Mux<T> {
    /// A connection that has just begun.
    pub const fn new(side: Side) -> Self {
        let next = match side {
            Side::Client => 1,
            Side::Site => 2,
        };
        Self { side, next, streams: BTreeMap::new(), grown: 0 }
    }

    /// Opens a stream; the peer sees it with its first bytes.
    ///
    /// # Errors
    /// When there are too many, or all numbers of this connection are used up.
    pub fn open(&mut self, user: T) -> Result<u32, MuxError> {
        let number = self.next;
        if self.streams.len() >= STREAMS_MAX {
            return Err(MuxError::TooMany);
        }
        self.next = number.checked_add(2).ok_or(MuxError::TooMany)?;
        self.streams.insert(number, Stream::new(user, SYN));
        Ok(number)
    }

    /// The user of a stream that is not forgotten.
    pub fn user(&self, stream: u32) -> Option<&T> {
        self.streams.get(&stream).map(|stream| &stream.user)
    }

    /// All users, when the connection ends; no stream is left.
    pub fn end(&mut self) -> Vec<T> {
        self.grown = 0;
        std::mem::take(&mut self.streams).into_values().map(|stream| stream.user).collect()
    }

    /// Asks to send `length` bytes in one piece; at most half a window, so that there is room for
    /// them at the latest when the peer has taken all.
    pub fn send(&mut self, stream: u32, length: usize) -> Send {
        let Some(own) = self.streams.get_mut(&stream) else { return Send::Never };
        if own.finished || own.reset {
            return Send::Never;
        }
        let Some(length) = u32::try_from(length).ok().filter(|length| *length <= own.room) else {
            return Send::Full;
        };
        own.room -= length;
        let flags = std::mem::take(&mut own.greeting);
        Send::Now(Header { kind: Kind::Data, flags, stream, length }.encode())
    }

    /// How many bytes the peer takes at the moment.
    pub fn room(&self, stream: u32) -> usize {
        self.streams.get(&stream).map_or(0, |stream| stream.room as usize)
    }

    /// Gives the peer room for bytes that were taken. Worth its header from half a window on.
    ///
    /// The window grows when the reader `keeps_up`, so has nothing left to take: then it is the peer that
    /// waits, and over a long way a window is what comes in a round trip.
    pub fn give(
        &mut self,
        stream: u32,
        taken: usize,
        keeps_up: bool,
    ) -> Option<[u8; MUX_HEADER_LEN]> {
        let own = self.streams.get_mut(&stream)?;
        let mut length = u32::try_from(taken).ok()?;
        if own.ended || own.reset {
            return None;
        }
        let may_grow =
            WINDOW + own.grown + GROWTH <= WINDOW_MAX && self.grown + GROWTH <= LINK_GROWTH_MAX;
        if keeps_up && may_grow && length >= WINDOW / 2 {
            own.grown += GROWTH;
            self.grown += GROWTH;
            length = length.saturating_add(GROWTH);
        }
        own.window = own.window.saturating_add(length);
        let flags = std::mem::take(&mut own.greeting);
        Some(Header { kind: Kind::WindowUpdate, flags, stream, length }.encode())
    }

    /// Says that nothing follows; `None` when that was said before or nobody listens.
    pub fn finish(&mut self, stream: u32) -> Option<[u8; MUX_HEADER_LEN]> {
        let own = self.streams.get_mut(&stream)?;
        if std::mem::replace(&mut own.finished, true) || own.reset {
            return None;
        }
        let flags = std::mem::take(&mut own.greeting) | FIN;
        Some(Header { kind: Kind::Data, flags, stream, length: 0 }.encode())
    }

    /// Forgets a stream that nobody uses any more. What is answered tells the peer: that nothing
    /// follows, or, when it could still send, that nobody would read it.
    pub fn forget(&mut self, stream: u32) -> Option<[u8; MUX_HEADER_LEN]> {
        let own = self.streams.remove(&stream)?;
        self.grown -= own.grown;
        // The peer never heard of a stream on which nothing was sent.
        if own.reset || own.greeting == SYN {
            return None;
        }
        let flag = match (own.ended, own.finished) {
            (true, true) => return None,
            (true, false) => FIN,
            (false, _) => RST,
        };
        let flags = own.greeting | flag;
        Some(Header { kind: Kind::Data, flags, stream, length: 0 }.encode())
    }

    /// Says that the connection ends in good order.
    pub fn go_away() -> [u8; MUX_HEADER_LEN] {
        Header { kind: Kind::GoAway, flags: 0, stream: 0, length: 0 }.encode()
    }

    /// Says that the connection ends since the peer broke the rules.
    pub fn protocol_error() -> [u8; MUX_HEADER_LEN] {
        Header { kind: Kind::GoAway, flags: 0, stream: 0, length: 1 }.encode()
    }

    /// Takes a header of the peer; `opened` makes the user of a stream that it opens.
    ///
    /// # Errors
    /// When the peer breaks the rules; the connection is then of no further use.
    pub fn receive(
        &mut self,
        header: [u8; MUX_HEADER_LEN],
        opened: impl FnOnce() -> T,
    ) -> Result<Came, MuxError> {
        let header = Header::decode(header)?;
        match header.kind {
            Kind::Ping if header.has(ACK) => Ok(Came::Nothing),
            Kind::Ping => Ok(Came::Answer(Header { flags: ACK, ..header }.encode())),
            Kind::GoAway => Ok(Came::GoAway { code: header.length }),
            Kind::Data | Kind::WindowUpdate if header.has(RST) => Ok(self.given_up(header)),
            Kind::Data | Kind::WindowUpdate if header.has(SYN) => self.opened(header, opened),
            Kind::Data => self.data(header),
            Kind::WindowUpdate => self.more_room(header),
        }
    }

    fn given_up(&mut self, header: Header) -> Came {
        if let Some(own) = self.streams.get_mut(&header.stream) {
            own.reset = true;
        }
        Came::Reset { stream: header.stream, length: header.bytes() }
    }

    fn opened(&mut self, header: Header, user: impl FnOnce() -> T) -> Result<Came, MuxError> {
        let Header { stream, length, .. } = header;
        let odd = self.side == Side::Site;
        if stream == 0 || (stream % 2 == 1) != odd || self.streams.contains_key(&stream) {
            return Err(MuxError::PeerStream(stream));
        }
        if self.streams.len() >= STREAMS_MAX {
            return Err(MuxError::PeerStreams);
        }
        let mut own = Stream::new(user(), ACK);
        let last = header.has(FIN);
        own.ended = last;
        if header.kind == Kind::Data {
            own.take(stream, length)?;
        } else {
            own.widen(stream, length)?;
        }
        self.streams.insert(stream, own);
        Ok(Came::Opened { stream, length: header.bytes(), last })
    }

    fn data(&mut self, header: Header) -> Result<Came, MuxError> {
        let Header { stream, length, .. } = header;
        let last = header.has(FIN);
        match self.streams.get_mut(&stream) {
            Some(own) if !own.ended => {
                own.take(stream, length)?;
                own.ended = last;
                Ok(Came::Data { stream, length: length as usize, last })
            }
            // Sent before the peer knew that we forgot the stream, or behind its own end.
            _ => Ok(Came::Stale { length: length as usize }),
        }
    }

    fn more_room(&mut self, header: Header) -> Result<Came, MuxError> {
        let Header { stream, length, .. } = header;
        let last = header.has(FIN);
        let Some(own) = self.streams.get_mut(&stream) else { return Ok(Came::Nothing) };
        own.widen(stream, length)?;
        own.ended |= last;
        Ok(Came::Room { stream, last })
    }
}

impl<T> Stream<T> {
    const fn new(user: T, greeting: u16) -> Self {
        Self {
            user,
            greeting,
            room: WINDOW,
            window: WINDOW,
            grown: 0,
            finished: false,
            ended: false,
            reset: false,
        }
    }

    fn take(&mut self, stream: u32, length: u32) -> Result<(), MuxError> {
        let window = self.window;
        self.window =
            window.checked_sub(length).ok_or(MuxError::PeerWindow { stream, length, window })?;
        Ok(())
    }

    fn widen(&mut self, stream: u32, length: u32) -> Result<(), MuxError> {
        self.room = self.room.checked_add(length).ok_or(MuxError::PeerRoom(stream))?;
        Ok(())
    }
}
