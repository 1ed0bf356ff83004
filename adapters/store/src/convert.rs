use model::{Generation, PublicKey, Release, Revision, Timestamp, Version};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// A moment as a column holds it: milliseconds in 63 bits.
pub(crate) fn ms(at: Timestamp) -> i64 {
    number(at.0)
}

/// A column's moment; one before 1970 reads as 1970.
pub(crate) fn at(ms: i64) -> Timestamp {
    Timestamp(count(ms))
}

/// A count as a column holds it; more than 63 bits stay at the largest.
pub(crate) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A column's count; below zero reads as zero.
pub(crate) fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// A generation as a column holds it.
pub(crate) fn generation(value: i64) -> Generation {
    Generation(count(value))
}

/// The word that an enum has in JSON, as a column holds it; a larger value is JSON itself.
pub(crate) fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(other) => other.to_string(),
        // The types that come here hold no map with keys that are not strings.
        Err(_) => String::new(),
    }
}

/// Reads what [`word`] wrote.
pub(crate) fn from_word<T: DeserializeOwned>(
    table: &'static str,
    column: &'static str,
    text: &str,
) -> Result<T> {
    let value = if text.starts_with(['{', '[', '"']) {
        serde_json::from_str(text).ok()
    } else {
        serde_json::from_value(serde_json::Value::String(text.to_owned())).ok()
    };
    value.ok_or_else(|| damaged(table, column, text))
}

pub(crate) fn key(table: &'static str, text: &str) -> Result<PublicKey> {
    text.parse().map_err(|_| damaged(table, "key", text))
}

pub(crate) fn release(table: &'static str, version: &str, revision: i64) -> Result<Release> {
    let version = Version::parse(version).map_err(|_| damaged(table, "version", version))?;
    let revision =
        u32::try_from(revision).map_err(|_| damaged(table, "revision", &revision.to_string()))?;
    Ok(Release { version, revision: Revision(revision) })
}

pub(crate) fn damaged(table: &'static str, column: &'static str, value: &str) -> Error {
    Error::HostRow { table, column, value: value.chars().take(80).collect() }
}

/// A line of text from outside, trimmed: not empty, no control characters, at most `most` characters.
pub(crate) fn line(field: &'static str, text: &str, most: usize) -> Result<String> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Error::input(field, "is empty; type at least one character"));
    }
    if text.chars().any(char::is_control) {
        return Err(Error::input(
            field,
            "holds a control character; use letters, digits and signs",
        ));
    }
    let length = text.chars().count();
    if length > most {
        return Err(Error::input(field, format!("has {length} characters; {most} is the most")));
    }
    Ok(text.to_owned())
}

/// Such a line, or nothing at all.
pub(crate) fn line_or_empty(field: &'static str, text: &str, most: usize) -> Result<String> {
    if text.trim().is_empty() { Ok(String::new()) } else { line(field, text, most) }
}

#[cfg(test)]
mod tests {
    use model::SessionOutcome;

    use super::*;

    #[test]
    fn an_enum_reads_back_from_its_column() {
        for outcome in [
            SessionOutcome::Closed,
            SessionOutcome::Exited(3),
            SessionOutcome::Failed("no such \"thing\"".to_owned()),
        ] {
            let text = word(&outcome);
            assert_eq!(
                from_word::<SessionOutcome>("session", "outcome", &text).ok(),
                Some(outcome)
            );
        }
        let error =
            from_word::<SessionOutcome>("session", "outcome", "sunny").expect_err("unknown");
        assert!(error.to_string().starts_with("session.outcome holds “sunny”"), "{error}");
    }

    #[test]
    fn a_line_is_bounded_and_printable() {
        assert_eq!(line("name", "  web-1 ", 8).ok().as_deref(), Some("web-1"));
        for bad in ["", "  ", "a\u{7}b", "123456789"] {
            assert!(line("name", bad, 8).is_err(), "{bad:?}");
        }
    }
}
