use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment: milliseconds since 1970-01-01T00:00:00Z.
///
/// Programs read a clock and pass the moment in; nothing in `core` reads one.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The moment that many whole seconds after the epoch.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// This moment and a while; stays at the end of time instead of wrapping.
    pub fn plus(self, while_: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(while_.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long ago `earlier` was; zero when it lies in the future.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Reads `2026-11-21T19:44:42Z`, with or without a fraction; only UTC.
    pub fn parse_utc(text: &str) -> Option<Self> {
        let text = text.strip_suffix('Z')?;
        let (date, time) = text.split_once('T')?;
        let (time, millis) = match time.split_once('.') {
            None => (time, 0),
            Some((time, digits)) if (1..=9).contains(&digits.len()) => {
                let padded = format!("{digits:0<3}");
                (time, padded.get(..3)?.parse::<u64>().ok()?)
            }
            Some(_) => return None,
        };
        let mut date = date.split('-');
        let (year, month, day) =
            (part(date.next()?, 4)?, part(date.next()?, 2)?, part(date.next()?, 2)?);
        let mut time = time.split(':');
        let (hour, minute, second) =
            (part(time.next()?, 2)?, part(time.next()?, 2)?, part(time.next()?, 2)?);
        if date.next().is_some() || time.next().is_some() {
            return None;
        }
        if year < 1970 || !(1..=12).contains(&month) || day == 0 || day > days_in(year, month) {
            return None;
        }
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let days = days_before(year, month) + day - 1;
        Some(Self((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + millis))
    }
}

fn part(text: &str, digits: usize) -> Option<u64> {
    (text.len() == digits && text.bytes().all(|b| b.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to the first of the month.
fn days_before(year: u64, month: u64) -> u64 {
    let years = year - 1970;
    let leaps = (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400 - 477;
    years * 365 + leaps + (1..month).map(|m| days_in(year, m)).sum::<u64>()
}

impl fmt::Display for Timestamp {
    /// `2026-11-21T19:44:42Z`; the milliseconds are left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.as_secs();
        let (mut days, rest) = (seconds / 86_400, seconds % 86_400);
        // Years before the moment's year, found from below: at most one step too low.
        let mut year = 1970 + days / 366;
        while days_before(year + 1, 1) <= days {
            year += 1;
        }
        days -= days_before(year, 1);
        let mut month = 1;
        while days >= days_in(year, month) {
            days -= days_in(year, month);
            month += 1;
        }
        let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
        write!(f, "{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", days + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_reads_back() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_290_282, "2026-11-21T19:44:42Z"),
            (4_102_444_800, "2100-01-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(Timestamp::from_secs(seconds).to_string(), text);
            assert_eq!(Timestamp::parse_utc(text), Some(Timestamp::from_secs(seconds)));
        }
        assert_eq!(Timestamp::parse_utc("1970-01-01T00:00:01.5Z"), Some(Timestamp(1500)));
    }

    #[test]
    fn refuses_what_is_no_moment() {
        for text in [
            "",
            "Z",
            "2026-11-21",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T00:00:00",
            "2026-11-21T00:00:00+01:00",
            "1969-12-31T23:59:59Z",
            "2026-11-21T00:00:00.Z",
            "+026-11-21T00:00:00Z",
            "2026-11-21T00:00:00.1234567890Z",
            "2026-11-21T00:00:00.1\u{e9}Z",
        ] {
            assert_eq!(Timestamp::parse_utc(text), None, "{text}");
        }
    }
}
