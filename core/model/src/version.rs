use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use semver::Version;

/// The build number of a version; two builds of one version differ in it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Revision(pub u32);

/// A version with its revision, printed as people read it: `1.4.2 (rev 57)`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Release {
    /// The semantic version.
    pub version: Version,
    /// The build of that version.
    pub revision: Revision,
}

impl Release {
    /// The release `major.minor.patch (rev revision)`.
    pub const fn new(major: u64, minor: u64, patch: u64, revision: u32) -> Self {
        Self { version: Version::new(major, minor, patch), revision: Revision(revision) }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (rev {})", self.version, self.revision.0)
    }
}

/// The text is no version or range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is not a version such as 1.4.2 (rev 57)")]
pub struct BadVersion(pub String);

impl FromStr for Release {
    type Err = BadVersion;

    fn from_str(text: &str) -> Result<Self, BadVersion> {
        let bad = || BadVersion(text.to_owned());
        let (version, revision) = match text.split_once(" (rev ") {
            Some((version, rest)) => {
                let digits = rest.strip_suffix(')').ok_or_else(bad)?;
                (version, digits.parse().map_err(|_| bad())?)
            }
            None => (text, 0),
        };
        let version = Version::parse(version).map_err(|_| bad())?;
        Ok(Self { version, revision: Revision(revision) })
    }
}

/// Which versions will do, in the syntax of Cargo: `>=1.3`, `>=1.0, <2`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VersionRange(semver::VersionReq);

impl VersionRange {
    /// Whether that version will do.
    pub fn contains(&self, version: &Version) -> bool {
        self.0.matches(version)
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for VersionRange {
    type Err = BadVersion;

    fn from_str(text: &str) -> Result<Self, BadVersion> {
        semver::VersionReq::parse(text).map(Self).map_err(|_| BadVersion(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_reads_back_what_it_prints() {
        let release = Release::new(1, 4, 2, 57);
        assert_eq!(release.to_string(), "1.4.2 (rev 57)");
        assert_eq!("1.4.2 (rev 57)".parse(), Ok(release));
        assert!("1.4".parse::<Release>().is_err());
        assert!("1.4.2 (rev x)".parse::<Release>().is_err());
    }

    #[test]
    fn a_range_holds_the_versions_it_names() {
        let range: VersionRange = ">=1.3".parse().expect("a range");
        assert!(range.contains(&Version::new(1, 3, 0)));
        assert!(!range.contains(&Version::new(1, 2, 9)));
    }
}
