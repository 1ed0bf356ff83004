//! The two places on disk that hold a version of the agent.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use model::Release;
use release::ClientBuild;
use serde::{Deserialize, Serialize};

use crate::os;

/// One of the two places that hold a version of the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Slot {
    /// `slots/a`.
    A,
    /// `slots/b`.
    B,
}

impl Slot {
    /// The one that is not this one.
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }
}

/// What a slot holds: its `manifest.json`, also kept in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// Which release.
    pub release: Release,
    /// SHA-256 of the program file in lower-case hexadecimal digits.
    pub sha256: String,
}

/// The two slots of one data folder.
#[derive(Debug, Clone)]
pub struct Slots {
    data: PathBuf,
}

impl Slots {
    /// The slots below that data folder.
    pub fn new(data: &Path) -> Self {
        Self { data: data.to_owned() }
    }

    fn folder(&self, slot: Slot) -> PathBuf {
        self.data.join("slots").join(slot.name())
    }

    /// Where the program of a slot lies.
    pub fn program(&self, slot: Slot) -> PathBuf {
        self.folder(slot).join(if cfg!(windows) { "sluis-agent.exe" } else { "sluis-agent" })
    }

    /// Copies a program into a slot, durably, and says what it now holds.
    ///
    /// The file that was there is replaced by renaming, so a process that still runs from it goes on.
    /// `release` is what signed metadata says; without it the program's own stamp counts.
    pub fn install(
        &self,
        slot: Slot,
        from: &Path,
        release: Option<Release>,
    ) -> io::Result<Installed> {
        let folder = self.folder(slot);
        os::create_private_folder(&folder)?;
        let program = self.program(slot);
        let temporary = folder.join("sluis-agent.new");
        let mut file = os::create(&temporary, 0o700)?;
        let length = File::open(from)?.metadata()?.len();
        reserve(&file, length)?;
        io::copy(&mut File::open(from)?, &mut file)?;
        file.flush()?;
        file.sync_all()?;
        drop(file);
        let release = release.map_or_else(|| release_of(&temporary), Ok)?;
        let installed = Installed { release, sha256: sha256_of(&temporary)? };
        std::fs::rename(&temporary, &program)?;
        os::replace_file(&folder.join("manifest.json"), &serde_json::to_vec_pretty(&installed)?)?;
        Ok(installed)
    }

    /// What a slot says that it holds; `None` when it holds nothing usable.
    pub fn installed(&self, slot: Slot) -> Option<Installed> {
        let text = std::fs::read(self.folder(slot).join("manifest.json")).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Whether the program in a slot is still the one that was installed.
    pub fn check(&self, slot: Slot, installed: &Installed) -> io::Result<()> {
        if sha256_of(&self.program(slot))? == installed.sha256 {
            return Ok(());
        }
        let text = format!("its file in slot {} is damaged", slot.name());
        Err(io::Error::new(io::ErrorKind::InvalidData, text))
    }
}

/// Takes the room first, so that a full disk is known before anything is written.
fn reserve(file: &File, length: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if length > 0 {
        let flags = rustix::fs::FallocateFlags::empty();
        match rustix::fs::fallocate(file, flags, 0, length) {
            // Not every file system can; then the copy itself finds out.
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
            Err(e) => return Err(e.into()),
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file, length);
    Ok(())
}

/// The release that a program file is stamped with; that of this build when it has no stamp.
pub fn release_of(path: &Path) -> io::Result<Release> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(release::STAMP_BYTES_MAX as u64)))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    Ok(ClientBuild::read_stamp(&tail)
        .map_or_else(crate::built_release, |(build, _)| build.release()))
}

fn sha256_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => context.update(&buffer[..count]),
        }
    }
    Ok(release::to_hex(context.finish().as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_holds_what_was_installed_and_notices_damage() {
        let dir = tempfile::tempdir().expect("a folder");
        let program = dir.path().join("program");
        std::fs::write(&program, b"#!/bin/sh\n").expect("written");
        let slots = Slots::new(dir.path());
        assert_eq!(slots.installed(Slot::A), None);
        let installed = slots.install(Slot::A, &program, None).expect("installed");
        assert_eq!(slots.installed(Slot::A), Some(installed.clone()));
        assert_eq!(installed.release, crate::built_release());
        slots.check(Slot::A, &installed).expect("whole");
        std::fs::write(slots.program(Slot::A), b"#!/bin/xx\n").expect("written");
        let error = slots.check(Slot::A, &installed).expect_err("damaged");
        assert!(error.to_string().contains("slot a is damaged"), "{error}");
    }
}
