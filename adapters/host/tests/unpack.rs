//! What a slot takes and what it refuses, on a real disk.

mod common;

use std::path::Path;

use common::{archive, manifest, package};
use model::{PackageKind, Release};
use sluis_host::{RealFs, SlotError, Slots};

const PROGRAM: (&str, &[u8]) = ("bin/sluis-site", b"#!/bin/sh\n");

struct Bench {
    dir: tempfile::TempDir,
    slots: Slots<RealFs>,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let slots = Slots::new(RealFs, dir.path());
        Self { dir, slots }
    }

    fn unpack(&self, bytes: &[u8]) -> Result<release::Sha256, SlotError> {
        let path = self.dir.path().join("a.pkg");
        std::fs::write(&path, bytes).expect("a file");
        self.slots.unpack_first(&path).map(|(_, sha256)| sha256)
    }

    fn refused(&self, bytes: &[u8]) -> String {
        let error = self.unpack(bytes).expect_err("the package must be refused").to_string();
        let left = std::fs::read_dir(self.dir.path().join("packages"));
        assert_eq!(left.map_or(0, Iterator::count), 0, "something was left after: {error}");
        error
    }
}

fn good() -> release::Manifest {
    manifest(PackageKind::Site, Release::new(1, 0, 0, 1), &[PROGRAM])
}

fn json(manifest: &release::Manifest) -> Vec<u8> {
    serde_json::to_vec(manifest).expect("a manifest is JSON")
}

#[test]
fn a_good_package_stands_in_its_slot_and_unpacking_again_changes_nothing() {
    let bench = Bench::new();
    let (bytes, reference) = package(PackageKind::Site, Release::new(1, 0, 0, 1), "text");
    for _ in 0..2 {
        assert_eq!(bench.unpack(&bytes).expect("a good package"), reference.sha256);
    }
    let slot = bench.slots.path(reference.sha256);
    assert_eq!(std::fs::read(slot.join("bin/sluis-site")).expect("the program"), b"text");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &slot.join("bin/sluis-site").metadata().expect("the program").permissions(),
    );
    assert_eq!(mode & 0o777, 0o555, "read-only and executable");
    assert!(bench.slots.check(reference.sha256).is_ok());
    assert!(bench.slots.on_disk().expect("a disk").slots.contains(&reference.sha256.to_string()));
}

#[test]
fn a_changed_file_in_a_kept_slot_is_noticed() {
    let bench = Bench::new();
    let (bytes, reference) = package(PackageKind::Site, Release::new(1, 0, 0, 1), "text");
    bench.unpack(&bytes).expect("a good package");
    let program = bench.slots.path(reference.sha256).join("bin/sluis-site");
    std::fs::remove_file(&program).expect("the program");
    std::fs::write(&program, "evil").expect("another program");
    let error = bench.slots.check(reference.sha256).expect_err("it changed").to_string();
    assert!(error.contains("has changed on the disk"), "{error}");
}

#[test]
fn what_differs_from_the_manifest_is_refused_and_leaves_nothing() {
    // req: UPD-11
    let bench = Bench::new();
    let manifest = json(&good());
    for (name, members, expected) in [
        ("other content", vec![("bin/sluis-site", &b"#!/bin/no\n"[..])], "another hash"),
        ("other size", vec![("bin/sluis-site", &b"x"[..])], "another size"),
        ("missing", vec![], "is missing"),
        ("too many", vec![PROGRAM, ("more", b"x")], "too many files"),
        ("twice", vec![PROGRAM, PROGRAM], "too many files"),
        ("elsewhere", vec![("../../etc/passwd", PROGRAM.1)], "not where it belongs"),
        ("absolute", vec![("/bin/sluis-site", PROGRAM.1)], "not where it belongs"),
    ] {
        let error = bench.refused(&archive(&manifest, &members));
        assert!(error.contains(expected), "{name}: {error}");
    }
    assert!(!Path::new("/etc/passwd.sluis").exists());
}

#[test]
fn what_is_no_package_is_refused_with_a_reason() {
    let bench = Bench::new();
    let whole = archive(&json(&good()), &[PROGRAM]);
    let mut broken = whole.clone();
    let middle = broken.len() / 2;
    broken[middle] ^= 0xff;
    let bomb = zstd::encode_all(&vec![0; 64 << 20][..], 1).expect("memory can be written");
    for bytes in [&b""[..], b"rubbish", &whole[..whole.len() / 2], &broken, &bomb] {
        let error = bench.refused(bytes);
        assert!(error.contains("package") || error.contains("manifest"), "{error}");
    }
    for cut in 0..whole.len() {
        bench.refused(&whole[..cut]);
    }
}

#[test]
fn a_disk_that_is_too_small_says_so_before_anything_is_written() {
    let bench = Bench::new();
    let mut manifest = good();
    manifest.files[0].size = 4 << 30;
    manifest.size_installed = 4 << 30;
    let free = sluis_host::disk_free(bench.dir.path()).expect("a disk");
    if free > 4 << 30 {
        // Only a small disk can be full; the end-to-end tests mount one.
        return;
    }
    let error = bench.refused(&archive(&json(&manifest), &[PROGRAM]));
    assert!(error.contains("too little room"), "{error}");
}

#[test]
fn pointers_move_and_old_slots_are_collected() {
    // req: UPD-10
    let bench = Bench::new();
    let packages = [1, 2, 3].map(|n| {
        let (bytes, reference) = package(PackageKind::Site, Release::new(1, 0, n, 1), "text");
        bench.unpack(&bytes).expect("a good package");
        reference
    });
    let [one, two, three] = packages.map(|p| p.sha256);
    bench.slots.point(PackageKind::Site, one, None).expect("pointers");
    bench.slots.point(PackageKind::Site, two, Some(one)).expect("pointers");
    bench.slots.collect(&[]).expect("a disk");
    assert_eq!(bench.slots.current(PackageKind::Site).expect("a disk"), Some(two));
    assert_eq!(bench.slots.previous(PackageKind::Site).expect("a disk"), Some(one));
    let left = bench.slots.on_disk().expect("a disk").slots;
    assert!(left.contains(&one.to_string()) && left.contains(&two.to_string()));
    assert!(!left.contains(&three.to_string()));
    let program = bench.dir.path().join("current/site/bin/sluis-site");
    assert_eq!(std::fs::read(program).expect("the link leads there"), b"text");
}
