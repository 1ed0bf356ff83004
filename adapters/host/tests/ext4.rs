//! The power goes for real: ext4 on a loop device is shut down without its log being flushed, then mounted again.
//!
//! It needs root, a free loop device, and `mkfs.ext4`. Where one is missing the test says which, and passes: the model
//! of a disk in `power_cut.rs` cuts at the same points everywhere.

mod common;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::appliance::{Appliance, STORIES, Story, set_up};
use model::PackageKind;
use sluis_host::{Fs, RealFs};

/// A file system in a file.
struct Disk {
    dir: tempfile::TempDir,
}

impl Disk {
    fn new() -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("it needs root".into());
        }
        let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        let image = dir.path().join("image");
        File::create(&image)
            .and_then(|f| f.set_len(64 << 20))
            .map_err(|error| error.to_string())?;
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image))?;
        std::fs::create_dir(dir.path().join("mount")).map_err(|error| error.to_string())?;
        let disk = Self { dir };
        disk.mount()?;
        Ok(disk)
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("mount")
    }

    fn mount(&self) -> Result<(), String> {
        let image = self.dir.path().join("image");
        run(Command::new("mount").args(["-o", "loop"]).arg(image).arg(self.path()))
    }

    fn unmount(&self) -> Result<(), String> {
        run(Command::new("umount").arg(self.path()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.unmount();
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// The real disk, whose power goes after so many changes.
#[derive(Clone)]
struct CutFs {
    mount: PathBuf,
    steps: Arc<AtomicU64>,
    cut_at: u64,
}

impl CutFs {
    fn new(mount: &Path, cut_at: u64) -> Self {
        Self { mount: mount.to_owned(), steps: Arc::default(), cut_at }
    }

    fn changed(&self) -> io::Result<()> {
        let steps = self.steps.fetch_add(1, Ordering::Relaxed);
        if steps == self.cut_at {
            power_off(&self.mount)?;
        }
        if steps >= self.cut_at { Err(io::Error::other("the power is gone")) } else { Ok(()) }
    }
}

fn power_off(mount: &Path) -> io::Result<()> {
    // EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH.
    type Shutdown = rustix::ioctl::Setter<0x8004_587d, u32>;
    let mount = File::open(mount)?;
    // SAFETY: the operation reads one `u32`, which is what the setter passes.
    unsafe { rustix::ioctl::ioctl(&mount, Shutdown::new(2)) }?;
    Ok(())
}

impl Fs for CutFs {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        RealFs.read(path)
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        RealFs.open(path)
    }
    fn write(&self, path: &Path, mode: u32, content: &mut dyn Read) -> io::Result<u64> {
        self.changed().and_then(|()| RealFs.write(path, mode, content))
    }
    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.changed().and_then(|()| RealFs.append(path, bytes))
    }
    fn truncate(&self, path: &Path, length: u64) -> io::Result<()> {
        self.changed().and_then(|()| RealFs.truncate(path, length))
    }
    fn reserve(&self, path: &Path, length: u64) -> io::Result<()> {
        self.changed().and_then(|()| RealFs.reserve(path, length))
    }
    fn sync(&self, path: &Path) -> io::Result<()> {
        self.changed().and_then(|()| RealFs.sync(path))
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.changed().and_then(|()| RealFs.sync_dir(path))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.changed().and_then(|()| RealFs.rename(from, to))
    }
    fn symlink(&self, target: &Path, path: &Path) -> io::Result<()> {
        self.changed().and_then(|()| RealFs.symlink(target, path))
    }
    fn read_link(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        RealFs.read_link(path)
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.changed().and_then(|()| RealFs.create_dir(path))
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.changed().and_then(|()| RealFs.remove_file(path))
    }
    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        self.changed().and_then(|()| RealFs.remove_tree(path))
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        RealFs.list(path)
    }
    fn exists(&self, path: &Path) -> bool {
        RealFs.exists(path)
    }
}

#[test]
fn a_real_power_cut_at_every_step_is_made_good() {
    // req: UPD-08
    let disk = match Disk::new() {
        Ok(disk) => disk,
        Err(lack) => {
            println!("No file system could be cut off here: {lack}");
            return;
        }
    };
    let mut cuts = 0;
    for story in STORIES {
        for cut in 0.. {
            if !cut_once(&disk, story, cut) {
                break;
            }
            cuts += 1;
        }
    }
    println!("{cuts} real power cuts survived");
    assert!(cuts >= 100);
}

/// Cuts once; answers whether there was anything left to cut.
fn cut_once(disk: &Disk, story: Story, cut: u64) -> bool {
    let (kind, data) = (PackageKind::Site, disk.path().join("data"));
    RealFs.remove_tree(&data).expect("a disk");
    set_up(&RealFs, &data, kind, story);
    rustix::fs::sync();
    let fs = CutFs::new(&disk.path(), cut);
    let ended = Appliance::start(fs, &data, kind, story).and_then(|mut a| a.run());
    if ended.is_ok() {
        return false;
    }
    disk.unmount().expect("a dead file system can be unmounted");
    disk.mount().expect("it can be mounted again");
    let mut appliance = Appliance::start(RealFs, &data, kind, story)
        .unwrap_or_else(|error| panic!("{story:?} cut at {cut}: {error}"));
    if let Err(error) = appliance.run() {
        panic!("{story:?} cut at {cut}: {error}");
    }
    appliance.check();
    true
}
