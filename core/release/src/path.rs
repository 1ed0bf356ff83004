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

/// Characters that are not seen, or that change how others are shown: Unicode's category Cf with the line and paragraph
/// separators. A name with one of them is read as another name than it is.
const INVISIBLE: [(char, char); 21] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{180e}', '\u{180e}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{fff9}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0001}', '\u{e0001}'),
    ('\u{e0020}', '\u{e007f}'),
    ('\u{3164}', '\u{3164}'),
];

fn is_invisible(c: char) -> bool {
    INVISIBLE.iter().any(|(first, last)| (*first..=*last).contains(&c))
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
    } else if path.chars().any(is_invisible) {
        "it has a character that is not seen or that turns the direction of what is read"
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
    fn a_name_is_what_it_looks_like() {
        for odd in [
            '\u{202e}',
            '\u{200f}',
            '\u{2066}',
            '\u{2069}',
            '\u{200b}',
            '\u{feff}',
            '\u{2028}',
            '\u{ad}',
            '\u{e0041}',
        ] {
            let path = format!("bin/sluis{odd}gkp.exe");
            let error = check_path(&path).expect_err("it is refused").to_string();
            assert!(error.contains("not seen or that turns the direction"), "{error}");
            assert!(
                error.is_ascii() || !error.contains(odd),
                "the error shows it as it is: {error:?}"
            );
        }
        for plain in ["bin/été", "clients/日本", "a b", "x~y", "שלום"] {
            assert_eq!(check_path(plain), Ok(()), "{plain}");
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
