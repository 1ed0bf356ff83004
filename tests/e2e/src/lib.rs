//! Stories of the whole product with real processes on real sockets: what starts, drives, checks
//! and stops them.
//!
//! [`bins`] finds the programs, [`rig`] runs site generations without a base, [`load`] opens
//! sessions and checks every byte of them, [`by_hand`] says what a console says frame by frame, [`bad`] publishes
//! releases that fail.

pub mod appliance;
pub mod bad;
pub mod bins;
pub mod browser;
pub mod by_hand;
pub mod clock;
pub mod control;
pub mod live;
pub mod load;
pub mod rig;
pub mod vendor;
pub mod web;
pub mod writing;
