//! Publishing is killed at every system call that changes the disk: clients see the old or the new state,
//! whole, and publishing again finishes the work. It takes `strace`.

mod common;

use std::process::Command;

use common::Bench;

/// Kills the program at the n-th call; says whether it got that far.
fn killed(bench: &Bench, call: &str, n: u32) -> bool {
    let inject = format!("inject={call}:signal=KILL:when={n}");
    let output = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", &inject, env!("CARGO_BIN_EXE_sluis-release")])
        .args(["publish", "--repo", "repo", "--keys", "keys", "base-1.0.0-r1-x86_64.pkg"])
        .current_dir(bench.dir.path())
        .output()
        .expect("strace is missing; `cargo xtask test` installs it");
    !output.status.success()
}

#[test]
fn a_publish_killed_anywhere_leaves_a_whole_repository() {
    let bench = Bench::new();
    bench.binaries();
    let mut args = vec!["build", "--kind", "base", "--version", "1.0.0", "--revision", "1"];
    args.extend(["--file", "bin/sluis-base=bin/sluis-base"]);
    bench.good(&args);
    let empty = common::snapshot(&bench.path("repo"));
    let mut points = 0;
    for call in ["openat", "write", "fsync", "rename", "copy_file_range", "mkdir"] {
        for n in 1.. {
            restore(&bench, &empty);
            if !killed(&bench, call, n) {
                break;
            }
            points += 1;
            let seen = bench.good(&["verify", "--repo", "repo"]);
            let whole = ["Good: 0 packages", "Good: 1 packages"];
            assert!(whole.iter().any(|good| seen.starts_with(good)), "{call} {n}: {seen}");
            bench.good(&[
                "publish",
                "--repo",
                "repo",
                "--keys",
                "keys",
                "base-1.0.0-r1-x86_64.pkg",
            ]);
            let seen = bench.good(&["verify", "--repo", "repo"]);
            assert!(seen.starts_with("Good: 1 packages"), "{call} {n}: {seen}");
            let files = common::snapshot(&bench.path("repo"));
            let mut names = files.keys().map(|path| path.to_string_lossy());
            assert!(!names.any(|name| name.ends_with(".new")), "nothing half written stays");
        }
    }
    println!("killed at {points} points");
    assert!(points >= 50, "{points} points; the program writes more than that");
}

fn restore(bench: &Bench, files: &std::collections::BTreeMap<std::path::PathBuf, Vec<u8>>) {
    std::fs::remove_dir_all(bench.path("repo")).expect("to remove");
    for (path, content) in files {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("to make");
        std::fs::write(path, content).expect("to write");
    }
}
