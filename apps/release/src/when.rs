//! Moments and durations as people type them.

use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::Timestamp;

/// The system's clock.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_secs(since.as_secs())
}

/// A duration such as `14d`, `6h`, `30m` or `45s`.
#[derive(Clone, Copy)]
pub struct Span(pub Duration);

impl Span {
    /// That many days.
    pub const fn days(days: u64) -> Self {
        Self(Duration::from_secs(days * 86_400))
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("“{text}” is no duration such as 14d, 6h, 30m or 45s");
        let unit = match text.chars().last() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86_400,
            _ => return Err(bad()),
        };
        let count: u64 = text[..text.len() - 1].parse().map_err(|_| bad())?;
        let seconds =
            count.checked_mul(unit).filter(|s| *s <= 100 * 366 * 86_400).ok_or_else(bad)?;
        Ok(Self(Duration::from_secs(seconds)))
    }
}

/// Reads `2027-12-31` or `2027-12-31T12:00:00Z`.
pub fn moment(text: &str) -> Result<Timestamp, String> {
    let whole = if text.contains('T') { text.to_owned() } else { format!("{text}T00:00:00Z") };
    Timestamp::parse_utc(&whole)
        .ok_or_else(|| format!("“{text}” is no date such as 2027-12-31 or 2027-12-31T12:00:00Z"))
}
