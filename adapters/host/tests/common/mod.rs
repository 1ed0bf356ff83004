//! Small real packages: a tar in zstd with its manifest.
#![allow(dead_code, reason = "each test file uses a part")]

pub mod appliance;

use model::{PackageKind, Release};
use release::{FileEntry, Manifest, PackageRef, fixtures};
use sluis_host::sha256_of;

/// The manifest of a package with these files, sorted by path.
pub fn manifest(kind: PackageKind, release: Release, files: &[(&str, &[u8])]) -> Manifest {
    let mut manifest = fixtures::manifest(kind, release);
    for (path, content) in files {
        let (sha256, size) = sha256_of(&mut &**content).expect("memory can be read");
        let path = (*path).to_owned();
        manifest.files.push(FileEntry { path, mode: 0o755, size, sha256 });
        manifest.size_installed += size;
    }
    manifest
}

/// An archive with that manifest and these members, whether they fit or not.
pub fn archive(manifest: &[u8], files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(vec![]);
    for (path, content) in [("manifest.json", manifest)].iter().chain(files) {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(if *path == "manifest.json" { 0o644 } else { 0o755 });
        header.set_entry_type(tar::EntryType::Regular);
        // Written by hand, so that a test can name what `set_path` refuses.
        let name = &mut header.as_old_mut().name;
        name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        tar.append(&header, *content).expect("memory can be written");
    }
    let tar = tar.into_inner().expect("memory can be written");
    zstd::encode_all(&tar[..], 1).expect("memory can be written")
}

/// A whole good package: its file and what refers to it.
pub fn package(kind: PackageKind, release: Release, text: &str) -> (Vec<u8>, PackageRef) {
    let program = format!("bin/sluis-{kind}");
    let files: Vec<(&str, &[u8])> = vec![(&program, text.as_bytes()), ("clients/a", b"agent")];
    let manifest = manifest(kind, release.clone(), &files);
    let bytes = archive(&serde_json::to_vec(&manifest).expect("a manifest is JSON"), &files);
    let (sha256, _) = sha256_of(&mut &bytes[..]).expect("memory can be read");
    let name = kind.to_string();
    let target = format!("{name}/{name}-{}.pkg", release.version);
    (bytes, PackageRef { kind, name, release, sha256, target })
}
