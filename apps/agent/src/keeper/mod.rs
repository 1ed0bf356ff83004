//! The keeper: a small process that starts the serving process and puts a bad version back.
//!
//! `sluis-agent run` is the keeper. It never speaks to the network; it starts `sluis-agent serve` from the
//! current slot, watches it over a socket, and restarts it when it ends. While a new version proves itself
//! the keeper holds copies of all sessions' descriptors and their state, so that the version before can
//! go on with them. What it decides is the pure [`machine`]; what it remembers is the [`ledger`].

#[cfg(unix)]
mod channel;
#[cfg(unix)]
mod client;
#[cfg(unix)]
pub mod control;
pub mod ledger;
pub mod machine;
#[cfg(unix)]
mod run;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub use channel::ServeStatus;
#[cfg(unix)]
pub use client::{Command, KeeperHandle};
pub use ledger::Failure;
#[cfg(unix)]
pub(crate) use run::is_running;
#[cfg(unix)]
pub use run::run;
#[cfg(windows)]
pub use windows::{Command, KeeperHandle, ServeStatus};
