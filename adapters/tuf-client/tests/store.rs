//! The trusted store under damage: what is torn or gone comes back from the other copy, or the
//! store refuses to open; it never goes back.
// req: UPD-11

extern crate sluis_tuf_client as tuf_client;

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fs;
use std::path::Path;

use model::Timestamp;
use tuf::schema::{MetaFile, Metadata, RoleType, Root, Snapshot, Targets};
use tuf::{Change, Signed, SigningKey, role_file, schema};
use tuf_client::{StoreError, TrustedStore};

const EXPIRES: Timestamp = Timestamp::from_secs(1_924_905_600);

fn sign<T: Metadata>(signed: T) -> Vec<u8> {
    let mut signed = Signed::new(signed);
    signed.sign_with(&key()).expect("canonical");
    signed.to_bytes().expect("canonical")
}

fn key() -> SigningKey {
    SigningKey::from_seed(&[1; 32]).expect("32 bytes")
}

fn root(version: u64) -> Vec<u8> {
    let mut root = Root::new(version, EXPIRES);
    for role in [RoleType::Root, RoleType::Timestamp, RoleType::Snapshot, RoleType::Targets] {
        root.set_role(role, &[key().key()], 1);
    }
    sign(root)
}

/// All roles in that version.
fn changes(version: u64) -> Vec<Change> {
    let targets = sign(Targets::new(version, EXPIRES));
    let meta = BTreeMap::from([("targets.json".to_owned(), MetaFile::of(version, &targets))]);
    let snapshot = sign(Snapshot::new(version, EXPIRES, meta));
    let meta = MetaFile::of(version, &snapshot);
    let timestamp = sign(schema::Timestamp::new(version, EXPIRES, meta));
    [("timestamp", timestamp), ("snapshot", snapshot), ("targets", targets)]
        .map(|(role, bytes)| Change::Save { role: role.into(), version, bytes })
        .into()
}

/// A store that trusts root 1 and version 2 of the rest.
fn store(directory: &Path) -> TrustedStore {
    let mut store = TrustedStore::init(directory, &root(1)).expect("a store");
    store.apply(&changes(1)).expect("saved");
    store.apply(&changes(2)).expect("saved");
    store
}

const FILES: [&str; 5] =
    [".trusted", "root.json", "timestamp.json", "snapshot.json", "targets.json"];

type Damage = fn(&Path);
const DAMAGES: [(&str, Damage); 4] = [
    ("gone", |path| fs::remove_file(path).expect("removed")),
    ("empty", |path| fs::write(path, b"").expect("written")),
    ("torn", |path| {
        let bytes = fs::read(path).expect("read");
        fs::write(path, &bytes[..bytes.len() / 2]).expect("written");
    }),
    ("zeroed at its end", |path| {
        let mut bytes = fs::read(path).expect("read");
        let half = bytes.len() / 2;
        bytes[half..].fill(0);
        fs::write(path, bytes).expect("written");
    }),
];

#[test]
fn damage_to_one_copy_is_mended() {
    for file in FILES {
        for (damage, make) in DAMAGES {
            let directory = tempfile::tempdir().expect("a directory");
            let before = store(directory.path()).stored();
            make(&directory.path().join(file));
            let mended = TrustedStore::open(directory.path())
                .unwrap_or_else(|error| panic!("{file} {damage}: {error}"))
                .stored();
            assert_eq!(mended.root, before.root, "{file} {damage}");
            assert_eq!(mended.timestamp, before.timestamp, "{file} {damage}");
            assert_eq!(mended.snapshot, before.snapshot, "{file} {damage}");
            // And now both copies are whole again: the other one may be lost.
            fs::remove_file(directory.path().join(".trusted")).expect("removed");
            assert_eq!(
                TrustedStore::open(directory.path()).expect(file).stored().root,
                before.root
            );
        }
    }
}

#[test]
fn damage_to_both_copies_fails_closed() {
    for file in ["root.json", "timestamp.json", "snapshot.json"] {
        for (damage, make) in DAMAGES {
            for (other, also) in DAMAGES {
                let directory = tempfile::tempdir().expect("a directory");
                drop(store(directory.path()));
                make(&directory.path().join(file));
                also(&directory.path().join(".trusted"));
                let error = TrustedStore::open(directory.path()).expect_err(file);
                let StoreError::Damaged { .. } = &error else {
                    panic!("{file} {damage}, second copy {other}: {error}");
                };
                assert!(error.source().is_some() && !error.remedy().is_empty());
                // Nor does starting anew go over it.
                TrustedStore::init(directory.path(), &root(1)).expect_err("damaged");
                TrustedStore::open_or_init(directory.path(), &root(1)).expect_err("damaged");
            }
        }
    }
}

#[test]
fn an_old_file_does_not_win_over_the_second_copy() {
    let directory = tempfile::tempdir().expect("a directory");
    let before = store(directory.path()).stored();
    for change in changes(1) {
        let Change::Save { role, bytes, .. } = change else { continue };
        fs::write(directory.path().join(role_file(&role)), bytes).expect("written");
    }
    assert_eq!(TrustedStore::open(directory.path()).expect("a store").stored(), before);
    let timestamp = fs::read(directory.path().join("timestamp.json")).expect("a file");
    assert_eq!(Some(timestamp), before.timestamp);
}

#[test]
fn a_change_that_goes_back_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut store = store(directory.path());
    let before = store.stored();
    let error = store.apply(&changes(1)).expect_err("older");
    assert!(matches!(error, StoreError::Rollback { trusted: 2, offered: 1, .. }), "{error}");
    assert_eq!(store.stored(), before);
    // After a recovery from fast-forward there is nothing to go back from.
    let forget = ["timestamp", "snapshot"].map(|role| Change::Forget { role: role.into() });
    store.apply(&forget).expect("forgotten");
    assert!(!directory.path().join("timestamp.json").exists());
    store.apply(&changes(1)).expect("begun again");
}

#[test]
fn a_first_root_is_trusted_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("trusted");
    assert!(matches!(TrustedStore::open(&path), Err(StoreError::NotInitialised { .. })));
    let unsigned = Signed::new(Root::new(1, EXPIRES)).to_bytes().expect("canonical");
    assert!(matches!(TrustedStore::init(&path, &unsigned), Err(StoreError::BadRoot(_))));
    assert!(matches!(TrustedStore::init(&path, b"{}"), Err(StoreError::BadRoot(_))));
    drop(TrustedStore::init(&path, &root(1)).expect("a store"));
    let mut store = TrustedStore::init(&path, &root(1)).expect("the same root");
    let save = Change::Save { role: "root".into(), version: 2, bytes: root(2) };
    store.apply(&[save]).expect("saved");
    drop(store);
    let store = TrustedStore::init(&path, &root(1)).expect("a root that was seen");
    assert_eq!(store.stored().root, root(2));
    assert!(matches!(TrustedStore::open(&path), Err(StoreError::InUse { .. })));
    drop(store);
    let other = TrustedStore::init(&path, &root(3));
    assert!(matches!(other, Err(StoreError::OtherRoot { .. })));
    let store = TrustedStore::open_or_init(&path, &root(3)).expect("what was trusted");
    assert_eq!(store.stored().root, root(2));
}
