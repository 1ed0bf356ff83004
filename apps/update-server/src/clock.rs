//! The system's clock, and moments and durations as people type them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::Timestamp;

/// Now.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A moment as the database keeps it.
pub fn to_db(at: Timestamp) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

/// A moment as the database kept it.
pub fn from_db(millis: i64) -> Timestamp {
    Timestamp(u64::try_from(millis).unwrap_or(0))
}

/// Reads `7d`, `12h`, `30m` or `45s`.
pub fn span(text: &str) -> Result<Duration, String> {
    let bad = || format!("“{text}” is no duration such as 7d, 12h, 30m or 45s");
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86_400,
        _ => return Err(bad()),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| bad())?;
    let seconds = count.checked_mul(unit).filter(|s| *s <= 3660 * 86_400).ok_or_else(bad)?;
    Ok(Duration::from_secs(seconds))
}

/// Reads `2027-12-31` or `2027-12-31T12:00:00Z`; `never` is none.
pub fn end(text: &str) -> Result<End, String> {
    if text == "never" {
        return Ok(End(None));
    }
    let whole = if text.contains('T') { text.to_owned() } else { format!("{text}T00:00:00Z") };
    let at = Timestamp::parse_utc(&whole).ok_or_else(|| {
        format!("“{text}” is no date such as 2027-12-31 or 2027-12-31T12:00:00Z, and not `never`")
    })?;
    Ok(End(Some(at)))
}

/// When something ends; none means never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End(pub Option<Timestamp>);
