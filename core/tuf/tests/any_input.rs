//! No input panics the decoders, and nothing that nobody signed is ever believed.
// req: UPD-11

use std::collections::BTreeMap;

use model::Timestamp as Moment;
use proptest::prelude::*;
use serde_json::Value;
use sluis_core_tuf::schema::{
    MetaFile, Metadata, RoleType, Root, Snapshot, TargetFile, Targets, Timestamp,
};
use sluis_core_tuf::{
    Event, Limits, Lookup, Refresh, Signed, SigningKey, Stored, TrustedSet, read_root, role_file,
};

const EXPIRES: Moment = Moment::from_secs(2_000_000_000);
const NOW: Moment = Moment::from_secs(1_000_000_000);

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32]).expect("32 bytes")
}

fn sign<T: Metadata>(signed: T) -> Vec<u8> {
    let mut signed = Signed::new(signed);
    signed.sign_with(&key(1)).expect("canonical");
    signed.to_bytes().expect("canonical")
}

/// Every file of a small repository, by what the client asks for.
fn repository() -> BTreeMap<String, Vec<u8>> {
    let mut base = Targets::new(1, EXPIRES);
    base.targets.insert("base/t".into(), TargetFile::of(b"content", None));
    let base = sign(base);
    let mut targets = Targets::new(1, EXPIRES);
    targets.targets.insert("t".into(), TargetFile::of(b"content", Some(Value::from(1))));
    targets.delegations_mut().delegate("base", &[key(1).key()], 1, &["base/*"], false);
    let targets = sign(targets);
    let meta = BTreeMap::from([
        ("targets.json".to_owned(), MetaFile::of(1, &targets)),
        // Without hash: the signature alone is between a changed file and its use.
        ("base.json".to_owned(), MetaFile { length: None, hashes: None, ..MetaFile::of(1, &base) }),
    ]);
    let snapshot = sign(Snapshot::new(1, EXPIRES, meta));
    let meta = MetaFile { length: None, hashes: None, ..MetaFile::of(1, &snapshot) };
    let timestamp = sign(Timestamp::new(1, EXPIRES, meta));
    let mut second = root();
    second.version = 2;
    [
        ("2.root.json", sign(second)),
        ("timestamp.json", timestamp),
        ("1.snapshot.json", snapshot),
        ("1.targets.json", targets),
        ("1.base.json", base),
    ]
    .map(|(name, bytes)| (name.to_owned(), bytes))
    .into()
}

fn root() -> Root {
    let mut root = Root::new(1, EXPIRES);
    for role in [RoleType::Root, RoleType::Timestamp, RoleType::Snapshot, RoleType::Targets] {
        root.set_role(role, &[key(1).key()], 1);
    }
    root
}

/// Refreshes and searches; the target's SHA-256 if all went well.
fn follow(files: &BTreeMap<String, Vec<u8>>) -> Option<String> {
    let stored = Stored { root: sign(root()), ..Stored::default() };
    let mut refresh = Refresh::new(stored, NOW, Limits::default()).expect("a root");
    let event = |name: &str| files.get(name).cloned().map_or(Event::Missing, Event::Fetched);
    while let Some(want) = refresh.want() {
        refresh.on(event(&want.file)).ok()?;
    }
    let mut trusted = refresh.finish().ok()?;
    loop {
        match trusted.lookup("base/t").ok()? {
            Lookup::Found(target) => return Some(target.sha256_hex()),
            Lookup::Need(need) => drop(trusted.on(&need, event(&need.want.file)).ok()?),
        }
    }
}

#[test]
fn the_repository_is_good_when_nobody_touches_it() {
    assert_eq!(follow(&repository()), Some(sluis_core_tuf::sha256_hex(b"content")));
}

/// A JSON value of any shape, with the words of metadata in it.
fn json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        "[a-z_]{0,6}",
        prop::sample::select(vec![
            "_type",
            "root",
            "timestamp",
            "signed",
            "signatures",
            "keyid",
            "sig",
            "version",
            "1.0",
            "spec_version",
            "expires",
            "2030-01-01T00:00:00Z",
            "meta",
            "snapshot.json",
            "keys",
            "roles",
            "keyids",
            "threshold",
            "targets",
            "delegations",
            "paths",
            "name",
            "hashes",
            "keyval",
            "public",
            "ed25519",
            "scheme",
            "keytype",
            "length",
            "terminating",
        ])
        .prop_map(str::to_owned),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// Gives the bytes to every decoder.
fn decode(bytes: &[u8]) {
    let _ = read_root(bytes);
    let _ = Signed::<Root>::read_unverified(bytes);
    let _ = Signed::<Timestamp>::read_unverified(bytes);
    let _ = Signed::<Snapshot>::read_unverified(bytes);
    let _ = Signed::<Targets>::read_unverified(bytes);
    let stored = Stored {
        root: sign(root()),
        timestamp: Some(bytes.to_vec()),
        snapshot: Some(bytes.to_vec()),
        roles: BTreeMap::from([("targets".to_owned(), bytes.to_vec())]),
    };
    let _ = stored.demand_whole();
    let _ = TrustedSet::from_stored(stored.clone(), NOW, Limits::default());
    let _ = Refresh::new(stored, NOW, Limits::default());
}

proptest! {
    #[test]
    fn any_bytes_are_an_error_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        decode(&bytes);
    }

    #[test]
    fn any_json_is_an_error_and_no_panic(signed in json(), signatures in json()) {
        decode(signed.to_string().as_bytes());
        let list = serde_json::json!({ "signed": signed, "signatures": [] });
        decode(list.to_string().as_bytes());
        let any = serde_json::json!({ "signed": signed, "signatures": signatures });
        decode(any.to_string().as_bytes());
    }

    /// One part of one file becomes something else: it is refused, or nothing that counts changed.
    #[test]
    fn no_change_to_a_file_changes_what_is_installed(
        file in 0_usize..5,
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let mut files = repository();
        let bytes = files.values_mut().nth(file).expect("five files");
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        let found = follow(&files);
        prop_assert!(found.is_none() || found == Some(sluis_core_tuf::sha256_hex(b"content")));
    }

    #[test]
    fn any_name_is_a_plain_file_and_can_be_searched(name in any::<String>()) {
        let file = role_file(&name);
        prop_assert!(!file.contains(['/', '\\', '\0']) && file != ".." && file.is_ascii());
        let stored = Stored { root: sign(root()), ..Stored::default() };
        let mut refresh = Refresh::new(stored, NOW, Limits::default()).expect("a root");
        let files = repository();
        while let Some(want) = refresh.want() {
            let event = files.get(&want.file).cloned().map_or(Event::Missing, Event::Fetched);
            refresh.on(event).expect("good metadata");
        }
        let mut trusted = refresh.finish().expect("done");
        prop_assert!(trusted.lookup(&name).is_err() || name == "t" || name.starts_with("base/"));
    }
}

#[test]
fn deep_nesting_is_an_error_and_no_panic() {
    for unit in ["[", "{\"a\":", "{\"signed\":{\"delegations\":"] {
        decode(unit.repeat(100_000).as_bytes());
    }
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    decode(format!("{{\"signatures\":[],\"signed\":{{\"x\":{deep}}}}}").as_bytes());
}

#[test]
fn a_root_without_a_next_version_is_an_error_and_no_panic() {
    for version in [0, u64::MAX, u64::MAX - 1] {
        let mut last = root();
        last.version = version;
        assert!(read_root(&sign(last)).is_err(), "{version}");
    }
    let mut last = root();
    last.version = i64::MAX as u64;
    let stored = Stored { root: sign(last), ..Stored::default() };
    let refresh = Refresh::new(stored, NOW, Limits::default()).expect("a root");
    assert_eq!(refresh.want().expect("the next root").file, "9223372036854775808.root.json");
}
