//! One archive into one slot, believing nothing that it says.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use release::{FileEntry, Manifest, Sha256, limits};

use crate::digest::Hashing;
use crate::{Fs, SlotError, Slots, failpoint};

/// What the archive may hold beyond its files: headers and padding.
const OVERHEAD: u64 = 16 << 20;

pub fn unpack<F: Fs>(
    slots: &Slots<F>,
    manifest: &Manifest,
    hash: Sha256,
    archive: &Path,
) -> Result<(), SlotError> {
    let slot = slots.path(hash);
    if slots.fs.exists(&slot) {
        return Ok(());
    }
    let work = Work {
        fs: &slots.fs,
        manifest,
        name: hash.to_string(),
        dir: slots.root.join("packages").join(format!(".{hash}.new")),
        dirs: BTreeSet::new(),
    };
    let packages = slots.root.join("packages");
    work.disk(&packages, slots.fs.create_dir(&packages))?;
    work.disk(&slots.root, slots.fs.sync_dir(&slots.root))?;
    work.disk(&work.dir, slots.fs.remove_tree(&work.dir))?;
    let result = work.run(archive, hash, &slot, &packages);
    if result.is_err() {
        // What a failed try left must not fill the disk.
        let _ = slots.fs.remove_tree(&packages.join(format!(".{hash}.new")));
    }
    result
}

/// The manifest and the headers around it.
const FIRST_MEMBER_MAX: u64 = limits::MANIFEST_BYTES as u64 + 64 * 1024;

/// The bytes of the manifest that an archive begins with.
pub fn manifest_of<F: Fs>(fs: &F, archive: &Path) -> Result<Vec<u8>, SlotError> {
    let disk = |source| SlotError::Disk { path: archive.to_owned(), source };
    let broken = |error: io::Error| SlotError::Package {
        package: archive.display().to_string(),
        reason: format!("it is no package: {error}"),
    };
    let file = fs.open(archive).map_err(disk)?;
    // A header can claim a name of gigabytes; what comes before the manifest's end is small.
    let unpacked = zstd::Decoder::new(file).map_err(broken)?.take(FIRST_MEMBER_MAX);
    let mut tar = tar::Archive::new(unpacked);
    let first = tar.entries().map_err(broken)?.next().transpose().map_err(broken)?;
    let first = first.filter(|entry| &*entry.path_bytes() == b"manifest.json");
    let first = first.ok_or_else(|| broken(io::Error::other("its first member is no manifest")))?;
    let mut json = vec![];
    first.take(limits::MANIFEST_BYTES as u64 + 1).read_to_end(&mut json).map_err(broken)?;
    Ok(json)
}

struct Work<'a, F> {
    fs: &'a F,
    manifest: &'a Manifest,
    name: String,
    dir: PathBuf,
    dirs: BTreeSet<PathBuf>,
}

impl<F: Fs> Work<'_, F> {
    fn run(
        mut self,
        archive: &Path,
        hash: Sha256,
        slot: &Path,
        packages: &Path,
    ) -> Result<(), SlotError> {
        self.reserve()?;
        self.point("unpack-reserved")?;
        let file = self.disk(archive, self.fs.open(archive))?;
        let mut hashing = Hashing::new(file);
        self.extract(&mut hashing)?;
        // Bytes after the archive's end belong to the signed file too.
        self.disk(archive, io::copy(&mut hashing, &mut io::sink()))?;
        if hashing.finish().0 != hash {
            return Err(self.wrong("its hash differs"));
        }
        self.point("unpack-before-sync")?;
        self.sync()?;
        self.point("unpack-before-rename")?;
        self.disk(slot, self.fs.rename(&self.dir, slot))?;
        self.point("unpack-after-rename")?;
        self.disk(packages, self.fs.sync_dir(packages))
    }

    /// Makes every file with its blocks, so that a disk that is too small says so before anything is written.
    fn reserve(&mut self) -> Result<(), SlotError> {
        self.make_dir(self.dir.clone())?;
        for file in &self.manifest.files {
            let path = self.dir.join(&file.path);
            let mut missing = vec![];
            let mut parent = path.parent();
            while let Some(dir) = parent.filter(|dir| *dir != self.dir) {
                missing.push(dir.to_owned());
                parent = dir.parent();
            }
            for dir in missing.into_iter().rev() {
                self.make_dir(dir)?;
            }
            self.disk(&path, self.fs.reserve(&path, file.size))?;
        }
        Ok(())
    }

    fn make_dir(&mut self, dir: PathBuf) -> Result<(), SlotError> {
        if self.dirs.insert(dir.clone()) {
            self.disk(&dir, self.fs.create_dir(&dir))?;
        }
        Ok(())
    }

    fn extract(&self, reader: &mut dyn Read) -> Result<(), SlotError> {
        let broken = |error: io::Error| self.wrong(&format!("it cannot be read: {error}"));
        let bound = self.manifest.size_installed + OVERHEAD;
        let decoder = zstd::Decoder::new(reader).map_err(broken)?.take(bound);
        let mut tar = tar::Archive::new(decoder);
        let mut expected = self.manifest.files.iter();
        for (at, entry) in tar.entries().map_err(broken)?.enumerate() {
            let entry = entry.map_err(broken)?;
            if at == 0 {
                self.manifest_entry(entry)?;
            } else {
                let file = expected.next().ok_or_else(|| self.wrong("it holds too many files"))?;
                self.file(entry, file)?;
            }
        }
        match expected.next() {
            Some(file) => Err(self.wrong(&format!("{} is missing", file.path))),
            None => Ok(()),
        }
    }

    fn manifest_entry(&self, entry: tar::Entry<'_, impl Read>) -> Result<(), SlotError> {
        if &*entry.path_bytes() != b"manifest.json" {
            return Err(self.wrong("its first member is not manifest.json"));
        }
        let mut json = vec![];
        let mut bounded = entry.take(limits::MANIFEST_BYTES as u64 + 1);
        self.disk(&self.dir, bounded.read_to_end(&mut json))?;
        if &Manifest::parse(&json)? != self.manifest {
            return Err(self.wrong("its manifest.json differs from the signed one"));
        }
        let path = self.dir.join("manifest.json");
        self.disk(&path, self.fs.write(&path, 0o444, &mut &*json)).map(drop)
    }

    fn file(&self, entry: tar::Entry<'_, impl Read>, file: &FileEntry) -> Result<(), SlotError> {
        let header = entry.header();
        let plain = header.entry_type().is_file();
        let mode = header.mode().unwrap_or(0);
        if !plain || &*entry.path_bytes() != file.path.as_bytes() {
            return Err(self.wrong(&format!("{} is not where it belongs", file.path)));
        }
        if header.size().ok() != Some(file.size) || mode != file.mode {
            return Err(self.wrong(&format!("{} has another size or mode", file.path)));
        }
        let path = self.dir.join(&file.path);
        let mut hashing = Hashing::new(entry);
        self.disk(&path, self.fs.write(&path, file.mode & !0o222, &mut hashing))?;
        if hashing.finish() != (file.sha256, file.size) {
            return Err(self.wrong(&format!("{} has another hash", file.path)));
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), SlotError> {
        let names = self.manifest.files.iter().map(|file| file.path.as_str());
        for name in names.chain(["manifest.json"]) {
            let path = self.dir.join(name);
            self.disk(&path, self.fs.sync(&path))?;
        }
        self.dirs.iter().try_for_each(|dir| self.disk(dir, self.fs.sync_dir(dir)))
    }

    fn wrong(&self, reason: &str) -> SlotError {
        SlotError::Package { package: self.name.clone(), reason: reason.to_owned() }
    }

    fn point(&self, name: &str) -> Result<(), SlotError> {
        self.disk(&self.dir, failpoint(name))
    }

    fn disk<T>(&self, path: &Path, result: io::Result<T>) -> Result<T, SlotError> {
        result.map_err(|source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                SlotError::Full { path: path.to_owned(), needed: self.manifest.size_installed }
            }
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                self.wrong(&format!("it cannot be read: {source}"))
            }
            _ => SlotError::Disk { path: path.to_owned(), source },
        })
    }
}
