//! Messages: what is said beside the bytes.
//!
//! A message is one unsigned CBOR integer, its type, and one CBOR map with numbered keys. Unknown
//! keys are skipped; a message of an unknown type decodes to [`Message::Unknown`] and is ignored.
//! A number once given never changes its meaning.

use minicbor::decode::Error as CborError;
use minicbor::{Decode, Decoder, Encode, Encoder};
use model::SessionId;

/// The bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a message: {0}")]
pub struct MessageError(pub String);

impl From<CborError> for MessageError {
    fn from(error: CborError) -> Self {
        Self(error.to_string())
    }
}

macro_rules! messages {
    ($($(#[$doc:meta])* $number:literal $name:ident { $($(#[$field_doc:meta])* $key:literal $field:ident: $type:ty $(as $with:literal)?,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
            #[cbor(map)]
            pub struct $name {
                $($(#[$field_doc])* #[n($key)] $(#[cbor(with = $with)])? pub $field: $type,)*
            }

            impl From<$name> for Message {
                fn from(message: $name) -> Self {
                    Self::$name(message)
                }
            }
        )*

        /// Everything that can be said.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Message {
            $($(#[$doc])* $name($name),)*
            /// A message of a later version, with its type.
            Unknown(u32),
        }

        impl Message {
            pub(crate) fn encode(&self) -> Vec<u8> {
                let mut encoder = Encoder::new(Vec::new());
                let written = match self {
                    $(Self::$name(message) => encoder.u32($number).and_then(|e| e.encode(message)).map(|_| ()),)*
                    Self::Unknown(number) => encoder.u32(*number).and_then(|e| e.map(0)).map(|_| ()),
                };
                // Writing to a vector cannot fail.
                debug_assert!(written.is_ok(), "a vector takes everything");
                encoder.into_writer()
            }

            pub(crate) fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
                let mut decoder = Decoder::new(bytes);
                let message = match decoder.u32()? {
                    $($number => Self::$name(decoder.decode()?),)*
                    unknown => Self::Unknown(unknown),
                };
                Ok(message)
            }
        }
    };
}

messages! {
    /// Console → site, first on its stream: open a session.
    1 OpenSession {
        /// Name or id of the Jump Client.
        1 target: String,
        /// The command line to run; without one, a login shell on a terminal.
        2 command: Option<String>,
        /// Columns of the operator's terminal.
        3 columns: u16,
        /// Rows of the operator's terminal.
        4 rows: u16,
        /// The operator's `TERM`.
        5 term: String,
        /// Run the command on a terminal too.
        6 terminal: bool,
        /// The id that the session is to have. A console that asks again with the same one, since
        /// the link broke before it heard an answer, gets the same session and not a second one.
        7 session: Option<ChosenId>,
    }
    /// Site → agent, first on its stream: start what a session needs.
    2 StartSession {
        /// The new session.
        1 session: SessionId as "crate::message::id",
        /// The signed ticket to show when resuming.
        2 ticket: Vec<u8> as "minicbor::bytes",
        /// The command line to run; without one, a login shell on a terminal.
        3 command: Option<String>,
        /// Columns of the operator's terminal.
        4 columns: u16,
        /// Rows of the operator's terminal.
        5 rows: u16,
        /// The operator's `TERM`.
        6 term: String,
        /// Run the command on a terminal too.
        7 terminal: bool,
        /// Name of the operator, for the endpoint's own log.
        8 operator: String,
    }
    /// Agent → site and site → console: the session runs.
    3 Opened {
        /// The session.
        1 session: SessionId as "crate::message::id",
        /// The ticket to show when resuming; empty from an agent.
        2 ticket: Vec<u8> as "minicbor::bytes",
        /// Name of the endpoint.
        3 endpoint: String,
    }
    /// Agent or console → site, first on its stream: go on with a session.
    4 Resume {
        /// The session.
        1 session: SessionId as "crate::message::id",
        /// The ticket it was given.
        2 ticket: Vec<u8> as "minicbor::bytes",
        /// The next byte it wants to receive.
        3 received: u64,
        /// The first byte that it can still send.
        4 base: u64,
        /// The byte after the last it has produced.
        5 head: u64,
        /// Milliseconds since its former leg broke.
        6 away_ms: Option<u64>,
    }
    /// Site → agent and console: send your stream from this byte on, now and whenever it comes.
    5 SendFrom {
        /// The offset.
        1 offset: u64,
    }
    /// The request cannot be met.
    6 Refused {
        /// Why, for programs: see [`RefusedCode`].
        1 code: u32,
        /// Why, and what to do about it, for people.
        2 text: String,
    }
    /// Console → agent: the operator's terminal has a new size.
    7 Resize {
        /// Columns.
        1 columns: u16,
        /// Rows.
        2 rows: u16,
    }
    /// Console → agent: no input follows after this offset.
    8 EndOfInput {
        /// Length of the input stream.
        1 offset: u64,
    }
    /// Agent → console: the remote process ended.
    9 Exit {
        /// Its exit status.
        1 status: Option<u8>,
        /// Or the signal that ended it.
        2 signal: Option<u8>,
        /// Length of the output stream; the session is over when all of it has arrived.
        3 offset: u64,
        /// Or why it could not run or go on.
        4 reason: Option<String>,
    }
    /// Console → site → agent: all output and the exit arrived; the session can be forgotten.
    10 Finished {}
    /// The operator ends the session; the agent ends the remote process.
    11 Close {}
    /// Site → agent and console: resume this session on your newest link.
    12 Moved {}
    /// Console → agent: send this signal to the remote process.
    13 Signal {
        /// Number of the signal.
        1 number: u8,
        /// Which of the session's signals it is, counted from 1. It is sent again on each new leg
        /// until [`SignalTaken`] names it or a later one, and the agent skips what it has had.
        2 serial: Option<u32>,
    }
    /// Agent → console: the remote process got the signals up to this one.
    14 SignalTaken {
        /// The last one.
        1 serial: u32,
    }
    /// First on the stream that speaks of the link itself; opened by whoever dialled.
    20 ControlStream {}
    /// Are you there?
    21 Ping {
        /// Comes back in the answer.
        1 number: u64,
    }
    /// Yes.
    22 Pong {
        /// What was asked.
        1 number: u64,
    }
    /// Site → agent and console: dial again, then say so; a newer generation answers.
    23 Migrate {
        /// The generation that asks.
        1 generation: u64,
    }
    /// The answer to [`Migrate`]: another link is up.
    24 MigrateReady {}
    /// This link will be closed by whoever says so; nothing is on it any more.
    25 Bye {}
    /// Site → agent: this is the version of the site's clients.
    26 UpgradeAvailable {
        /// Name of the TUF target.
        1 target: String,
        /// Its version.
        2 version: String,
        /// Its revision.
        3 revision: u32,
    }
    /// Agent → site: how its upgrade goes.
    27 AgentStatus {
        /// Phase of the upgrade: `downloading`, `switching`, `proving`, `current`, `failed`.
        1 phase: String,
        /// The version that it concerns.
        2 version: String,
        /// Why, in words.
        3 text: String,
        /// Percent of the phase.
        4 percent: u8,
        /// After `failed`: whether the site may offer it again by itself; it may when this is absent.
        5 again: Option<bool>,
    }
    /// Agent → site: this Jump Client is taken off its endpoint. The site answers [`Bye`] when it has
    /// written that down.
    28 Uninstalled {}
    /// First on a stream that carries HTTP/1.1 from then on.
    30 OpenApi {}
    /// Site → client after the proofs: who you are to me.
    42 Welcome {
        /// The id of the agent, or of the console when it is registered.
        1 id: Option<Vec<u8>> as "minicbor::bytes",
        /// The name of the agent, or of the console's operator.
        2 name: String,
        /// Whether it may do more than sign in.
        3 known: bool,
    }
}

/// Why something was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum RefusedCode {
    /// A later version's reason.
    Other = 0,
    /// No such Jump Client.
    UnknownTarget = 1,
    /// The Jump Client has no link now.
    Offline = 2,
    /// The caller may not do this.
    Forbidden = 3,
    /// This generation takes no new work; ask on a new link.
    Moved = 4,
    /// The session is over or never was.
    UnknownSession = 5,
    /// The caller is not signed in.
    SignIn = 6,
    /// The Jump Client waits for its upgrade.
    UpgradePending = 7,
    /// The versions do not fit.
    Version = 8,
    /// Something went wrong at the site or the agent.
    Failed = 9,
    /// Too much at once.
    Busy = 10,
    /// The agent's enrolment token is not valid, or its identity is not known.
    NotEnrolled = 11,
    /// The agent runs that session already, and resumes it by itself.
    RunsAlready = 12,
}

impl RefusedCode {
    /// The code with that number.
    pub const fn from_number(number: u32) -> Self {
        match number {
            1 => Self::UnknownTarget,
            2 => Self::Offline,
            3 => Self::Forbidden,
            4 => Self::Moved,
            5 => Self::UnknownSession,
            6 => Self::SignIn,
            7 => Self::UpgradePending,
            8 => Self::Version,
            9 => Self::Failed,
            10 => Self::Busy,
            11 => Self::NotEnrolled,
            12 => Self::RunsAlready,
            _ => Self::Other,
        }
    }
}

impl Refused {
    /// A refusal with its reason.
    pub fn new(code: RefusedCode, text: impl Into<String>) -> Self {
        Self { code: code as u32, text: text.into() }
    }

    /// Why, for programs.
    pub const fn reason(&self) -> RefusedCode {
        RefusedCode::from_number(self.code)
    }
}

/// The id of a session as a console chooses it, drawn at random; on the wire like any other id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChosenId(pub SessionId);

impl<C> Encode<C> for ChosenId {
    fn encode<W: minicbor::encode::Write>(
        &self,
        encoder: &mut Encoder<W>,
        context: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        id::encode(&self.0, encoder, context)
    }
}

impl<'b, C> Decode<'b, C> for ChosenId {
    fn decode(decoder: &mut Decoder<'b>, context: &mut C) -> Result<Self, CborError> {
        id::decode(decoder, context).map(Self)
    }
}

/// A session id as a CBOR byte string of 16 bytes.
mod id {
    use super::{CborError, Decoder, Encoder, SessionId};
    use minicbor::encode::{Error as EncodeError, Write};

    pub(super) fn encode<C, W: Write>(
        id: &SessionId,
        encoder: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), EncodeError<W::Error>> {
        encoder.bytes(id.as_bytes()).map(|_| ())
    }

    pub(super) fn decode<C>(decoder: &mut Decoder<'_>, _: &mut C) -> Result<SessionId, CborError> {
        let bytes = decoder.bytes()?;
        let bytes = bytes.try_into().map_err(|_| CborError::message("an id has 16 bytes"))?;
        Ok(SessionId::from_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reads_back() {
        let message = Message::from(StartSession {
            session: SessionId::from_bytes([7; 16]),
            ticket: vec![1, 2, 3],
            command: None,
            columns: 80,
            rows: 24,
            term: "xterm".into(),
            terminal: true,
            operator: "ada".into(),
        });
        assert_eq!(Message::decode(&message.encode()), Ok(message));
    }

    #[test]
    fn unknown_keys_and_types_are_tolerated() {
        // Ping { 1: 5, 99: "later" }
        let later = [&[0x15, 0xa2, 1, 5, 0x18, 99, 0x65][..], b"later"].concat();
        assert_eq!(Message::decode(&later), Ok(Ping { number: 5 }.into()));
        assert_eq!(Message::decode(&[0x19, 0x03, 0xe8, 0xa0]), Ok(Message::Unknown(1000)));
    }

    #[test]
    fn a_missing_or_wrong_field_is_an_error() {
        assert!(Message::decode(&[0x15, 0xa0]).is_err());
        assert!(Message::decode(&[0x15, 0xa1, 1, 0x61, b'x']).is_err());
        assert!(Message::decode(&[]).is_err());
        assert!(Message::decode(&[0x04, 0xa1, 1, 0x41, 0]).is_err(), "an id of one byte");
    }
}
