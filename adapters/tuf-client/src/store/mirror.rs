//! Passing the trusted metadata on, byte for byte.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tuf::schema::{self, MetaFile, Metadata};
use tuf::{Signed, role_file, versioned_role_file};

use super::{StoreError, TrustedStore, at};
use crate::disk;

/// How many versions of a file stay, for clients that are in the middle of a refresh.
const VERSIONS_KEPT: usize = 3;

impl TrustedStore {
    /// Writes what is trusted into a directory from which it can be served as a repository:
    /// every root, `timestamp.json`, and the other roles with their versions in their names.
    ///
    /// The timestamp comes last, so that at every moment the directory is a whole repository.
    ///
    /// # Errors
    /// When the last refresh did not end well, so that the parts do not belong together.
    pub fn export(&self, directory: &Path) -> Result<(), StoreError> {
        let files = self.mirror_files()?;
        fs::create_dir_all(directory).map_err(at(directory))?;
        for (name, content) in &files {
            let path = directory.join(name);
            let there = disk::read(directory, name).map_err(at(&path))?;
            if there.as_ref() != Some(content) {
                disk::replace(directory, name, content).map_err(at(&path))?;
            }
        }
        prune(directory)
    }

    /// The files of the mirror in the order in which they must appear.
    fn mirror_files(&self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let incomplete = |role: &str| StoreError::Incomplete(role.to_owned());
        let timestamp: schema::Timestamp = self.parsed()?;
        let snapshot: schema::Snapshot = self.parsed()?;
        let root: schema::Root = tuf::read_root(self.vault.root().unwrap_or_default())
            .map_err(|_| incomplete("root"))?;
        if timestamp.meta.get(schema::Timestamp::SNAPSHOT).map(|m| m.version)
            != Some(snapshot.version())
        {
            return Err(incomplete("snapshot"));
        }
        let mut files: Vec<(String, Vec<u8>)> = Vec::new();
        let roots = self.vault.roots.iter();
        files.extend(roots.map(|(n, bytes)| (versioned_role_file("root", *n), bytes.clone())));
        let mut add = |role: &str| {
            let entry = self.vault.roles.get(role).ok_or_else(|| incomplete(role))?;
            files.push((versioned_role_file(role, entry.version), entry.bytes.clone()));
            if !root.consistent_snapshot {
                files.push((role_file(role), entry.bytes.clone()));
            }
            Ok::<(), StoreError>(())
        };
        for role in self.current_roles(&snapshot.meta)? {
            add(&role)?;
        }
        add("snapshot")?;
        let timestamp = self.vault.roles.get("timestamp").ok_or_else(|| incomplete("timestamp"))?;
        files.push((role_file("timestamp"), timestamp.bytes.clone()));
        Ok(files)
    }

    /// The targets roles that are here in the version that the snapshot names; delegated roles
    /// that were never needed are not here at all.
    fn current_roles(&self, meta: &BTreeMap<String, MetaFile>) -> Result<Vec<String>, StoreError> {
        let is_current = |role: &str| {
            let named = meta.get(&format!("{role}.json")).map(|file| file.version);
            named.is_some() && named == self.vault.version(role)
        };
        if !is_current("targets") {
            return Err(StoreError::Incomplete("targets".into()));
        }
        Ok(self.vault.roles.keys().filter(|role| is_current(role)).cloned().collect())
    }

    fn parsed<T: Metadata>(&self) -> Result<T, StoreError> {
        let role = T::TYPE.as_str();
        self.vault
            .roles
            .get(role)
            .and_then(|entry| Some(Signed::<T>::read_unverified(&entry.bytes).ok()?.signed))
            .ok_or_else(|| StoreError::Incomplete(role.to_owned()))
    }
}

/// Removes versions that no client can still be fetching; roots stay for ever.
fn prune(directory: &Path) -> Result<(), StoreError> {
    let mut versions: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for entry in fs::read_dir(directory).map_err(at(directory))? {
        let name = entry.map_err(at(directory))?.file_name();
        let parts = name.to_str().and_then(|name| name.split_once('.'));
        if let Some((version, file)) = parts
            && let Ok(version) = version.parse()
            && file != "root.json"
        {
            versions.entry(file.to_owned()).or_default().push(version);
        }
    }
    for (file, mut versions) in versions {
        versions.sort_unstable_by(|a, b| b.cmp(a));
        for version in versions.iter().skip(VERSIONS_KEPT) {
            let name = format!("{version}.{file}");
            disk::remove(directory, &name).map_err(at(&directory.join(&name)))?;
        }
    }
    Ok(())
}
