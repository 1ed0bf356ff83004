//! Real packages: the base under test and the small site of `tests/support`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use model::{PackageKind, Release, Revision};
use release::{Database, FileEntry, MANIFEST_SCHEMA, Manifest, Restart, sequence};

/// A package file with what the world has to know of it.
#[derive(Clone)]
pub struct Built {
    pub manifest: Manifest,
    pub target: String,
    pub bytes: Vec<u8>,
}

pub fn base_program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_sluis-base"))
}

fn site_program() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    own.parent().unwrap().parent().unwrap().join("examples/base-test-site")
}

/// The program without what debuggers need: a tenth of the size.
fn stripped(program: &Path) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("program");
    let status = Command::new("strip").arg("-o").arg(&out).arg(program).status();
    if status.is_ok_and(|status| status.success()) {
        return std::fs::read(out).unwrap();
    }
    std::fs::read(program).unwrap()
}

/// The base under test as some version; with a script in its place when one is given.
pub fn base(release: Release, script: &str) -> Built {
    static PROGRAM: OnceLock<Vec<u8>> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| stripped(base_program()));
    if script.is_empty() {
        return build(PackageKind::Base, release, &[("bin/sluis-base", program)]);
    }
    build(PackageKind::Base, release, &[("bin/sluis-base", script.as_bytes())])
}

/// The small site as some version that behaves in some way.
pub fn site(release: Release, behaviour: &str) -> Built {
    site_that_needs(release, behaviour, &[])
}

/// The same, asking for other packages.
pub fn site_that_needs(release: Release, behaviour: &str, requires: &[&str]) -> Built {
    static PROGRAM: OnceLock<Vec<u8>> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| stripped(&site_program()));
    let files = [("behaviour", behaviour.as_bytes()), ("bin/sluis-site", &program[..])];
    build_with(PackageKind::Site, release, &files, requires)
}

fn build(kind: PackageKind, release: Release, files: &[(&str, &[u8])]) -> Built {
    build_with(kind, release, files, &[])
}

fn build_with(
    kind: PackageKind,
    release: Release,
    files: &[(&str, &[u8])],
    requires: &[&str],
) -> Built {
    let entries: Vec<FileEntry> = files
        .iter()
        .map(|(path, content)| {
            let (sha256, size) = host::sha256_of(&mut &**content).unwrap();
            let mode = if path.starts_with("bin/") { 0o755 } else { 0o644 };
            FileEntry { path: (*path).to_owned(), mode, size, sha256 }
        })
        .collect();
    let Release { version, revision: Revision(revision) } = release.clone();
    let level = u32::try_from(version.minor).unwrap() + 1;
    let manifest = Manifest {
        schema: MANIFEST_SCHEMA,
        kind,
        name: kind.to_string(),
        seq: sequence(&release).unwrap(),
        version: version.clone(),
        revision: Revision(revision),
        arch: std::env::consts::ARCH.to_owned(),
        requires: requires.iter().map(|rule| rule.parse().unwrap()).collect(),
        conflicts: vec![],
        floors: vec![],
        restart: Restart::Handover,
        wire: None,
        db: (kind == PackageKind::Site).then_some(Database { reads: (1, level), writes: level }),
        size_installed: entries.iter().map(|entry| entry.size).sum(),
        files: entries,
        eula_sha256: None,
        notes: format!("What is new in {version}."),
        license: None,
    };
    let json = serde_json::to_vec(&manifest).unwrap();
    let mut tar = tar::Builder::new(zstd::Encoder::new(vec![], 1).unwrap());
    add(&mut tar, "manifest.json", 0o644, &json);
    for ((path, content), entry) in files.iter().zip(&manifest.files) {
        add(&mut tar, path, entry.mode, content);
    }
    let bytes = tar.into_inner().unwrap().finish().unwrap();
    let target = format!("{kind}/{kind}-{version}-r{revision}-{}.pkg", std::env::consts::ARCH);
    Built { manifest, target, bytes }
}

fn add(
    tar: &mut tar::Builder<zstd::Encoder<'static, Vec<u8>>>,
    path: &str,
    mode: u32,
    content: &[u8],
) {
    let mut header = tar::Header::new_ustar();
    header.set_path(path).unwrap();
    header.set_size(content.len() as u64);
    header.set_mode(mode);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    tar.append(&header, content).unwrap();
}
