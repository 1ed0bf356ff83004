//! A running update server, a repository to publish into, and appliances that talk to it.
#![allow(dead_code, unused_imports, reason = "each test binary uses its own part of this")]

mod appliance;
mod repository;
mod server;

pub use appliance::{Appliance, card};
pub use repository::{Repository, base, license, now, public, sha256, site};
pub use server::Bench;
