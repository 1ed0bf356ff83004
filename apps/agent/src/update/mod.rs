//! How the agent becomes a newer version: fetch and verify, slots, self-test, the switch itself.

#[cfg(unix)]
pub mod carry;
#[cfg(unix)]
pub mod exec;
pub mod fetch;
pub mod rescue;
pub mod selftest;
pub mod slots;
