//! Keys, thresholds and roots as maintainers and clients meet them.

mod common;

use std::os::unix::fs::PermissionsExt;

use common::Bench;
use serde_json::Value;

/// What a client that trusts this root says of the repository.
fn verify_from(bench: &Bench, root: &str) -> std::process::Output {
    bench.run(&["verify", "--repo", "repo", "--root", root])
}

#[test]
fn keys_are_secret_and_written_once() {
    let bench = Bench::new();
    let mut count = 0;
    for entry in std::fs::read_dir(bench.path("keys")).expect("the keys") {
        let meta = entry.expect("a key").metadata().expect("its mode");
        assert_eq!(meta.permissions().mode() & 0o777, 0o600);
        count += 1;
    }
    assert_eq!(count, 11, "3 root, 3 targets, base, site, agent, snapshot, timestamp");
    let before = common::snapshot(&bench.path("keys"));
    let error = bench.bad(&["keys", "create", "--out", "keys"]);
    assert!(error.contains("written only once"), "{error}");
    assert_eq!(common::snapshot(&bench.path("keys")), before);

    let open = bench.path("keys/base.key");
    std::fs::set_permissions(&open, PermissionsExt::from_mode(0o644)).expect("chmod");
    let error = bench.bad(&["timestamp", "--repo", "repo", "--keys", "keys"]);
    assert!(error.contains("chmod 600"), "{error}");
}

#[test]
fn two_of_three_keys_sign_and_one_does_not() {
    // req: UPD-11
    let bench = Bench::new();
    let root: Value =
        serde_json::from_str(&bench.good(&["inspect", "--json", "repo/metadata/1.root.json"]))
            .expect("JSON");
    for role in ["root", "targets"] {
        assert_eq!(root["signed"]["roles"][role]["threshold"], 2);
        assert_eq!(root["signed"]["roles"][role]["keyids"].as_array().map(Vec::len), Some(3));
    }
    for gone in ["root-2.key", "root-3.key"] {
        std::fs::remove_file(bench.path("keys").join(gone)).expect("to remove");
    }
    let before = common::snapshot(&bench.path("repo"));
    let error = bench.bad(&["rotate-root", "--repo", "repo", "--keys", "keys"]);
    assert!(error.contains("Both the old and the new keys of root must sign"), "{error}");
    assert_eq!(common::snapshot(&bench.path("repo")), before);
}

#[test]
fn a_release_needs_only_the_keys_of_its_role() {
    let bench = Bench::new();
    bench.binaries();
    for entry in std::fs::read_dir(bench.path("keys")).expect("the keys") {
        let path = entry.expect("a key").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if name.starts_with("root") || name.starts_with("targets") || name == "base.key" {
            std::fs::remove_file(path).expect("to remove");
        }
    }
    bench.release("1.0.0", "1", &["--only", "site,agent,console"]);
    let mut args = vec!["release", "--repo", "repo", "--keys", "keys", "--bin-dir", "bin"];
    args.extend(["--version", "1.0.0", "--revision", "1"]);
    let error = bench.bad(&args);
    assert!(
        error.contains("base needs 1 of its 1 keys to sign, and 0 of them are in keys"),
        "{error}"
    );
    bench.good(&["verify", "--repo", "repo"]);
}

#[test]
fn roots_rotate_in_order_and_the_first_client_follows() {
    // req: UPD-11
    let bench = Bench::new();
    bench.binaries();
    bench.release("1.0.0", "1", &[]);
    let first = bench
        .write("first.json", &std::fs::read(bench.metadata().join("1.root.json")).expect("a root"));
    let first = first.to_str().expect("UTF-8");

    bench.good(&[
        "keys",
        "create",
        "--out",
        "new",
        "--roles",
        "root,targets,snapshot,timestamp,site",
    ]);
    bench.good(&["rotate-root", "--repo", "repo", "--keys", "keys", "--new-keys", "new"]);
    assert!(verify_from(&bench, first).status.success());
    // The old online keys no longer count; the new ones, with the delegated keys, go on.
    let error = bench.bad(&["timestamp", "--repo", "repo", "--keys", "keys"]);
    assert!(error.contains("timestamp needs 1 of its 1 keys"), "{error}");
    bench.good(&["timestamp", "--repo", "repo", "--keys", "new", "--expires", "2h"]);
    bench.good(&["rotate-root", "--repo", "repo", "--keys", "new", "--root-expires", "700d"]);
    for version in 1..=3 {
        assert!(bench.metadata().join(format!("{version}.root.json")).exists());
    }
    assert!(verify_from(&bench, first).status.success());
    bench.good(&[
        "release",
        "--repo",
        "repo",
        "--keys",
        "new",
        "--keys",
        "keys",
        "--bin-dir",
        "bin",
        "--version",
        "1.1.0",
        "--revision",
        "1",
    ]);
    assert!(verify_from(&bench, first).status.success());

    // A gap in the roots leaves the client at the last root before it, whose keys did not sign the rest.
    std::fs::remove_file(bench.metadata().join("2.root.json")).expect("to remove");
    let output = verify_from(&bench, first);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn signers_on_different_machines_complete_one_root() {
    // req: UPD-11
    let bench = Bench::new();
    // Each of two maintainers holds one key of root; the online keys lie elsewhere.
    for (who, key) in [("anna", "root-1.key"), ("bram", "root-2.key"), ("online", "snapshot.key")] {
        let bytes = std::fs::read(bench.path("keys").join(key)).expect("a key");
        let copy = bench.write(&format!("{who}/{key}"), &bytes);
        std::fs::set_permissions(copy, PermissionsExt::from_mode(0o600)).expect("chmod");
    }
    let copy = bench.write(
        "online/timestamp.key",
        &std::fs::read(bench.path("keys/timestamp.key")).expect("a key"),
    );
    std::fs::set_permissions(copy, PermissionsExt::from_mode(0o600)).expect("chmod");

    bench.good(&["rotate-root", "--repo", "repo", "--keys", "anna", "--out", "2.root.json"]);
    let error =
        bench.bad(&["rotate-root", "--repo", "repo", "--keys", "online", "--from", "2.root.json"]);
    assert!(error.contains("1 of its keys signed it, 2 are needed"), "{error}");
    let printed = bench.good(&["sign", "--key", "anna/root-1.key", "2.root.json"]);
    assert!(printed.contains("has 1 signatures"), "one key counts once: {printed}");
    let printed = bench.good(&["sign", "--key", "bram/root-2.key", "2.root.json"]);
    assert!(printed.contains("has 2 signatures"), "{printed}");
    bench.good(&["rotate-root", "--repo", "repo", "--keys", "online", "--from", "2.root.json"]);
    bench.good(&["verify", "--repo", "repo"]);
}

#[test]
fn an_expired_timestamp_is_noticed_and_signed_anew() {
    // req: UPD-11
    let bench = Bench::new();
    bench.good(&["timestamp", "--repo", "repo", "--keys", "keys", "--expires", "0s"]);
    let error = bench.bad(&["verify", "--repo", "repo"]);
    assert!(error.contains("expired") && error.contains("clock"), "{error}");
    bench.good(&["timestamp", "--repo", "repo", "--keys", "keys", "--renew", "targets,base"]);
    bench.good(&["verify", "--repo", "repo"]);
    assert!(bench.metadata().join("2.base.json").exists());
}

#[test]
fn a_changed_target_or_metadata_file_is_found() {
    // req: UPD-11
    let bench = Bench::new();
    bench.binaries();
    bench.release("1.0.0", "1", &[]);
    for (path, good) in common::snapshot(&bench.path("repo")) {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        // An older version of a role, the lock and the packages kept aside are not served.
        let idle = name.starts_with('.') || path.starts_with(bench.path("repo/built"));
        let old = ["1.base.json", "1.site.json", "1.agent.json", "1.snapshot.json"];
        if idle || old.contains(&name.as_str()) {
            continue;
        }
        let mut bytes = good.clone();
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        std::fs::write(&path, &bytes).expect("to write");
        bench.bad(&["verify", "--repo", "repo"]);
        std::fs::write(&path, &good).expect("to write");
    }
    bench.good(&["verify", "--repo", "repo"]);
}

#[test]
fn one_release_at_a_time_changes_a_repository() {
    let bench = Bench::new();
    let lock = std::fs::File::create(bench.path("repo/.lock")).expect("the lock");
    lock.lock().expect("to lock");
    let error = bench.bad(&["timestamp", "--repo", "repo", "--keys", "keys"]);
    assert!(error.contains("another sluis-release"), "{error}");
    drop(lock);
    bench.good(&["timestamp", "--repo", "repo", "--keys", "keys"]);
}

/// What a publish writes before its last step changes nothing for clients, and the next one goes on.
#[test]
fn a_publish_that_was_cut_leaves_the_old_state() {
    let bench = Bench::new();
    bench.binaries();
    let stamp = std::fs::read(bench.metadata().join("timestamp.json")).expect("the timestamp");
    bench.release("1.0.0", "1", &[]);
    // Cut before the last step: everything is written, only the timestamp is still the old one.
    std::fs::write(bench.metadata().join("timestamp.json"), stamp).expect("to write");
    let verified = bench.good(&["verify", "--repo", "repo"]);
    assert!(verified.starts_with("Good: 0 packages"), "{verified}");
    bench.release("1.0.0", "1", &[]);
    let verified = bench.good(&["verify", "--repo", "repo"]);
    assert!(verified.starts_with("Good: 2 packages and 2 programs"), "{verified}");
}
