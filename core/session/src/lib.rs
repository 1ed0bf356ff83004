//! What travels in a session and how it survives: frames, messages, offsets, windows and tickets.
//!
//! A session is two byte streams, *output* (endpoint to operator) and *input* (operator to
//! endpoint). Each byte has an offset counted from the first byte of its stream. Whoever produces
//! a stream keeps its bytes in an [`Outbox`] until they are acknowledged; whoever consumes it
//! counts with an [`Inbox`], which drops what it has seen before. So any leg of the way may break
//! and come back, through the same process or another, and no byte is lost or doubled.
//!
//! Agent, site and console call this crate; `adapters/link` carries its frames. Nothing here does
//! I/O. `docs/concepts/link.md` describes the wire for another implementation.

mod frame;
mod hello;
mod inbox;
mod message;
pub mod mux;
mod outbox;
mod sign;
mod ticket;

pub use frame::{
    CHUNK, Channel, Frame, FrameError, HEADER_LEN, MAX_DATA, MAX_PAYLOAD, decode, encode_ack,
    encode_data, encode_data_header, encode_message, frame_len, parse,
};
pub use hello::{
    ClientHello, EXPORTER_LABEL, HelloError, LINK_VERSIONS, SiteHello, choose_version,
};
pub use inbox::{Gap, Inbox};
pub use message::{
    AgentStatus, Bye, ChosenId, Close, ControlStream, EndOfInput, Exit, Finished, Message,
    MessageError, Migrate, MigrateReady, Moved, OpenApi, OpenSession, Opened, Ping, Pong, Refused,
    RefusedCode, Resize, Resume, SendFrom, Signal, SignalTaken, StartSession, Uninstalled,
    UpgradeAvailable, Welcome,
};
pub use outbox::{Chunk, Outbox, OutboxError, Snapshot};
pub use sign::{BadSeed, SigningKey, verify};
pub use ticket::{Ticket, TicketError};
