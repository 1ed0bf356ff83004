//! Downloading targets, resumable and verified.

use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};

use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tuf::{CheckedTarget, TargetChecker, VerifiedTarget};

use crate::client::Client;
use crate::disk;
use crate::error::Error;
use crate::repository::{Place, Repository};

/// A broken download goes on by itself as long as every try brings so many bytes.
const PROGRESS_MIN: u64 = 4096;

/// A target on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downloaded {
    /// The proof that the file held the target's bytes when it was written or read just now.
    pub checked: CheckedTarget,
    /// The file.
    pub path: PathBuf,
}

/// Reads a file and proves that it holds the target's bytes.
///
/// # Errors
/// When it does not, or cannot be read.
pub async fn verify_file(target: &VerifiedTarget, path: &Path) -> Result<CheckedTarget, Error> {
    let mut checker = target.checker();
    let mut file = File::open(path).await.map_err(at(path))?;
    read_into(&mut checker, &mut file, path).await?;
    Ok(checker.finish()?)
}

impl<R: Repository> Client<R> {
    /// Downloads a target into a directory, under [`VerifiedTarget::file_name`].
    ///
    /// What came before a break is kept beside it and taken up by the next call. `progress` hears
    /// how many bytes are there. Bytes past the signed length are never written. The file appears
    /// under its name only when it is whole, verified and on disk.
    ///
    /// # Errors
    /// [`Error::Fetch`] when the connection breaks or is too slow, [`Error::Refused`] when the
    /// bytes are not those that were signed: then they are removed.
    pub async fn download(
        &self,
        target: &VerifiedTarget,
        directory: &Path,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<Downloaded, Error> {
        fs::create_dir_all(directory).await.map_err(at(directory))?;
        let path = directory.join(target.file_name());
        if let Ok(checked) = verify_file(target, &path).await {
            progress(target.length());
            return Ok(Downloaded { checked, path });
        }
        let mut part = Part::open(target, directory).await?;
        let mut resumed = part.length() > 0;
        loop {
            let before = part.length();
            match self.fetch_part(target, &mut part, progress).await {
                Ok(()) => {}
                Err(Error::Fetch { .. }) if part.length() >= before + PROGRESS_MIN => continue,
                Err(error @ Error::Fetch { .. }) => {
                    part.keep().await?;
                    return Err(error);
                }
                // What was kept may have been damaged: once more from the beginning.
                Err(Error::Refused(_)) if resumed => {}
                Err(error) => {
                    part.discard().await?;
                    return Err(error);
                }
            }
            match part.finish(&path).await {
                Ok(checked) => return Ok(Downloaded { checked, path }),
                Err(Error::Refused(_)) if resumed => {
                    part.restart(target).await?;
                    resumed = false;
                }
                Err(error) => {
                    part.discard().await?;
                    return Err(error);
                }
            }
        }
    }

    /// Fetches what is missing of a target.
    async fn fetch_part(
        &self,
        target: &VerifiedTarget,
        part: &mut Part,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<(), Error> {
        if part.length() == target.length() && target.length() > 0 {
            return Ok(());
        }
        let place = Place::Target(target.path().to_owned());
        let broken = |source| Error::Fetch { place: place.clone(), source };
        let opened = self.pace.open(&self.repository, &place, part.length()).await;
        let mut body = opened.map_err(broken)?;
        if body.from() != part.length() {
            part.restart(target).await?;
        }
        while let Some(bytes) = body.next().await.map_err(broken)? {
            part.write(&bytes).await?;
            progress(part.length());
        }
        if part.length() < target.length() {
            let reason = format!("it ended after {} of {} bytes", part.length(), target.length());
            return Err(broken(crate::FetchError::broken(reason)));
        }
        Ok(())
    }
}

/// A target that is on its way.
struct Part {
    directory: PathBuf,
    path: PathBuf,
    file: File,
    checker: TargetChecker,
}

impl Part {
    /// Takes up what is there of a target; the hash in its name keeps other content apart.
    async fn open(target: &VerifiedTarget, directory: &Path) -> Result<Self, Error> {
        let name = format!(".{}.{}.part", target.file_name(), &target.sha256_hex()[..16]);
        let path = directory.join(name);
        let options =
            || File::options().create(true).truncate(false).read(true).write(true).clone();
        let mut file = options().open(&path).await.map_err(at(&path))?;
        let mut checker = target.checker();
        if read_into(&mut checker, &mut file, &path).await.is_err() {
            // Longer than the target: not the beginning of it.
            checker = target.checker();
            file.set_len(0).await.map_err(at(&path))?;
            file.seek(SeekFrom::Start(0)).await.map_err(at(&path))?;
        }
        Ok(Self { directory: directory.into(), path, file, checker })
    }

    fn length(&self) -> u64 {
        self.checker.length()
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.checker.update(bytes)?;
        self.file.write_all(bytes).await.map_err(at(&self.path))
    }

    async fn restart(&mut self, target: &VerifiedTarget) -> Result<(), Error> {
        self.checker = target.checker();
        self.file.set_len(0).await.map_err(at(&self.path))?;
        self.file.seek(SeekFrom::Start(0)).await.map_err(at(&self.path))?;
        Ok(())
    }

    /// Lets what is there stay for the next call.
    async fn keep(&mut self) -> Result<(), Error> {
        self.file.flush().await.map_err(at(&self.path))
    }

    async fn discard(self) -> Result<(), Error> {
        drop(self.file);
        fs::remove_file(&self.path).await.map_err(at(&self.path))
    }

    /// Puts the whole file under its name.
    async fn finish(&mut self, path: &Path) -> Result<CheckedTarget, Error> {
        let checked = self.checker.clone().finish()?;
        self.file.flush().await.map_err(at(&self.path))?;
        self.file.sync_all().await.map_err(at(&self.path))?;
        fs::rename(&self.path, path).await.map_err(at(path))?;
        disk::sync_directory(&self.directory).map_err(at(&self.directory))?;
        Ok(checked)
    }
}

async fn read_into(checker: &mut TargetChecker, file: &mut File, path: &Path) -> Result<(), Error> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer).await.map_err(at(path))? {
            0 => return Ok(()),
            length => checker.update(&buffer[..length])?,
        }
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Disk { path, source }
}
