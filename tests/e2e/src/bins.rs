//! Finds the programs under test.

use std::path::{Path, PathBuf};

/// The program of that name: in `SLUIS_BIN_DIR`, or beside the running test.
///
/// # Panics
/// When it was not built; the text says how.
pub fn program(name: &str) -> PathBuf {
    let path = folder().join(name);
    assert!(
        path.is_file(),
        "{} is not there; `cargo xtask test` builds the programs before it runs the stories",
        path.display()
    );
    path
}

/// The program as clients get it: static and small, from `SLUIS_CLIENT_DIR`, if it was built so.
///
/// # Panics
/// When it was not built at all.
pub fn client_program(name: &str) -> PathBuf {
    let built = std::env::var_os("SLUIS_CLIENT_DIR").map(|folder| PathBuf::from(folder).join(name));
    built.filter(|path| path.is_file()).unwrap_or_else(|| program(name))
}

fn folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("SLUIS_BIN_DIR") {
        return PathBuf::from(folder);
    }
    let own = std::env::current_exe().unwrap_or_default();
    // target/<profile>/deps/test-1234 or target/<profile>/program
    let parent = own.parent().unwrap_or(Path::new("."));
    if parent.ends_with("deps") {
        parent.parent().unwrap_or(parent).to_owned()
    } else {
        parent.to_owned()
    }
}
