//! A clock that all processes of a story share.

use rustix::time::{ClockId, clock_gettime};

/// Microseconds of the machine's steady clock: the same in every process.
pub fn monotonic_us() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000 + now.tv_nsec.unsigned_abs() / 1000
}
