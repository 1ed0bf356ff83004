//! Packages as files: the same input always makes the same bytes.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use release::{FileEntry, Manifest, limits};
use tar::{EntryType, Header};

use crate::files;

/// First member of every package.
pub const MANIFEST: &str = "manifest.json";

/// A file that goes into a package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// Path in the package.
    pub path: String,
    /// Where its bytes come from.
    pub from: PathBuf,
}

/// Reads `bin/tool=target/debug/tool`.
pub fn parse_source(text: &str) -> Result<Source, String> {
    let (path, from) = text
        .split_once('=')
        .filter(|(path, from)| !path.is_empty() && !from.is_empty())
        .ok_or_else(|| format!("“{text}” is not PATH_IN_PACKAGE=FILE"))?;
    release::check_path(path).map_err(|error| error.to_string())?;
    Ok(Source { path: path.to_owned(), from: from.into() })
}

/// Sorts the files and lets a later one replace an earlier one of the same path.
pub fn ordered(sources: Vec<Source>) -> Vec<Source> {
    let by_path: std::collections::BTreeMap<String, PathBuf> =
        sources.into_iter().map(|source| (source.path, source.from)).collect();
    by_path.into_iter().map(|(path, from)| Source { path, from }).collect()
}

/// What the manifest says of the files, which are in order.
pub fn entries(sources: &[Source]) -> Result<Vec<FileEntry>> {
    sources.iter().map(entry).collect()
}

fn entry(source: &Source) -> Result<FileEntry> {
    let (size, sha256) = files::hash_file(&source.from)?;
    // By place and not by the file's own bits: those differ from one machine to the next.
    let runs = source.path.starts_with("bin/") || source.path.starts_with("clients/");
    let mode = if runs { 0o755 } else { 0o644 };
    Ok(FileEntry { path: source.path.clone(), mode, size, sha256 })
}

/// Writes a package; `manifest` lists exactly `sources`, in order.
pub fn write(out: &Path, manifest: &Manifest, sources: &[Source], level: i32) -> Result<()> {
    manifest.check()?;
    let mut json = serde_json::to_vec_pretty(manifest)?;
    json.push(b'\n');
    ensure!(
        json.len() <= limits::MANIFEST_BYTES,
        "the manifest is longer than {} bytes",
        limits::MANIFEST_BYTES
    );
    files::write_with(out, |file| {
        let mut encoder = zstd::Encoder::new(BufWriter::new(file), level)?;
        encoder.include_checksum(true)?;
        let mut tar = tar::Builder::new(encoder);
        append(&mut tar, MANIFEST, 0o644, json.len() as u64, json.as_slice())?;
        for (source, entry) in sources.iter().zip(&manifest.files) {
            let file = BufReader::new(File::open(&source.from)?);
            append(&mut tar, &entry.path, entry.mode, entry.size, file.take(entry.size))?;
        }
        tar.into_inner()?.finish()?.flush()
    })?;
    // What was read while writing must be what was hashed before.
    read(out).map(drop).context("a file changed while the package was made: build it again")
}

fn append<W: Write>(
    tar: &mut tar::Builder<W>,
    path: &str,
    mode: u32,
    size: u64,
    content: impl Read,
) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_path(path)?;
    header.set_cksum();
    tar.append(&header, content)
}

/// Reads a whole package and checks every file in it; gives the manifest's own bytes too.
pub fn read(path: &Path) -> Result<(Manifest, Vec<u8>)> {
    let name = path.display();
    let file = File::open(path).with_context(|| format!("cannot read {name}"))?;
    let broken = || format!("{name} is no package");
    let decoder = zstd::Decoder::new(file).with_context(broken)?;
    let mut tar = tar::Archive::new(decoder.take(limits::INSTALLED_BYTES + (64 << 20)));
    let mut members = tar.entries().with_context(broken)?;
    let first = members.next().with_context(broken)?.with_context(broken)?;
    ensure!(
        first.path_bytes().as_ref() == MANIFEST.as_bytes(),
        "{name} does not begin with {MANIFEST}"
    );
    let mut json = Vec::new();
    first.take(limits::MANIFEST_BYTES as u64 + 1).read_to_end(&mut json).with_context(broken)?;
    let manifest = Manifest::parse(&json).with_context(|| format!("{name} is refused"))?;
    let mut expected = manifest.files.iter();
    for member in members {
        let member = member.with_context(broken)?;
        let Some(entry) = expected.next() else {
            bail!("{name} has more files than its manifest names")
        };
        check_member(member, entry).with_context(|| format!("{name} is refused"))?;
    }
    if let Some(missing) = expected.next() {
        bail!("{name} lacks {}, which its manifest names", missing.path);
    }
    Ok((manifest, json))
}

fn check_member(member: tar::Entry<'_, impl Read>, entry: &FileEntry) -> Result<()> {
    let found = String::from_utf8_lossy(&member.path_bytes()).into_owned();
    ensure!(found == entry.path, "{found} stands where {} should", entry.path);
    ensure!(member.header().entry_type() == EntryType::Regular, "{found} is no plain file");
    ensure!(
        member.header().mode()? == entry.mode,
        "{found} has another mode than the manifest says"
    );
    let (size, sha256) = files::hash_reader(member)?;
    ensure!(
        (size, sha256) == (entry.size, entry.sha256),
        "{found} has other bytes than the manifest says"
    );
    Ok(())
}
