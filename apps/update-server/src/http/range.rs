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
    let range = header.trim().strip_prefix("bytes=").and_then(|range| range.split_once('-'));
    let Some((first, last)) = range.map(|(first, last)| (first.trim(), last.trim())) else {
        return Part::Whole;
    };
    let end = length.saturating_sub(1);
    match (number(first), number(last)) {
        (Some(first), Some(last)) if last < first => Part::Whole,
        (Some(first), Some(_)) if first >= length => Part::Unsatisfiable,
        (Some(first), Some(last)) => Part::From(first, last.min(end)),
        (Some(first), None) if last.is_empty() && first >= length => Part::Unsatisfiable,
        (Some(first), None) if last.is_empty() => Part::From(first, end),
        // The last so many bytes.
        (None, Some(count)) if first.is_empty() && (count == 0 || length == 0) => {
            Part::Unsatisfiable
        }
        (None, Some(count)) if first.is_empty() => Part::From(length.saturating_sub(count), end),
        _ => Part::Whole,
    }
}

fn number(text: &str) -> Option<u64> {
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
