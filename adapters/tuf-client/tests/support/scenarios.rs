//! The scenarios of `tests/tuf/generate.py` once more, made with the core's own signing side.

use std::fs;
use std::path::Path;

use tuf::KeyId;
use tuf::schema::{Extra, MetaFile, RoleType};

use super::repo::{EXPIRED, EditMeta, Repo, SOON, key, sign_again};

/// Writes all scenarios below a directory.
pub fn generate(out: &Path) {
    simple(out);
    rollback(out);
    expiry(out);
    mixed(out);
    keys(out);
    thresholds(out);
    roots(out);
    delegations(out);
    bearing(out);
}

fn simple(out: &Path) {
    Repo::usual(&out.join("plain")).write();
    let mut repo = Repo::usual(&out.join("update"));
    repo.write();
    repo.add("targets", "a.txt", "newer content of a");
    repo.bump_all();
    repo.write();
}

fn rollback(out: &Path) {
    for (name, role, also) in [
        ("rollback-timestamp", "timestamp", &[][..]),
        ("rollback-snapshot", "snapshot", &["timestamp"]),
        ("rollback-targets", "targets", &["snapshot", "timestamp"]),
        ("rollback-delegated", "base", &["snapshot", "timestamp"]),
    ] {
        let mut repo = Repo::usual(&out.join(name));
        repo.bump(&[role]);
        repo.write();
        repo.versions.insert(role.to_owned(), 1);
        repo.bump(also);
        repo.write();
    }
    let mut repo = Repo::usual(&out.join("vanished"));
    repo.write();
    repo.unnamed.insert("base".into());
    repo.bump(&["snapshot", "timestamp"]);
    repo.write();
}

fn expiry(out: &Path) {
    let mut repo = Repo::usual(&out.join("freeze"));
    repo.expires.insert("timestamp".into(), SOON);
    repo.write();
    repo.write();
    for role in ["root", "timestamp", "snapshot", "targets", "base"] {
        let mut repo = Repo::usual(&out.join(format!("expired-{role}")));
        repo.write();
        repo.expires.insert(role.to_owned(), EXPIRED);
        if role == "root" {
            repo.publish_root(None);
        } else {
            repo.bump_all();
        }
        repo.write();
    }
}

fn mixed(out: &Path) {
    let bare = |meta: &mut MetaFile| (meta.length, meta.hashes) = (None, None);
    for role in ["snapshot", "targets", "base"] {
        for (name, edit) in [("mixed", None), ("mixed-version", Some(bare as EditMeta))] {
            let mut repo = Repo::usual(&out.join(format!("{name}-{role}")));
            repo.edit_meta = edit.map(|edit| ("*".to_owned(), edit));
            let first = repo.write();
            repo.bump_all();
            let second = repo.write();
            let file = |step: &Path, version| step.join(format!("metadata/{version}.{role}.json"));
            fs::copy(file(&first, 1), file(&second, 2)).expect("a copy");
        }
    }
}

fn keys(out: &Path) {
    let mut repo = Repo::usual(&out.join("arbitrary-target"));
    let step = repo.write();
    replace(&step.join("targets"), ".a.txt", "malice of A!");
    replace(&step.join("targets/base"), ".b.pkg", "malice that is longer than what was signed");
    let step = Repo::usual(&out.join("short-target")).write();
    replace(&step.join("targets"), ".a.txt", "content");

    for role in ["timestamp", "snapshot", "targets", "base", "root"] {
        let mut repo = Repo::usual(&out.join(format!("wrong-key-{role}")));
        repo.write();
        let stranger = repo.new_signer();
        repo.signers.insert(role.to_owned(), vec![stranger]);
        if role == "root" {
            repo.publish_root(None);
        } else {
            repo.bump_all();
        }
        repo.write();
        if role == "root" {
            continue;
        }
        let mut repo = Repo::usual(&out.join(format!("unsigned-{role}")));
        repo.write();
        repo.signers.insert(role.to_owned(), vec![]);
        repo.bump_all();
        repo.write();
    }
    for role in ["timestamp", "snapshot", "targets"] {
        let mut repo = Repo::usual(&out.join(format!("key-of-another-role-{role}")));
        repo.write();
        let other = if role == "targets" { "timestamp" } else { "targets" };
        let signers = repo.signers[other].clone();
        repo.signers.insert(role.to_owned(), signers);
        repo.bump_all();
        repo.write();
    }
    for role in ["targets", "base"] {
        let mut repo = Repo::usual(&out.join(format!("wrong-key-right-id-{role}")));
        repo.write();
        let id = key(repo.signers[role][0]).id();
        let stranger = repo.new_signer();
        repo.signers.insert(role.to_owned(), vec![]);
        let edit = move |bytes: Vec<u8>| sign_again(&bytes, stranger, id.clone());
        repo.edit = Some((role.to_owned(), Box::new(edit)));
        repo.bump_all();
        repo.write();
    }
}

fn replace(directory: &Path, suffix: &str, content: &str) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.to_string_lossy().ends_with(suffix) {
            fs::write(path, content).expect("a file");
        }
    }
}

fn thresholds(out: &Path) {
    let two_of_three = |name: &str, signing: std::ops::Range<usize>| {
        let mut repo = Repo::usual(&out.join(name));
        repo.delegate("targets", "base", &["base/*"], 3, 2, false);
        let signers = repo.signers["base"][signing].to_vec();
        repo.signers.insert("base".into(), signers);
        repo
    };
    two_of_three("threshold-met", 1..3).write();
    two_of_three("threshold-short", 1..2).write();

    let mut repo = two_of_three("threshold-same-signature-twice", 1..2);
    let signer = repo.signers["base"][0];
    let edit = move |bytes: Vec<u8>| sign_again(&bytes, signer, key(signer).id());
    repo.edit = Some(("base".into(), Box::new(edit)));
    repo.write();

    let mut repo = Repo::usual(&out.join("threshold-one-key-two-ids"));
    repo.delegate("targets", "base", &["base/*"], 1, 2, false);
    let (signer, id) = (repo.signers["base"][0], KeyId("another name".into()));
    repo.alias("base", &id);
    let edit = move |bytes: Vec<u8>| sign_again(&bytes, signer, id.clone());
    repo.edit = Some(("base".into(), Box::new(edit)));
    repo.write();

    let mut repo = Repo::usual(&out.join("threshold-raised"));
    repo.write();
    let second = repo.new_signer();
    let first = repo.signers["snapshot"].clone();
    repo.signers.insert("snapshot".into(), vec![first[0], second]);
    repo.demand(RoleType::Snapshot, 2);
    repo.publish_root(None);
    repo.signers.insert("snapshot".into(), first.clone());
    repo.write();
    repo.signers.insert("snapshot".into(), vec![first[0], second]);
    repo.bump(&["snapshot", "timestamp"]);
    repo.write();

    let mut repo = Repo::usual(&out.join("another-type"));
    let root = repo.signers["root"].clone();
    for role in [RoleType::Timestamp, RoleType::Snapshot, RoleType::Targets] {
        repo.signers.insert(role.to_string(), root.clone());
        repo.demand(role, 1);
    }
    repo.publish_root(None);
    let metadata = repo.write().join("metadata");
    fs::copy(metadata.join("1.snapshot.json"), metadata.join("timestamp.json")).expect("a copy");
}

fn roots(out: &Path) {
    let begin = |name: &str| {
        let mut repo = Repo::usual(&out.join(name));
        repo.write();
        repo
    };
    let mut repo = begin("root-in-order");
    for _ in 0..5 {
        let mut signers = repo.rotate(RoleType::Root);
        signers.extend(&repo.signers["root"]);
        repo.publish_root(Some(signers));
    }
    repo.rotate(RoleType::Targets);
    repo.publish_root(None);
    repo.bump_all();
    repo.write();

    let mut repo = begin("root-gap");
    repo.publish_root(None);
    repo.publish_root(None);
    fs::remove_file(repo.write().join("metadata/2.root.json")).expect("a file");

    let mut repo = begin("root-skipped");
    repo.publish_root(None);
    repo.publish_root(None);
    let third = repo.roots[2].clone();
    repo.roots.splice(1..2, [third]);
    repo.write();

    let mut repo = begin("root-again");
    repo.roots.push(repo.roots[0].clone());
    repo.write();

    let mut repo = begin("root-without-old-keys");
    repo.rotate(RoleType::Root);
    repo.publish_root(None);
    repo.write();

    let mut repo = begin("root-without-new-keys");
    let old = repo.rotate(RoleType::Root);
    repo.publish_root(Some(old));
    repo.write();

    let far = 1 << 31;
    for (name, rotates) in
        [("fast-forward-timestamp", true), ("fast-forward-without-rotation", false)]
    {
        let mut repo = Repo::usual(&out.join(name));
        repo.versions.insert("timestamp".into(), far);
        repo.write();
        if rotates {
            repo.rotate(RoleType::Timestamp);
        }
        repo.publish_root(None);
        repo.versions.insert("timestamp".into(), 2);
        repo.write();
    }
    let mut repo = Repo::usual(&out.join("fast-forward-snapshot"));
    repo.versions.insert("snapshot".into(), far);
    repo.versions.insert("targets".into(), far);
    repo.write();
    repo.rotate(RoleType::Snapshot);
    repo.rotate(RoleType::Timestamp);
    repo.publish_root(None);
    repo.versions.insert("snapshot".into(), 2);
    repo.versions.insert("targets".into(), 2);
    repo.bump(&["timestamp"]);
    repo.write();
}

fn delegations(out: &Path) {
    let begin = |name: &str| Repo::new(&out.join(name));
    let mut repo = begin("order-first-wins");
    repo.delegate("targets", "first", &["x/*"], 1, 1, false);
    repo.delegate("targets", "second", &["x/*"], 1, 1, false);
    repo.add("second", "x/t", "of the second");
    repo.add("first", "x/t", "of the first");
    repo.write();

    let mut repo = begin("order-depth-first");
    repo.delegate("targets", "first", &["x/*"], 1, 1, false);
    repo.delegate("targets", "second", &["x/*"], 1, 1, false);
    repo.delegate("first", "deep", &["x/*"], 1, 1, false);
    repo.add("second", "x/t", "of the second");
    repo.add("deep", "x/t", "of the deep");
    repo.write();

    let mut repo = begin("terminating");
    repo.delegate("targets", "first", &["x/*"], 1, 1, true);
    repo.delegate("targets", "second", &["x/*", "y/*"], 1, 1, false);
    repo.add("second", "x/t", "of the second");
    repo.add("second", "y/t", "of the second");
    repo.write();

    let mut repo = begin("terminating-below");
    repo.delegate("targets", "first", &["x/*"], 1, 1, false);
    repo.delegate("targets", "second", &["x/*"], 1, 1, false);
    repo.delegate("first", "deep", &["x/*"], 1, 1, true);
    repo.add("second", "x/t", "of the second");
    repo.write();

    let mut repo = begin("paths");
    repo.delegate("targets", "base", &["base/*", "ex?ct/[ab].pkg"], 1, 1, false);
    for name in ["base/deep/t", "site/t", "base", "exact/c.pkg"] {
        repo.add("base", name, "not its business");
    }
    repo.add("base", "exact/b.pkg", "its business");
    // On disk, the target `base` would lie where the directory of others is; its hash prevents it.
    repo.write();

    let mut repo = begin("hash-prefixes");
    let prefix = tuf::sha256_hex(b"some/t")[..3].to_owned();
    repo.delegate("targets", "bin", &[], 1, 1, false);
    let role = &mut repo.roles.get_mut("targets").expect("targets").delegations_mut().roles[0];
    (role.paths, role.path_hash_prefixes) = (None, Some(vec![prefix]));
    repo.add("bin", "some/t", "in the bin");
    repo.write();

    let mut repo = begin("cycle");
    repo.delegate("targets", "one", &["*"], 1, 1, false);
    repo.delegate("one", "two", &["*"], 1, 1, false);
    let mut signers = repo.signers["one"].clone();
    repo.delegate("two", "one", &["*"], 1, 1, false);
    signers.extend(&repo.signers["one"]);
    repo.signers.insert("one".into(), signers);
    repo.add("two", "t", "in the cycle");
    repo.write();

    for (name, length) in [("chain-short", 10), ("chain-long", 40)] {
        let mut repo = begin(name);
        let mut parent = "targets".to_owned();
        for n in 0..length {
            let role = format!("role{n}");
            repo.delegate(&parent, &role, &["*"], 1, 1, false);
            parent = role;
        }
        repo.add(&parent, "t", "at the end");
        repo.write();
    }

    let mut repo = begin("two-ways");
    repo.delegate("targets", "trusting", &["x/*"], 1, 1, false);
    repo.delegate("targets", "wary", &["y/*"], 1, 1, false);
    repo.delegate("trusting", "shared", &["x/*"], 1, 1, false);
    let signers = repo.signers["shared"].clone();
    repo.delegate("wary", "shared", &["y/*"], 1, 1, false);
    repo.signers.insert("shared".into(), signers);
    repo.add("shared", "x/t", "by the trusting");
    repo.add("shared", "y/t", "by the wary");
    repo.write();

    let mut repo = Repo::usual(&out.join("not-in-snapshot"));
    repo.unnamed.insert("base".into());
    repo.write();
}

fn bearing(out: &Path) {
    let mut repo = Repo::usual(&out.join("unknown-fields"));
    let odd = serde_json::json!({ "deep": [1, null, true, "é\n\"\\"], "": -5 });
    let odd: Extra = [("x-later".to_owned(), odd)].into_iter().collect();
    repo.root.extra.clone_from(&odd);
    repo.later_role();
    repo.publish_root(None);
    for targets in repo.roles.values_mut() {
        targets.extra.clone_from(&odd);
        targets.targets.values_mut().for_each(|file| file.extra.clone_from(&odd));
    }
    repo.write();

    let mut repo = Repo::new(&out.join("odd-names"));
    let role = "../röle ?#%2F/x";
    repo.delegate("targets", role, &["odd */*", "..", "../*"], 1, 1, false);
    repo.add(role, "odd dir/na me?#%é+&;=@:.pkg", "odd content");
    repo.add(role, "../evil", "evil");
    repo.write();

    let edits: [(&str, &str, EditMeta); 4] = [
        ("wrong-length", "snapshot", |meta| meta.length = meta.length.map(|length| length - 1)),
        ("wrong-length-longer", "snapshot", |meta| meta.length = meta.length.map(|n| n + 1)),
        ("wrong-hash", "targets", |meta| {
            let hashes = meta.hashes.as_mut().expect("hashes");
            hashes.insert("sha256".into(), "0".repeat(64));
        }),
        ("unknown-hash", "targets", |meta| {
            meta.hashes = Some([("whirlpool".to_owned(), "00".to_owned())].into());
        }),
    ];
    for (name, role, edit) in edits {
        let mut repo = Repo::usual(&out.join(name));
        repo.edit_meta = Some((role.to_owned(), edit));
        repo.write();
    }
    let step = Repo::usual(&out.join("missing")).write();
    fs::remove_file(step.join("metadata/1.targets.json")).expect("a file");
    let step = Repo::usual(&out.join("garbage")).write();
    fs::write(step.join("metadata/timestamp.json"), "<html>Welcome to this hotel</html>")
        .expect("a file");
}
