//! Programs that travel as one bare file: agent and console.
//!
//! Such a file has no room for a manifest, so its TUF target's `custom` field says what it is, and the
//! same words stand in a stamp behind its last byte: a program can be asked, and can ask itself, which
//! release it is. Executable formats (ELF, PE) ignore what follows their own content.

use std::fmt;

use model::{Release, Revision, Version};
use serde::{Deserialize, Serialize};

use crate::manifest::{ManifestError, check_name, sequence};

/// What a bare program says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ClientBuild {
    /// Which program.
    pub kind: ClientKind,
    /// Its version.
    pub version: Version,
    /// The build of that version.
    pub revision: Revision,
    /// Machine and system that it runs on, such as `x86_64-linux`.
    pub arch: String,
}

/// Which program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientKind {
    /// `sluis-agent`.
    Agent,
    /// `sluis`, the access console.
    Console,
}

impl fmt::Display for ClientKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Agent => "agent",
            Self::Console => "console",
        })
    }
}

/// Ends every stamped file.
const MAGIC: &[u8; 16] = b"\nsluis-stamp-v1\n";
/// Before the magic: length of the JSON in eight decimal digits.
const LENGTH_DIGITS: usize = 8;
/// Bytes of the longest stamp; reading so many from the end of a file is always enough.
pub const STAMP_BYTES_MAX: usize = 1024;

impl ClientBuild {
    /// Version and revision together.
    pub fn release(&self) -> Release {
        Release { version: self.version.clone(), revision: self.revision }
    }

    /// Name of the TUF target: `agent/agent-1.1.0-r2-x86_64-linux`.
    pub fn target_name(&self) -> String {
        format!("{0}/{0}-{1}-r{2}-{3}", self.kind, self.version, self.revision.0, self.arch)
    }

    /// Reads the `custom` field of a target of that name.
    ///
    /// # Errors
    /// When it does not describe a program, or another one than the name says.
    pub fn from_custom(target: &str, custom: &serde_json::Value) -> Result<Self, ManifestError> {
        let build =
            Self::deserialize(custom).map_err(|e| ManifestError::Malformed(e.to_string()))?;
        build.check()?;
        let name = build.target_name();
        if name != target {
            let reason = format!("it describes {name}, and the target is {target}");
            return Err(ManifestError::Field { field: "kind", reason });
        }
        Ok(build)
    }

    /// Holds the rules for names and numbers.
    pub fn check(&self) -> Result<(), ManifestError> {
        check_name("arch", &self.arch)?;
        sequence(&self.release()).map(|_| ())
    }

    /// What to write behind the program's own bytes.
    pub fn stamp(&self) -> Vec<u8> {
        let json = serde_json::json!(self).to_string();
        let mut stamp =
            format!("\n{json}{:0width$}", json.len(), width = LENGTH_DIGITS).into_bytes();
        stamp.extend(MAGIC);
        stamp
    }

    /// Finds the stamp in the last bytes of a file ([`STAMP_BYTES_MAX`] are enough), and how long it is.
    pub fn read_stamp(tail: &[u8]) -> Option<(Self, usize)> {
        let rest = tail.strip_suffix(MAGIC)?;
        let (rest, digits) = rest.split_at_checked(rest.len().checked_sub(LENGTH_DIGITS)?)?;
        let length: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
        let (program, json) = rest.split_at_checked(rest.len().checked_sub(length)?)?;
        program.strip_suffix(b"\n")?;
        let build: Self = serde_json::from_slice(json).ok()?;
        build.check().ok()?;
        Some((build, 1 + length + LENGTH_DIGITS + MAGIC.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build() -> ClientBuild {
        ClientBuild {
            kind: ClientKind::Agent,
            version: Version::new(1, 1, 0),
            revision: Revision(2),
            arch: "x86_64-linux".into(),
        }
    }

    #[test]
    fn a_stamp_reads_back_from_the_end_of_a_program() {
        let mut file = b"\x7fELF and so on".to_vec();
        let length = file.len();
        file.extend(build().stamp());
        let (read, stamp) = ClientBuild::read_stamp(&file).expect("a stamp");
        assert_eq!((read, file.len() - stamp), (build(), length));
        assert!(build().stamp().len() < STAMP_BYTES_MAX);
        for cut in 0..file.len() {
            assert_eq!(ClientBuild::read_stamp(&file[..cut]), None);
        }
        let unseparated = &build().stamp()[1..];
        assert_eq!(ClientBuild::read_stamp(unseparated), None);
        let lies = [b"99999999".as_slice(), MAGIC].concat();
        assert_eq!(ClientBuild::read_stamp(&lies), None);
    }

    #[test]
    fn a_target_is_what_its_name_says() {
        let custom = serde_json::json!(build());
        let name = "agent/agent-1.1.0-r2-x86_64-linux";
        assert_eq!(ClientBuild::from_custom(name, &custom).expect("a build"), build());
        let error = ClientBuild::from_custom("agent/agent-9.9.9-r1-x86_64-linux", &custom);
        assert!(error.is_err());
    }
}
