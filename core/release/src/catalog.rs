//! Everything that a repository publishes, verified from its root on.

use std::collections::{BTreeMap, BTreeSet};

use model::Timestamp;
use tuf::schema::Targets;
use tuf::{Event, Limits, Lookup, Refresh, Signed, Stored, TrustedSet, VerifiedTarget, Want};

use crate::client::{ClientBuild, ClientKind};
use crate::hash::Sha256;
use crate::manifest::{Manifest, ManifestError};
use crate::plan::Available;

/// Every package and program of a repository.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// Packages, by name of their target.
    pub packages: Vec<Available>,
    /// Agents and consoles, by name of their target.
    pub clients: Vec<AvailableClient>,
    /// Targets that this release makes nothing of, and why.
    pub others: Vec<(String, String)>,
    /// What the metadata proves about each target.
    pub targets: Vec<VerifiedTarget>,
}

/// One program that maintainers published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvailableClient {
    /// Name of the TUF target.
    pub target: String,
    /// Length of the file in bytes.
    pub length: u64,
    /// SHA-256 of the file.
    pub sha256: Sha256,
    /// What it says about itself.
    pub build: ClientBuild,
}

/// Why there is no catalog.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError<E> {
    /// The metadata is not to be believed.
    #[error("{0}")]
    Metadata(#[from] tuf::Error),
    /// A file could not be read.
    #[error("a metadata file cannot be read")]
    Fetch(#[source] E),
}

/// Walks a whole repository from a trusted root.
///
/// `fetch` reads one metadata file, and says `None` when there is no such file; it never has to read
/// more than one byte beyond [`Want::max_length`].
///
/// # Errors
/// When a file cannot be read or the metadata is not to be believed at `now`.
pub fn catalog<E>(
    root: &[u8],
    now: Timestamp,
    mut fetch: impl FnMut(&Want) -> Result<Option<Vec<u8>>, E>,
) -> Result<Catalog, CatalogError<E>> {
    let mut fetch = |want: &Want| {
        let bytes = fetch(want).map_err(CatalogError::Fetch)?;
        Ok::<_, CatalogError<E>>(bytes.map_or(Event::Missing, Event::Fetched))
    };
    let stored = Stored { root: root.to_vec(), ..Stored::default() };
    let mut refresh = Refresh::new(stored, now, Limits::default())?;
    while let Some(want) = refresh.want() {
        let event = fetch(&want)?;
        refresh.on(event)?;
    }
    let mut set = refresh.finish().map_err(|_| tuf::Error::NotAsked)?;
    let mut names: BTreeSet<String> = set.targets().targets.keys().cloned().collect();
    while let Some(need) = set.next_role()? {
        let event = fetch(&need.want)?;
        if let Event::Fetched(bytes) = &event {
            names.extend(target_names(bytes));
        }
        set.on(&need, event)?;
    }
    Ok(gather(&mut set, names))
}

/// Names only: what each one is, the verified metadata says afterwards.
fn target_names(bytes: &[u8]) -> Vec<String> {
    let targets = Signed::<Targets>::read_unverified(bytes);
    targets.map_or_else(|_| Vec::new(), |role| role.signed.targets.into_keys().collect())
}

fn gather(set: &mut TrustedSet, names: BTreeSet<String>) -> Catalog {
    let mut catalog = Catalog::default();
    for name in names {
        match set.lookup(&name) {
            Ok(Lookup::Found(target)) => {
                if let Err(why) = catalog.add(&target) {
                    catalog.others.push((name, why.to_string()));
                }
                catalog.targets.push(target);
            }
            // A role names it that may not speak for it.
            Ok(Lookup::Need(_)) => {}
            Err(why) => catalog.others.push((name, why.to_string())),
        }
    }
    catalog
}

impl Catalog {
    fn add(&mut self, target: &VerifiedTarget) -> Result<(), ManifestError> {
        let nothing = serde_json::Value::Null;
        let custom = target.custom().unwrap_or(&nothing);
        let (name, length) = (target.name().to_owned(), target.length());
        let sha256 = Sha256(*target.sha256());
        if name.starts_with("agent/") || name.starts_with("console/") {
            let build = ClientBuild::from_custom(&name, custom)?;
            self.clients.push(AvailableClient { target: name, length, sha256, build });
        } else {
            let manifest = Manifest::from_value(custom)?;
            manifest.check_target(&name)?;
            self.packages.push(Available { target: name, length, sha256, manifest });
        }
        Ok(())
    }

    /// The newest program of each kind and machine.
    pub fn newest_clients(&self) -> BTreeMap<(ClientKind, &str), &AvailableClient> {
        let mut newest: BTreeMap<(ClientKind, &str), &AvailableClient> = BTreeMap::new();
        for client in &self.clients {
            let key = (client.build.kind, client.build.arch.as_str());
            let entry = newest.entry(key).or_insert(client);
            if client.build.release() > entry.build.release() {
                *entry = client;
            }
        }
        newest
    }
}
