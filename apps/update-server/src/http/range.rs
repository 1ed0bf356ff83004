//! Which part of a file a request asks for, by RFC 9110.

/// What to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Everything.
    Whole,
    /// From one byte up to and including another one.
    From(u64, u64),
    /// Nothing: the file has no such bytes.
    Unsatisfiable,
}

/// Reads the value of `Range` for a file of that length.
///
/// What is not understood is ignored, and several ranges at once are answered with everything: both
/// are what the standard allows, and clients here never ask for them.
pub fn part(header: &str, length: u64) -> Part {
    let Some(ranges) = header.trim().strip_prefix("bytes=") else { return Part::Whole };
    let Some((first, last)) = ranges.split_once('-') else { return Part::Whole };
    match (number(first), number(last)) {
        (Some(first), last) if last.is_some() || tail_is_open(ranges) => {
            let last = last.unwrap_or(u64::MAX).min(length.saturating_sub(1));
            if last_is_before(ranges, first) {
                Part::Whole
            } else if first >= length {
                Part::Unsatisfiable
            } else {
                Part::From(first, last)
            }
        }
        (None, Some(0)) if first.trim().is_empty() => Part::Unsatisfiable,
        (None, Some(count)) if first.trim().is_empty() => match length {
            0 => Part::Unsatisfiable,
            _ => Part::From(length.saturating_sub(count), length - 1),
        },
        _ => Part::Whole,
    }
}

fn tail_is_open(ranges: &str) -> bool {
    ranges.trim_end().ends_with('-') && ranges.matches('-').count() == 1
}

/// `5-3` is no range at all.
fn last_is_before(ranges: &str, first: u64) -> bool {
    ranges.split_once('-').and_then(|(_, last)| number(last)).is_some_and(|last| last < first)
}

fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_those_of_the_standard() {
        for (header, expected) in [
            ("bytes=0-0", Part::From(0, 0)),
            ("bytes=0-", Part::From(0, 9)),
            ("bytes=4-6", Part::From(4, 6)),
            ("bytes=4-600", Part::From(4, 9)),
            ("bytes=-3", Part::From(7, 9)),
            ("bytes=-300", Part::From(0, 9)),
            ("bytes=9-", Part::From(9, 9)),
            ("bytes=10-", Part::Unsatisfiable),
            ("bytes=10-12", Part::Unsatisfiable),
            ("bytes=-0", Part::Unsatisfiable),
            ("bytes=6-4", Part::Whole),
            ("bytes=0-1,4-5", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("bytes=99999999999999999999-", Part::Whole),
            ("bytes", Part::Whole),
            ("lines=0-1", Part::Whole),
            ("", Part::Whole),
        ] {
            assert_eq!(part(header, 10), expected, "{header}");
        }
        assert_eq!(part("bytes=0-", 0), Part::Unsatisfiable);
        assert_eq!(part("bytes=-1", 0), Part::Unsatisfiable);
    }
}
