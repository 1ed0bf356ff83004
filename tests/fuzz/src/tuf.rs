//! Metadata of The Update Framework.
//!
//! The bytes stand for what is signed. The harness signs them with the key of a small repository,
//! so that what lies behind the signature is reached; bytes that are no JSON go in as they are.

use std::sync::LazyLock;

use model::Timestamp as Moment;
use serde_json::{Value, json};
use tuf::schema::{self, MetaFile, Metadata, RoleType};
use tuf::{Change, Event, KeyId, Limits, Lookup, Refresh, Signed, SigningKey, Stored, canonical};

use crate::Outcome;

const NOW: Moment = Moment::from_secs(1_800_000_000);
const LATER: Moment = Moment::from_secs(1_900_000_000);

static KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::from_seed(&[9; 32]).expect("32 bytes are a seed"));
static KEY_ID: LazyLock<KeyId> = LazyLock::new(|| KEY.id());

// The good files of the repository, made once.
static ROOT: LazyLock<Vec<u8>> = LazyLock::new(|| file(&root(1)));
static TIMESTAMP: LazyLock<Vec<u8>> = LazyLock::new(|| file(&timestamp()));
static SNAPSHOT: LazyLock<Vec<u8>> = LazyLock::new(|| file(&snapshot()));
static TARGETS: LazyLock<Vec<u8>> = LazyLock::new(|| file(&targets()));

fn sign(body: &[u8]) -> Vec<u8> {
    let Ok(value) = serde_json::from_slice::<Value>(body) else { return body.to_vec() };
    let Ok(message) = canonical::canonical(&value) else { return body.to_vec() };
    let sig = release::to_hex(&KEY.sign(&message));
    let file = json!({ "signatures": [{ "keyid": *KEY_ID, "sig": sig }], "signed": value });
    file.to_string().into_bytes()
}

fn file<T: Metadata>(signed: &T) -> Vec<u8> {
    sign(&serde_json::to_vec(signed).expect("metadata is written as JSON"))
}

fn root(version: u64) -> schema::Root {
    let mut root = schema::Root::new(version, LATER);
    for role in [RoleType::Root, RoleType::Timestamp, RoleType::Snapshot, RoleType::Targets] {
        root.set_role(role, &[KEY.key()], 1);
    }
    root
}

fn any_file(version: u64) -> MetaFile {
    MetaFile { length: None, hashes: None, ..MetaFile::of(version, b"") }
}

fn timestamp() -> schema::Timestamp {
    schema::Timestamp::new(1, LATER, any_file(1))
}

fn snapshot() -> schema::Snapshot {
    let meta = ["targets.json", "site.json"].map(|name| (name.to_owned(), any_file(1)));
    schema::Snapshot::new(1, LATER, meta.into())
}

fn targets() -> schema::Targets {
    let mut targets = schema::Targets::new(1, LATER);
    let file = schema::TargetFile::of(b"a program", Some(json!({ "seq": 1 })));
    targets.targets.insert("agent/agent-1.0.0-r1-x86_64-linux".into(), file);
    targets.delegations_mut().delegate("site", &[KEY.key()], 1, &["site/*", "license/*"], true);
    targets
}

fn refresh(stored_root: Vec<u8>) -> Option<Refresh> {
    let stored = Stored { root: stored_root, ..Stored::default() };
    Refresh::new(stored, NOW, Limits::default()).ok()
}

/// A refresh that was fed these files after there was no newer root.
fn after(files: &[&[u8]]) -> Refresh {
    let mut refresh = refresh(ROOT.clone()).expect("a good root");
    refresh.on(Event::Missing).expect("no newer root");
    for file in files {
        refresh.on(Event::Fetched(file.to_vec())).expect("good metadata");
    }
    refresh
}

/// Feeds the last file. What is to be saved is what came, byte for byte.
fn feed(refresh: &mut Refresh, bytes: &[u8]) -> Outcome {
    let result = refresh.on(Event::Fetched(bytes.to_vec()));
    for change in result.iter().flatten() {
        match change {
            Change::Save { bytes: saved, version, .. } => {
                assert_eq!(saved, bytes);
                assert!(*version > 0);
            }
            Change::Forget { .. } => {}
        }
    }
    if let Err(error) = &result {
        assert!(!error.to_string().is_empty() && !error.remedy().is_empty());
    }
    let _ = refresh.want();
    Outcome::of(&result)
}

/// Whatever can be read, tools can write and read again.
fn rewrite<T: Metadata + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    let Ok(read) = Signed::<T>::read_unverified(bytes) else { return };
    let Ok(written) = read.to_bytes() else { return };
    let again =
        Signed::<T>::read_unverified(&written).expect("metadata reads what it was written from");
    assert_eq!(again, read);
}

/// A root as the one that is trusted from the start, and as the successor of version 1.
pub fn tuf_root(data: &[u8]) -> Outcome {
    let bytes = sign(data);
    rewrite::<schema::Root>(&bytes);
    if let Some(mut first) = refresh(bytes.clone()) {
        let _ = first.want();
        let _ = first.on(Event::Missing);
    }
    let mut refresh = refresh(ROOT.clone()).expect("a good root");
    feed(&mut refresh, &bytes)
}

/// A timestamp.
pub fn tuf_timestamp(data: &[u8]) -> Outcome {
    let bytes = sign(data);
    rewrite::<schema::Timestamp>(&bytes);
    feed(&mut after(&[]), &bytes)
}

/// A snapshot.
pub fn tuf_snapshot(data: &[u8]) -> Outcome {
    let bytes = sign(data);
    rewrite::<schema::Snapshot>(&bytes);
    feed(&mut after(&[&TIMESTAMP]), &bytes)
}

/// Targets metadata, at the top and as that of a delegated role; each search in it ends.
pub fn tuf_targets(data: &[u8]) -> Outcome {
    let bytes = sign(data);
    rewrite::<schema::Targets>(&bytes);
    search(&TARGETS, &bytes);
    let mut refresh = after(&[&TIMESTAMP, &SNAPSHOT]);
    let outcome = feed(&mut refresh, &bytes);
    if outcome == Outcome::Accepted {
        search(&bytes, &bytes);
    }
    outcome
}

/// Searches a repository with these top-level targets, where each delegated role is `delegated`.
fn search(top: &[u8], delegated: &[u8]) {
    let refresh = after(&[&TIMESTAMP, &SNAPSHOT, top]);
    let mut set = refresh.finish().expect("all four roles came");
    let mut names =
        ["site/site-1.0.0-r1-x86_64.pkg", "a/b/c", "", "..", "é"].map(str::to_owned).to_vec();
    names.extend(set.targets().targets.keys().take(8).cloned());
    for name in names {
        for _ in 0..64 {
            match set.lookup(&name) {
                Ok(Lookup::Found(target)) => {
                    assert_eq!(target.name(), name);
                    let _ = (target.path(), target.file_name(), target.checker());
                    break;
                }
                Ok(Lookup::Need(need)) => {
                    if set.on(&need, Event::Fetched(delegated.to_vec())).is_err() {
                        break;
                    }
                }
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    break;
                }
            }
        }
    }
}

pub mod seeds {
    //! Good bytes.

    use serde::Serialize;

    fn body<T: Serialize>(value: &T) -> Vec<Vec<u8>> {
        vec![serde_json::to_vec(value).expect("metadata is written as JSON")]
    }

    pub fn tuf_root() -> Vec<Vec<u8>> {
        body(&super::root(2))
    }

    pub fn tuf_timestamp() -> Vec<Vec<u8>> {
        body(&super::timestamp())
    }

    pub fn tuf_snapshot() -> Vec<Vec<u8>> {
        body(&super::snapshot())
    }

    pub fn tuf_targets() -> Vec<Vec<u8>> {
        body(&super::targets())
    }
}
