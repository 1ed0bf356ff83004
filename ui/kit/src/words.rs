use std::time::Duration;

use crate::text;

/// A number of bytes as people read it, in powers of 1000: `0 B`, `999 B`, `1.4 MB`, `120 GB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    // 999.5 would print as 1000.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if value < 9.95 {
        format!("{value:.1} {}", UNITS[unit])
    } else {
        format!("{value:.0} {}", UNITS[unit])
    }
}

/// A length of time in its two largest units: `820 ms`, `12 s`, `4 min 10 s`, `3 d 4 h`.
pub fn duration(length: Duration) -> String {
    let seconds = length.as_secs();
    if seconds == 0 {
        return format!("{} {}", length.as_millis(), text::MILLISECONDS);
    }
    let first = text::UNITS.iter().position(|(unit, _)| seconds >= *unit).unwrap_or(3);
    let (long, long_word) = text::UNITS[first];
    let words = format!("{} {long_word}", seconds / long);
    match text::UNITS.get(first + 1) {
        Some((short, short_word)) if seconds % long >= *short => {
            format!("{words} {} {short_word}", seconds % long / short)
        }
        _ => words,
    }
}

/// A number with its noun: `no sessions`, `1 session`, `2 sessions`.
pub fn count(number: usize, one: &str, many: &str) -> String {
    match number {
        0 => format!("no {many}"),
        1 => format!("1 {one}"),
        _ => format!("{number} {many}"),
    }
}

/// The text, or its first `chars_max` characters and an ellipsis.
pub fn shorten(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(shorten("één", 3), "één");
        assert_eq!(shorten("één twee", 4), "één…");
        assert_eq!(shorten("", 0), "");
    }

    #[test]
    fn sizes_read_well_at_every_border() {
        for (bytes, words) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (9949, "9.9 kB"),
            (9950, "10 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (1_440_000, "1.4 MB"),
            (120_000_000_000, "120 GB"),
            (u64::MAX, "18 EB"),
        ] {
            assert_eq!(size(bytes), words);
        }
    }

    #[test]
    fn durations_name_two_units() {
        for (millis, words) in [
            (0, "0 ms"),
            (820, "820 ms"),
            (1999, "1 s"),
            (60_000, "1 min"),
            (250_000, "4 min 10 s"),
            (3_600_000, "1 h"),
            (273_600_000, "3 d 4 h"),
            (86_430_000, "1 d"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), words);
        }
    }

    #[test]
    fn counts_have_their_noun() {
        assert_eq!(count(0, "session", "sessions"), "no sessions");
        assert_eq!(count(1, "session", "sessions"), "1 session");
        assert_eq!(count(12, "session", "sessions"), "12 sessions");
    }
}
