//! A disk in memory that forgets what was not synchronised.
//!
//! Harsher than a real one: bytes come to stable storage only by `sync` of their file, names only by `sync_dir` of
//! their directory. After a power cut each directory keeps some prefix of what was done to it since, and each file
//! some prefix of what was written, perhaps with a damaged last byte.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Fs;

type Id = u64;
type Names = BTreeMap<String, Id>;

#[derive(Debug, Clone)]
enum Node {
    File {
        bytes: Vec<u8>,
        durable: Option<Vec<u8>>,
    },
    Link(PathBuf),
    /// The names now, and what they were after each change since the last `sync_dir` (the first is durable).
    Dir {
        names: Names,
        history: Vec<Names>,
    },
}

#[derive(Debug, Clone)]
struct Disk {
    nodes: BTreeMap<Id, Node>,
    next: Id,
    steps: u64,
    cut_at: Option<u64>,
}

/// A disk in memory for tests of power cuts.
#[derive(Debug, Clone)]
pub struct ModelFs(Arc<Mutex<Disk>>);

impl Default for ModelFs {
    fn default() -> Self {
        let root = Node::Dir { names: Names::new(), history: vec![Names::new()] };
        let nodes = BTreeMap::from([(0, root)]);
        Self(Arc::new(Mutex::new(Disk { nodes, next: 1, steps: 0, cut_at: None })))
    }
}

impl ModelFs {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the power go when that many more changes have been made: from then on everything fails.
    pub fn cut_after(&self, steps: u64) {
        let mut disk = self.disk();
        disk.cut_at = Some(disk.steps + steps);
    }

    /// Changes made so far.
    pub fn steps(&self) -> u64 {
        self.disk().steps
    }

    /// Whether the power went.
    pub fn is_cut(&self) -> bool {
        let disk = self.disk();
        disk.cut_at.is_some_and(|at| disk.steps >= at)
    }

    /// The disk as it is found when power comes back; the seed chooses what of the unsynchronised was kept.
    pub fn restart(&self, seed: u64) -> Self {
        let mut disk = self.disk().clone();
        let mut choice = Choice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        for node in disk.nodes.values_mut() {
            match node {
                Node::File { bytes, durable } => {
                    *bytes = survived(bytes, durable.as_deref(), &mut choice);
                    *durable = Some(bytes.clone());
                }
                Node::Dir { names, history } => {
                    *names = history[choice.below(history.len())].clone();
                    *history = vec![names.clone()];
                }
                Node::Link(_) => {}
            }
        }
        disk.cut_at = None;
        Self(Arc::new(Mutex::new(disk)))
    }
}

fn survived(bytes: &[u8], durable: Option<&[u8]>, choice: &mut Choice) -> Vec<u8> {
    let durable = durable.unwrap_or_default();
    if durable == bytes {
        return bytes.to_vec();
    }
    match choice.below(3) {
        0 => durable.to_vec(),
        1 => bytes.to_vec(),
        _ => {
            let from = if bytes.starts_with(durable) { durable.len() } else { 0 };
            let mut torn = bytes[..from + choice.below(bytes.len() - from + 1)].to_vec();
            if let Some(last) = torn.get_mut(from..).and_then(<[u8]>::last_mut) {
                *last ^= u8::from(choice.below(2) == 1) * 0x20;
            }
            torn
        }
    }
}

/// A small generator of choices: the same seed chooses the same.
struct Choice(u64);

impl Choice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % n.max(1) as u64).unwrap_or(0)
    }
}

fn gone() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

fn parts(path: &Path) -> Vec<String> {
    let mut parts = vec![];
    for part in path.components() {
        match part {
            Component::Normal(name) => parts.push(name.to_string_lossy().into_owned()),
            Component::ParentDir => drop(parts.pop()),
            _ => {}
        }
    }
    parts
}

impl Disk {
    fn changed(&mut self) -> io::Result<()> {
        if self.cut_at.is_some_and(|at| self.steps >= at) {
            return Err(io::Error::other("the power is gone"));
        }
        self.steps += 1;
        Ok(())
    }

    fn powered(&self) -> io::Result<()> {
        if self.cut_at.is_some_and(|at| self.steps >= at) {
            return Err(io::Error::other("the power is gone"));
        }
        Ok(())
    }

    fn find(&self, path: &Path) -> Option<Id> {
        parts(path).iter().try_fold(0, |id, name| match self.nodes.get(&id)? {
            Node::Dir { names, .. } => names.get(name).copied(),
            _ => None,
        })
    }

    fn dir_of(&self, path: &Path) -> io::Result<(Id, String)> {
        let mut all = parts(path);
        let name = all.pop().ok_or_else(gone)?;
        let dir = self.find(&all.iter().collect::<PathBuf>()).ok_or_else(gone)?;
        Ok((dir, name))
    }

    fn names(&self, id: Id) -> io::Result<&Names> {
        match self.nodes.get(&id) {
            Some(Node::Dir { names, .. }) => Ok(names),
            _ => Err(io::Error::from(io::ErrorKind::NotADirectory)),
        }
    }

    fn rewrite(&mut self, id: Id, change: impl FnOnce(&mut Names)) -> io::Result<()> {
        match self.nodes.get_mut(&id) {
            Some(Node::Dir { names, history }) => {
                change(names);
                history.push(names.clone());
                Ok(())
            }
            _ => Err(io::Error::from(io::ErrorKind::NotADirectory)),
        }
    }

    fn add(&mut self, path: &Path, node: Node) -> io::Result<Id> {
        let (dir, name) = self.dir_of(path)?;
        let id = self.next;
        self.next += 1;
        self.nodes.insert(id, node);
        self.rewrite(dir, |names| {
            names.insert(name, id);
        })?;
        Ok(id)
    }

    fn file(&mut self, path: &Path) -> io::Result<&mut Vec<u8>> {
        let id = match self.find(path) {
            Some(id) => id,
            None => self.add(path, Node::File { bytes: vec![], durable: None })?,
        };
        match self.nodes.get_mut(&id) {
            Some(Node::File { bytes, .. }) => Ok(bytes),
            _ => Err(io::Error::from(io::ErrorKind::IsADirectory)),
        }
    }
}

impl Fs for ModelFs {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let disk = self.disk();
        disk.powered()?;
        match disk.find(path).and_then(|id| disk.nodes.get(&id)) {
            Some(Node::File { bytes, .. }) => Ok(bytes.clone()),
            _ => Err(gone()),
        }
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(io::Cursor::new(self.read(path)?)))
    }

    fn write(&self, path: &Path, _mode: u32, content: &mut dyn Read) -> io::Result<u64> {
        let mut all = vec![];
        content.read_to_end(&mut all)?;
        let mut disk = self.disk();
        disk.changed()?;
        let length = all.len() as u64;
        *disk.file(path)? = all;
        Ok(length)
    }

    fn append(&self, path: &Path, more: &[u8]) -> io::Result<()> {
        let mut disk = self.disk();
        disk.changed()?;
        disk.file(path)?.extend_from_slice(more);
        Ok(())
    }

    fn truncate(&self, path: &Path, length: u64) -> io::Result<()> {
        let mut disk = self.disk();
        disk.changed()?;
        disk.file(path)?.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        Ok(())
    }

    fn reserve(&self, path: &Path, _length: u64) -> io::Result<()> {
        let mut disk = self.disk();
        disk.changed()?;
        disk.file(path).map(drop)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.changed()?;
        let id = disk.find(path).ok_or_else(gone)?;
        if let Some(Node::File { bytes, durable }) = disk.nodes.get_mut(&id) {
            *durable = Some(bytes.clone());
        }
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.changed()?;
        let id = disk.find(path).ok_or_else(gone)?;
        if let Some(Node::Dir { names, history }) = disk.nodes.get_mut(&id) {
            *history = vec![names.clone()];
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.changed()?;
        let (old_dir, old) = disk.dir_of(from)?;
        let (new_dir, new) = disk.dir_of(to)?;
        let id = disk.names(old_dir)?.get(&old).copied().ok_or_else(gone)?;
        if old_dir == new_dir {
            return disk.rewrite(old_dir, |names| {
                names.remove(&old);
                names.insert(new, id);
            });
        }
        disk.rewrite(new_dir, |names| {
            names.insert(new, id);
        })?;
        disk.rewrite(old_dir, |names| {
            names.remove(&old);
        })
    }

    fn symlink(&self, target: &Path, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.changed()?;
        disk.add(path, Node::Link(target.to_owned())).map(drop)
    }

    fn read_link(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        let disk = self.disk();
        disk.powered()?;
        Ok(match disk.find(path).and_then(|id| disk.nodes.get(&id)) {
            Some(Node::Link(target)) => Some(target.clone()),
            _ => None,
        })
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        if disk.find(path).is_some() {
            return Ok(());
        }
        disk.changed()?;
        let node = Node::Dir { names: Names::new(), history: vec![Names::new()] };
        disk.add(path, node).map(drop)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        if disk.find(path).is_none() {
            return disk.powered();
        }
        disk.changed()?;
        let (dir, name) = disk.dir_of(path)?;
        disk.rewrite(dir, |names| {
            names.remove(&name);
        })
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        self.remove_file(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let disk = self.disk();
        disk.powered()?;
        match disk.find(path) {
            Some(id) => Ok(disk.names(id)?.keys().cloned().collect()),
            None => Ok(vec![]),
        }
    }

    fn exists(&self, path: &Path) -> bool {
        self.disk().find(path).is_some()
    }
}
