//! The program under test, run in a folder of its own.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub struct Bench {
    pub dir: tempfile::TempDir,
}

impl Bench {
    /// A folder with keys and an empty repository.
    pub fn new() -> Self {
        let bench = Self { dir: tempfile::tempdir().expect("a folder") };
        bench.good(&["keys", "create", "--out", "keys"]);
        bench.good(&["repo", "init", "--repo", "repo", "--keys", "keys"]);
        bench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("to make it");
        std::fs::write(&path, content).expect("to write");
        path
    }

    pub fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_sluis-release"))
            .args(args)
            .current_dir(self.dir.path())
            .output()
            .expect("the program runs")
    }

    /// Runs it, demands success, and gives what it printed.
    pub fn good(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {errors}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Runs it, demands failure without a panic, and gives the error.
    pub fn bad(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let errors = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(1), "{args:?}: {errors}");
        assert!(errors.starts_with("sluis-release: ") && !errors.contains("panicked"), "{errors}");
        errors
    }

    /// Programs to package, which are no programs.
    pub fn binaries(&self) {
        for name in ["sluis-base", "sluis-site", "sluis-agent", "sluis"] {
            self.write(&format!("bin/{name}"), format!("\x7fELF {name}").as_bytes());
        }
    }

    pub fn release(&self, version: &str, revision: &str, more: &[&str]) -> String {
        let mut args = vec!["release", "--repo", "repo", "--keys", "keys", "--bin-dir", "bin"];
        args.extend(["--version", version, "--revision", revision]);
        args.extend(more);
        self.good(&args)
    }

    pub fn metadata(&self) -> PathBuf {
        self.path("repo/metadata")
    }
}

/// Every file below a folder with its content.
pub fn snapshot(folder: &Path) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    let mut files = std::collections::BTreeMap::new();
    let mut todo = vec![folder.to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                todo.push(path);
            } else {
                files.insert(path.clone(), std::fs::read(path).expect("to read"));
            }
        }
    }
    files
}
