/// Bytes of one path.
const PATH_BYTES: usize = 240;
/// Names in one path.
const PATH_DEPTH: usize = 16;

/// Why the path of a file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The path could lead out of the slot or cannot be a file name everywhere.
    #[error("“{path}” is not a plain relative path: {reason}")]
    Unsafe {
        /// The path, shortened.
        path: String,
        /// The rule it breaks.
        reason: &'static str,
    },
    /// Not sorted, or twice.
    #[error("“{0}” comes twice or out of order")]
    Order(String),
    /// One entry is a file and another one lies below it.
    #[error("“{0}” is both a file and a folder")]
    Nested(String),
}

/// Holds the rules for one path in a package: relative, plain names, nothing that leads out.
pub fn check_path(path: &str) -> Result<(), PathError> {
    let reason = if path.is_empty() {
        "it is empty"
    } else if path.len() > PATH_BYTES {
        "it is too long"
    } else if path.starts_with('/') {
        "it is absolute"
    } else if path.chars().any(|c| c.is_control() || c == '\\' || c == ':') {
        "it has a character that is not allowed"
    } else if path.split('/').count() > PATH_DEPTH {
        "it is too deep"
    } else if path.split('/').any(|name| matches!(name, "" | "." | "..")) {
        "it has an empty name, `.` or `..`"
    } else if path == "manifest.json" {
        "that name belongs to the manifest itself"
    } else {
        return Ok(());
    };
    Err(PathError::Unsafe { path: path.escape_debug().take(80).collect(), reason })
}

/// Holds the rules for all paths of a package: each is plain, and they are unique and sorted by bytes.
pub(crate) fn check_paths<'a>(paths: impl Iterator<Item = &'a str>) -> Result<(), PathError> {
    let mut seen: Vec<&str> = Vec::new();
    for path in paths {
        check_path(path)?;
        if seen.last().is_some_and(|last| *last >= path) {
            return Err(PathError::Order(path.to_owned()));
        }
        let folders = path.match_indices('/').map(|(at, _)| &path[..at]);
        if folders.into_iter().any(|folder| seen.binary_search(&folder).is_ok()) {
            return Err(PathError::Nested(path.to_owned()));
        }
        seen.push(path);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_out_of_the_slot() {
        for bad in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../x",
            "a/../b",
            "a//b",
            "a/",
            "./a",
            "a\0b",
            "a\\b",
            "a\nb",
            "C:/x",
            "manifest.json",
        ] {
            assert!(check_path(bad).is_err(), "{bad:?}");
        }
        assert!(check_path(&"a/".repeat(200)).is_err());
        for good in ["bin/sluis-base", "a", "clients/agent-1.0.0-r1-x86_64-linux", "..a/b..", "é"]
        {
            assert_eq!(check_path(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn paths_are_unique_sorted_and_not_nested() {
        assert_eq!(check_paths(["a", "b/c", "b/d"].into_iter()), Ok(()));
        assert_eq!(check_paths(["b", "a"].into_iter()), Err(PathError::Order("a".into())));
        assert_eq!(check_paths(["a", "a"].into_iter()), Err(PathError::Order("a".into())));
        assert_eq!(
            check_paths(["a", "a-b", "a/b"].into_iter()),
            Err(PathError::Nested("a/b".into()))
        );
    }
}
