//! Packages from files: always the same bytes, and nothing passes for one that is none.

mod common;

use common::Bench;
use serde_json::Value;

fn build(bench: &Bench, out: &str, more: &[&str]) -> String {
    let mut args =
        vec!["build", "--kind", "site", "--version", "1.1.0", "--revision", "2", "--schema", "2"];
    args.extend(["--out", out]);
    args.extend(more);
    bench.good(&args).trim().to_owned()
}

#[test]
fn the_same_input_makes_the_same_bytes() {
    let bench = Bench { dir: tempfile::tempdir().expect("a folder") };
    bench.write("in/bin/sluis-site", &vec![7; 300_000]);
    bench.write("in/z", b"last");
    bench.write("in/clients/agent", b"an agent");
    bench.write("eula.txt", b"be kind");
    let more = [
        "--dir",
        "in",
        "--requires",
        "base >=1.1",
        "--floor",
        "1.0",
        "--notes",
        "Faster.",
        "--eula",
        "eula.txt",
    ];
    let one = build(&bench, "one", &more);
    // Times, modes and the order in which files were made are not input.
    std::fs::remove_dir_all(bench.path("in")).expect("to remove");
    bench.write("again/z", b"last");
    bench.write("again/clients/agent", b"an agent");
    let site = bench.write("again/bin/sluis-site", &vec![7; 300_000]);
    std::fs::set_permissions(&site, std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .expect("chmod");
    let mut more = more;
    more[1] = "again";
    let two = build(&bench, "two", &more);

    assert_eq!(one, "one/site-1.1.0-r2-x86_64.pkg");
    let read = |path: &str| std::fs::read(bench.path(path)).expect("a package");
    assert_eq!(read(&one), read(&two));

    let about: Value =
        serde_json::from_str(&bench.good(&["inspect", "--json", &one])).expect("JSON");
    assert_eq!(about["target"], "site/site-1.1.0-r2-x86_64.pkg");
    assert_eq!(about["manifest"]["db"]["writes"], 2);
    assert_eq!(about["manifest"]["requires"][0]["range"], ">=1.1");
    let files: Vec<_> = about["manifest"]["files"].as_array().expect("files").iter().collect();
    let paths: Vec<_> = files.iter().map(|f| f["path"].as_str().expect("a path")).collect();
    assert_eq!(paths, ["bin/sluis-site", "clients/agent", "eula.txt", "z"]);
    assert_eq!(files[0]["mode"], 0o755);
    assert_eq!(files[3]["mode"], 0o644);
    // Public tools read it.
    let listed = std::process::Command::new("tar")
        .args(["--zstd", "-tvf", &one])
        .current_dir(bench.dir.path())
        .output()
        .expect("tar runs");
    let said = String::from_utf8_lossy(&listed.stderr);
    assert!(listed.status.success(), "`cargo xtask test` installs zstd: {said}");
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(text.lines().next().expect("a member").ends_with("manifest.json"), "{text}");
}

#[test]
fn two_versions_come_from_one_build() {
    let bench = Bench::new();
    bench.binaries();
    bench.release("1.0.0", "1", &["--schema", "1"]);
    bench.release("1.1.0", "2", &["--schema", "2", "--with", "marker=bin/sluis"]);
    let stamped = |version: &str| {
        let path = format!("repo/built/agent-{version}-x86_64-linux");
        serde_json::from_str::<Value>(&bench.good(&["inspect", "--json", &path])).expect("JSON")
    };
    let (old, new) = (stamped("1.0.0-r1"), stamped("1.1.0-r2"));
    assert_eq!(old["program"]["version"], "1.0.0");
    assert_eq!(new["target"], "agent/agent-1.1.0-r2-x86_64-linux");
    assert_ne!(old["sha256"], new["sha256"]);

    let site = bench.good(&["inspect", "repo/built/site-1.1.0-r2-x86_64.pkg"]);
    assert!(site.contains("schema level: 2"), "{site}");
    let agent = new["sha256"].as_str().expect("a hash");
    assert!(site.contains(&format!("{agent} clients/agent-1.1.0-r2-x86_64-linux")), "{site}");
    assert!(site.contains(" marker\n"), "{site}");
    let verified = bench.good(&["verify", "--repo", "repo"]);
    assert!(verified.starts_with("Good: 4 packages and 4 programs"), "{verified}");
}

#[test]
fn only_what_is_asked_for_is_published() {
    let bench = Bench::new();
    bench.binaries();
    let printed = bench.release("1.0.0", "1", &["--only", "site,agent"]);
    let targets: Vec<_> = printed.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(targets, ["site/site-1.0.0-r1-x86_64.pkg", "agent/agent-1.0.0-r1-x86_64-linux"]);
    bench.write("bad-site", b"does not start");
    let printed = bench.release("1.0.1", "1", &["--only", "site", "--binary", "site=bad-site"]);
    assert!(printed.starts_with("site/site-1.0.1-r1-x86_64.pkg "), "{printed}");
}

#[test]
fn a_release_is_published_once_and_stays_what_it_is() {
    let bench = Bench::new();
    bench.binaries();
    bench.release("1.0.0", "1", &[]);
    let before = common::snapshot(&bench.metadata());
    let again = bench.release("1.0.0", "1", &[]);
    assert!(again.contains("is published already"), "{again}");
    assert_eq!(common::snapshot(&bench.metadata()), before, "nothing was signed for no news");

    bench.write("bin/sluis-site", b"other bytes");
    let mut args = vec!["release", "--repo", "repo", "--keys", "keys", "--bin-dir", "bin"];
    args.extend(["--version", "1.0.0", "--revision", "1"]);
    let error = bench.bad(&args);
    assert!(error.contains("build it with a higher revision"), "{error}");
    assert_eq!(common::snapshot(&bench.metadata()), before);
}

#[test]
fn a_license_is_bound_to_its_site() {
    // req: UPD-06
    let bench = Bench::new();
    let mut args = vec!["build", "--kind", "license", "--version", "1.0.0", "--revision", "1"];
    let error = bench.bad(&args);
    assert!(error.contains("`--hostname`"), "{error}");
    args.extend([
        "--hostname",
        "Access.Example.com",
        "--users",
        "25",
        "--license-expires",
        "2030-01-01",
    ]);
    let path = bench.good(&args).trim().to_owned();
    assert_eq!(path, "./license-1.0.0-r1-access.example.com.pkg");
    let about: Value =
        serde_json::from_str(&bench.good(&["inspect", "--json", &path])).expect("JSON");
    assert_eq!(about["manifest"]["license"]["hostname"], "access.example.com");
    assert_eq!(about["manifest"]["license"]["users"], 25);
    assert_eq!(about["manifest"]["restart"], "none");
    assert_eq!(about["manifest"]["files"], serde_json::json!([]));
    let printed = bench.good(&["publish", "--repo", "repo", "--keys", "keys", &path]);
    assert!(printed.starts_with("license/license-1.0.0-r1-access.example.com.pkg "), "{printed}");
    bench.good(&["verify", "--repo", "repo"]);
}

#[test]
fn bad_input_is_named() {
    let bench = Bench::new();
    bench.binaries();
    let base = ["build", "--kind", "base", "--version", "1.0.0", "--revision", "1"];
    let with = |more: &[&'static str]| [base.as_slice(), more].concat();
    assert!(bench.bad(&with(&[])).contains("needs files"));
    assert!(bench.bad(&with(&["--file", "bin/x=nowhere"])).contains("nowhere"));
    assert!(
        bench.bad(&with(&["--file", "bin/x=bin/sluis", "--floor", "2.0"])).contains("`floors`")
    );
    assert!(
        bench
            .bad(&with(&["--file", "bin/x=bin/sluis", "--requires", "base >=1"]))
            .contains("`requires`")
    );
    for wrong in ["../x=bin/sluis", "/x=bin/sluis", "manifest.json=bin/sluis", "x", "=y"] {
        let output = bench.run(&with(&["--file"]).into_iter().chain([wrong]).collect::<Vec<_>>());
        assert_eq!(output.status.code(), Some(2), "{wrong}");
    }
    std::os::unix::fs::symlink("/etc/passwd", bench.path("bin/link")).expect("a link");
    assert!(bench.bad(&with(&["--dir", "bin"])).contains("packages hold no links"));

    let junk = bench.write("junk.pkg", b"no package");
    let junk = junk.to_str().expect("UTF-8");
    for args in [vec!["inspect", junk], vec!["publish", "--repo", "repo", "--keys", "keys", junk]] {
        assert!(bench.bad(&args).contains("junk.pkg"), "{args:?}");
    }
}

/// Every way to damage a package by one byte or by its end is found before anything is signed.
#[test]
fn a_damaged_package_is_never_published() {
    let bench = Bench::new();
    bench.binaries();
    let mut args = vec!["build", "--kind", "base", "--version", "1.0.0", "--revision", "1"];
    args.extend(["--file", "bin/sluis-base=bin/sluis-base"]);
    let path = bench.good(&args).trim().to_owned();
    let whole = std::fs::read(bench.path(&path)).expect("a package");
    let before = common::snapshot(&bench.path("repo"));
    for at in (0..whole.len()).step_by(whole.len() / 12) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        bench.write("damaged.pkg", &bytes);
        bench.bad(&["publish", "--repo", "repo", "--keys", "keys", "damaged.pkg"]);
        bench.write("damaged.pkg", &whole[..at]);
        bench.bad(&["publish", "--repo", "repo", "--keys", "keys", "damaged.pkg"]);
    }
    assert_eq!(common::snapshot(&bench.path("repo")), before);
}
