//! Sessions: opened by a console, run by an agent, relayed and recorded here.
//!
//! [`Broker`] opens sessions and takes them over; [`Session`] relays one; the scribe writes what is
//! recorded. A generation owns a session while it holds the lock of its recording; everything else
//! that going on elsewhere needs is with the agent, the console, and on disk.

mod beginning;
mod broker;
mod legs;
mod opening;
mod reaper;
mod rows;
mod scribe;
mod session;

use terminal::RecorderError;

pub use broker::{AgentLink, Broker, Caller};

pub use reaper::tend;
pub use session::Leg;

/// What was tried with a recording, with which file, and why it failed: the full disk stands in the cause.
fn why(error: RecorderError) -> String {
    format!("{:#}", anyhow::Error::from(error))
}
