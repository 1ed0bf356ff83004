//! Names of roles and targets as file names and as paths of an address.

use std::fmt::Write as _;

use crate::sha256_hex;

/// Longest name of a file that is made from a name in metadata.
///
/// File systems take 255 bytes; this leaves room for a version before it and a suffix after it.
const FILE_NAME_MAX: usize = 200;

/// Percent-encodes all but letters, digits, `_`, `.`, `-`, `~` and what `keep` names.
fn quote(text: &str, keep: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"_.-~".contains(&byte) || keep.contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing into a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// The name of a role's file, without version: `timestamp.json`, `a%2Fb.json`.
///
/// It is a plain file name whatever the role is called.
pub fn role_file(role: &str) -> String {
    format!("{}.json", quote(role, b""))
}

/// The name of a role's file with its version: `7.snapshot.json`.
pub fn versioned_role_file(role: &str, version: u64) -> String {
    format!("{version}.{}", role_file(role))
}

/// A plain file name for a target, the same for the same name and different for different ones.
pub(crate) fn target_file(name: &str) -> String {
    let quoted = quote(name, b"");
    if quoted.len() <= FILE_NAME_MAX { quoted } else { sha256_hex(name.as_bytes()) }
}

/// Where a target lies below the address of all targets, as path of a URL.
pub(crate) fn target_path(name: &str, hash_prefix: Option<&str>) -> String {
    let Some(hash) = hash_prefix else { return quote(name, b"/") };
    match name.rsplit_once('/') {
        Some((directory, file)) => {
            format!("{}/{hash}.{}", quote(directory, b"/"), quote(file, b""))
        }
        None => format!("{hash}.{}", quote(name, b"")),
    }
}

/// Whether a name stays below the directory or address that it is put after.
pub(crate) fn is_path(name: &str) -> bool {
    name.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_become_plain_file_names() {
        assert_eq!(role_file("../role"), "..%2Frole.json");
        assert_eq!(versioned_role_file("a b?#é", 3), "3.a%20b%3F%23%C3%A9.json");
        assert_eq!(target_file("base/x.pkg"), "base%2Fx.pkg");
        assert_eq!(target_file(&"é".repeat(100)).len(), 64);
        assert_eq!(target_path("base/x y.pkg", Some("ab")), "base/ab.x%20y.pkg");
        assert_eq!(target_path("x?", Some("ab")), "ab.x%3F");
        assert_eq!(target_path("a/b", None), "a/b");
    }

    #[test]
    fn names_that_leave_their_directory_are_no_paths() {
        for name in ["", "/a", "a//b", "../a", "a/..", "./a", "a/"] {
            assert!(!is_path(name), "{name}");
        }
        for name in ["a", "a/b", "...", ".a", "a b\n\\..\\c"] {
            assert!(is_path(name), "{name}");
        }
    }
}
