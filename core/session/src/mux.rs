//! Many streams on one connection: yamux version 0, as a machine without I/O.
//!
//! Source: hashicorp's yamux specification. Whoever drives the connection gives every header to
//! [`Mux::receive`] and learns what follows; whoever uses a stream asks for the header before its bytes.
//! So the bytes themselves never pass through here, and need no copy on the way.

mod header;
mod streams;

pub use header::MUX_HEADER_LEN;
pub use streams::{
    Came, LINK_GROWTH_MAX, Mux, MuxError, STREAMS_MAX, Send, Side, WINDOW, WINDOW_MAX,
};
