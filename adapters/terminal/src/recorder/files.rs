//! The two files of a recording on disk, and the lock that says whose they are.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use model::SessionId;

use super::{RecorderError, failed};
use crate::chain::{RECORD_LEN, Record};

#[derive(Debug)]
pub(super) struct Files {
    pub(super) cast: File,
    pub(super) cast_path: PathBuf,
    pub(super) chain: File,
    pub(super) chain_path: PathBuf,
}

/// What to do when a file is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Create,
    Refuse,
}

impl Files {
    pub(super) fn open(
        dir: &Path,
        session: SessionId,
        missing: Missing,
    ) -> Result<Self, RecorderError> {
        let (cast_path, chain_path) = paths(dir, session);
        let chain = open(&chain_path, dir, session, missing)?;
        match chain.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(RecorderError::HeldElsewhere(session)),
            Err(TryLockError::Error(source)) => return Err(failed("lock", &chain_path, source)),
        }
        // Only now: a file is opened for writing by the holder of the lock alone.
        let cast = open(&cast_path, dir, session, missing)?;
        Ok(Self { cast, cast_path, chain, chain_path })
    }

    pub(super) fn record_count(&mut self) -> Result<u64, RecorderError> {
        let len = self.chain.metadata().map_err(|e| failed("read", &self.chain_path, e))?.len();
        Ok(len / RECORD_LEN as u64)
    }

    pub(super) fn record_at(&mut self, number: u64) -> Result<Option<Record>, RecorderError> {
        let mut bytes = [0; RECORD_LEN];
        let at = SeekFrom::Start(number * RECORD_LEN as u64);
        let mut read = || -> io::Result<()> {
            self.chain.seek(at)?;
            self.chain.read_exact(&mut bytes)
        };
        read().map_err(|e| failed("read", &self.chain_path, e))?;
        Ok(Record::decode(&bytes).filter(|record| record.number == number))
    }

    /// Cuts both files to that length and goes to their ends.
    pub(super) fn truncate(&mut self, cast_len: u64, chain_len: u64) -> Result<(), RecorderError> {
        let cut = |file: &mut File, len: u64| -> io::Result<()> {
            // Even a cut that changes nothing waits for the file system's journal.
            if file.metadata()?.len() != len {
                file.set_len(len)?;
            }
            file.seek(SeekFrom::Start(len)).map(drop)
        };
        cut(&mut self.cast, cast_len).map_err(|e| failed("cut", &self.cast_path, e))?;
        cut(&mut self.chain, chain_len).map_err(|e| failed("cut", &self.chain_path, e))
    }

    pub(super) fn write(&mut self, bytes: &[u8], record: &Record) -> Result<(), RecorderError> {
        self.cast.write_all(bytes).map_err(|e| failed("write", &self.cast_path, e))?;
        self.chain.write_all(&record.encode()).map_err(|e| failed("write", &self.chain_path, e))
    }

    pub(super) fn sync(&self) -> Result<(), RecorderError> {
        self.cast.sync_data().map_err(|e| failed("sync", &self.cast_path, e))?;
        self.chain.sync_data().map_err(|e| failed("sync", &self.chain_path, e))
    }
}

fn open(
    path: &Path,
    dir: &Path,
    session: SessionId,
    missing: Missing,
) -> Result<File, RecorderError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(missing == Missing::Create).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|source| {
        if source.kind() == io::ErrorKind::NotFound && missing == Missing::Refuse {
            let reason = "a file of it is not there";
            return RecorderError::Missing { session, dir: dir.to_owned(), reason };
        }
        failed("open", path, source)
    })
}

/// Where the recording of a session and its chain lie.
pub fn paths(dir: &Path, session: SessionId) -> (PathBuf, PathBuf) {
    (dir.join(format!("{session}.cast")), dir.join(format!("{session}.chain")))
}
