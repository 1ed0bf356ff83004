//! Every decoder against bytes that nobody meant.
//!
//! Each decoder has one function here that takes any bytes. It must return, and what it accepted
//! must hold the decoder's promise: written again and read again, it is the same. A panic, an
//! overflow, an endless loop or a broken promise is a finding.
//!
//! `tests/replay.rs` runs them all on every `cargo xtask test`: on what our own encoders make, on the
//! files below `corpus`, on a set of nasty bytes, and on a bounded number of bent ones.
//! `cargo xtask fuzz <decoder>` lets libFuzzer look for more, through the crate in `fuzz/`. What it
//! finds goes to `corpus/<decoder>/` under a name that says what it is and what must come of it:
//! `ok-…` is accepted, `bad-…` is refused. Then the decoder is mended.

mod install;
pub mod mutate;
mod offer;
mod package;
mod page;
mod recording;
mod release;
mod session;
mod tuf;

pub use crate::install::{journal, ledger};
pub use crate::offer::{check_request, enrolment_text, offer};
pub use crate::package::package;
pub use crate::page::flash;
pub use crate::recording::{chain_record, recording};
pub use crate::release::{hostname, manifest, path, stamp};
pub use crate::session::{client_hello, frame, mux, outbox, site_hello, ticket};
pub use crate::tuf::{tuf_root, tuf_snapshot, tuf_targets, tuf_timestamp};

/// What a decoder said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The bytes mean something.
    Accepted,
    /// The bytes mean nothing, and that was said as an error.
    Refused,
}

impl Outcome {
    fn of<T, E>(result: &Result<T, E>) -> Self {
        if result.is_ok() { Self::Accepted } else { Self::Refused }
    }
}

/// One decoder.
#[derive(Debug, Clone, Copy)]
pub struct Decoder {
    /// Its name: that of its function, its corpus folder and its fuzz target.
    pub name: &'static str,
    /// Takes any bytes.
    pub run: fn(&[u8]) -> Outcome,
    /// Good bytes, made by our own encoders; each is accepted.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

macro_rules! decoders {
    ($($module:ident::$name:ident,)*) => {
        /// All decoders.
        pub const DECODERS: &[Decoder] = &[
            $(Decoder { name: stringify!($name), run: $module::$name, seeds: $module::seeds::$name },)*
        ];
    };
}

decoders! {
    install::journal,
    install::ledger,
    offer::check_request,
    offer::enrolment_text,
    offer::offer,
    package::package,
    page::flash,
    recording::chain_record,
    recording::recording,
    release::hostname,
    release::manifest,
    release::path,
    release::stamp,
    session::client_hello,
    session::frame,
    session::mux,
    session::outbox,
    session::site_hello,
    session::ticket,
    tuf::tuf_root,
    tuf::tuf_snapshot,
    tuf::tuf_targets,
    tuf::tuf_timestamp,
}
