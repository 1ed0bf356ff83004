use std::time::{SystemTime, UNIX_EPOCH};

use model::Timestamp;

/// The system's clock now.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A clock that never runs behind what is known to be past.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// The latest moment that signed metadata or the build speak of.
    pub at_least: Timestamp,
}

impl Clock {
    /// The later of the system's clock and what is known to be past.
    pub fn now(&self) -> Timestamp {
        now().max(self.at_least)
    }
}
