use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The primary hostname of a site: what a license and an offer are bound to.
///
/// Kept in lower case without a final dot, so that equal names compare equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hostname(String);

/// The text is not a hostname.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "“{0}” is not a hostname: give labels of letters, digits and hyphens joined by dots, such as access.example.com"
)]
pub struct BadHostname(pub String);

impl Hostname {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Hostname {
    type Err = BadHostname;

    fn from_str(text: &str) -> Result<Self, BadHostname> {
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let good = name.len() <= 253 && name.split('.').all(is_label);
        // What is echoed is bounded: the text comes from outside.
        if good { Ok(Self(name)) } else { Err(BadHostname(text.chars().take(100).collect())) }
    }
}

impl TryFrom<String> for Hostname {
    type Error = BadHostname;

    fn try_from(text: String) -> Result<Self, BadHostname> {
        text.parse()
    }
}

impl From<Hostname> for String {
    fn from(name: Hostname) -> Self {
        name.0
    }
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_in_lower_case() {
        let name: Hostname = "Access.Example.COM.".parse().expect("a hostname");
        assert_eq!(name.as_str(), "access.example.com");
        for bad in ["", ".", "a..b", "-a", "a-", "a b", "a/b", "é.example"] {
            assert!(bad.parse::<Hostname>().is_err(), "{bad}");
        }
    }
}
