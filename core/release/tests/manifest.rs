//! What a manifest may say, and what is refused.

use model::{PackageKind, Release};
use serde_json::{Value, json};
use sluis_core_release::{Manifest, ManifestError, Restart, sequence};

fn sample() -> Value {
    json!({
        "schema": 1, "kind": "site", "name": "site", "version": "1.4.2", "revision": 57, "seq": 1_004_002_057_u64,
        "arch": "x86_64",
        "requires": [{ "name": "base", "range": ">=1.3" }], "conflicts": [], "floors": ["1.2"],
        "restart": "handover",
        "wire": { "agent": [6, 7], "console": [6, 7], "peer": [3, 4] },
        "db": { "reads": [17, 18], "writes": 18 },
        "files": [
            { "path": "bin/sluis-site", "mode": 0o755, "size": 3, "sha256": "00".repeat(32) },
            { "path": "clients/agent", "mode": 0o644, "size": 4, "sha256": "11".repeat(32) }
        ],
        "size_installed": 7, "notes": "Faster.",
        "deltas": [{ "from_sha256": "22".repeat(32), "method": "bidiff", "length": 1, "sha256": "33".repeat(32) }]
    })
}

fn parse(value: &Value) -> Result<Manifest, ManifestError> {
    Manifest::parse(value.to_string().as_bytes())
}

#[test]
fn a_manifest_is_read_and_its_unknown_fields_are_left_alone() {
    let mut value = sample();
    value["from_the_future"] = json!({ "any": ["thing"] });
    let manifest = parse(&value).expect("a manifest");
    assert_eq!(manifest.release(), Release::new(1, 4, 2, 57));
    assert_eq!(manifest.schema_level(), Some(18));
    assert_eq!(manifest.requires[0].to_string(), "base >=1.3");
    assert_eq!(manifest.floors[0].to_string(), "1.2.0");
    assert_eq!(manifest.file("clients/agent").map(|file| file.size), Some(4));
    assert_eq!(manifest.file("clients"), None);

    value["kind"] = json!("firmware");
    value["restart"] = json!("reboot");
    let manifest = parse(&value).expect("a manifest of a later kind");
    assert_eq!(manifest.kind, PackageKind::Unknown);
    assert_eq!(manifest.restart, Restart::Unknown);
}

#[test]
fn a_manifest_of_a_later_form_names_the_way_out() {
    let error = parse(&json!({ "schema": 2, "kind": 7 })).expect_err("too new");
    assert!(matches!(error, ManifestError::TooNew(2)));
    assert!(error.to_string().contains("install the newest base software first"), "{error}");
}

#[test]
fn every_rule_refuses() {
    let cases: Vec<(&str, Value, &str)> = vec![
        ("/schema", json!(0), "`schema`"),
        ("/schema", json!("1"), "`schema`"),
        ("/name", json!("../base"), "`name`"),
        ("/name", json!(""), "`name`"),
        ("/arch", json!("x86 64"), "`arch`"),
        ("/version", json!("1.4"), "not valid"),
        ("/version", json!("1.4.2-rc1"), "`version`"),
        ("/version", json!("1.1000.0"), "`version`"),
        ("/version", json!("18446744073709551615.0.0"), "`version`"),
        ("/revision", json!(1000), "`version`"),
        ("/revision", json!(-1), "not valid"),
        ("/seq", json!(1), "`seq`"),
        ("/requires/0/range", json!("newest"), "not valid"),
        ("/requires/0/name", json!("site"), "`requires`"),
        ("/floors/0", json!("1.5"), "`floors`"),
        ("/wire/agent", json!([7, 6]), "`wire`"),
        ("/db/writes", json!(19), "`db`"),
        ("/db/reads", json!([18, 17]), "`db`"),
        ("/files/0/path", json!("/bin/sh"), "absolute"),
        ("/files/0/path", json!("bin/../../sh"), "`..`"),
        ("/files/0/path", json!("bin/\0"), "not allowed"),
        ("/files/0/path", json!("z"), "out of order"),
        ("/files/0/mode", json!(0o4755), "mode 4755"),
        ("/files/0/size", json!(5_u64 << 30), "bytes"),
        ("/files/0/sha256", json!("AA".repeat(32)), "hexadecimal"),
        ("/size_installed", json!(8), "`size_installed`"),
        ("/notes", json!("x".repeat(20_000)), "`notes`"),
        ("/kind", json!("license"), "`license`"),
    ];
    for (pointer, bad, says) in cases {
        let mut value = sample();
        *value.pointer_mut(pointer).expect("a field of the sample") = bad.clone();
        let error = parse(&value).expect_err(pointer).to_string();
        assert!(error.contains(says), "{pointer} = {bad}: {error}");
    }
}

#[test]
fn sizes_and_counts_are_bounded() {
    let mut value = sample();
    let files: Vec<Value> = (0..600)
        .map(|n| json!({ "path": format!("f{n:04}"), "mode": 0o644, "size": 0, "sha256": "00".repeat(32) }))
        .collect();
    value["files"] = json!(files);
    value["size_installed"] = json!(0);
    assert!(parse(&value).expect_err("too many files").to_string().contains("more than 512"));

    let mut value = sample();
    value["floors"] = json!(vec!["1.0"; 40]);
    assert!(parse(&value).expect_err("too many floors").to_string().contains("more than 32"));

    let long = vec![b' '; 300 * 1024];
    assert!(matches!(Manifest::parse(&long), Err(ManifestError::TooLong(_))));
    let deep = "[".repeat(100_000);
    assert!(matches!(Manifest::parse(deep.as_bytes()), Err(ManifestError::Malformed(_))));
}

#[test]
fn later_releases_have_higher_numbers() {
    let order = [
        Release::new(0, 0, 0, 1),
        Release::new(0, 0, 1, 0),
        Release::new(0, 9, 999, 999),
        Release::new(0, 10, 0, 0),
        Release::new(1, 0, 0, 0),
        Release::new(1, 0, 0, 1),
        Release::new(999_999, 0, 0, 0),
    ];
    let numbers: Vec<u64> = order.iter().map(|r| sequence(r).expect("in range")).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    assert_eq!(sequence(&Release::new(1, 4, 2, 57)).ok(), Some(1_004_002_057));
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let _ = Manifest::parse(&bytes);
    }

    #[test]
    fn numbers_order_as_releases_do(a in 0u64..5, b in 0u64..1000, c in 0u64..1000, r in 0u32..1000,
                                    d in 0u64..5, e in 0u64..1000, f in 0u64..1000, s in 0u32..1000) {
        let (left, right) = (Release::new(a, b, c, r), Release::new(d, e, f, s));
        let (x, y) = (sequence(&left).expect("in range"), sequence(&right).expect("in range"));
        proptest::prop_assert_eq!(left.cmp(&right), x.cmp(&y));
    }
}
