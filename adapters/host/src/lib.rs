//! The appliance's machine: slots on disk, journal file, generations as processes, sockets, clock.
//!
//! `apps/base` calls it to perform what `core/install` decides.
//! Everything that must survive a power cut goes through [`Fs`]; [`ModelFs`] is its model in memory, which loses
//! what was not made durable, so that tests can cut at every step.

mod clock;
mod control;
mod digest;
mod failpoint;
mod fs;
mod held;
mod journal;
mod launch;
mod model_fs;
mod notify;
mod pointer;
mod process;
mod saved;
mod slot;
mod unpack;

pub use clock::{Clock, now};
pub use control::{Answer, ControlError, call, call_within};
pub use digest::sha256_of;
pub use failpoint::failpoint;
pub use fs::{Fs, RealFs, disk_free, memory_total};
pub use held::{hold_over_exec, hold_signals, take_held};
pub use journal::{Journal, JournalError};
pub use launch::{LAUNCH, Launch, inherited_sockets, keep_over_exec, launch_main, launch_process};
pub use model_fs::ModelFs;
pub use notify::{Message, NotifySocket, notify};
pub use process::{
    Ended, Found, Process, adopt_orphans, running_generations, sockets_of, stray_bases,
};
pub use saved::{load_json, save_json, write_atomic};
pub use slot::{SlotError, Slots};
