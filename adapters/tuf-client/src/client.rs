//! The client: carries bytes between repository, core and store.

use std::path::Path;

use model::Timestamp;
use tokio::runtime::{Handle, RuntimeFlavor};
use tuf::{Change, Event, Limits, Lookup, Need, Reason, Refresh, TrustedSet, VerifiedTarget, Want};

use crate::error::Error;
use crate::pace::Pace;
use crate::repository::{FetchError, Place, Repository};
use crate::store::{StoreError, TrustedStore};

/// A client of one repository with one trusted store.
#[derive(Debug)]
pub struct Client<R> {
    pub(crate) repository: R,
    store: TrustedStore,
    limits: Limits,
    pub(crate) pace: Pace,
    trusted: Option<TrustedSet>,
}

impl<R: Repository> Client<R> {
    /// A client with the usual limits.
    pub fn new(repository: R, store: TrustedStore) -> Self {
        let (limits, pace) = (Limits::default(), Pace::default());
        Self { repository, store, limits, pace, trusted: None }
    }

    /// The same with other limits on what the repository may ask for.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The same with another least pace.
    #[must_use]
    pub fn with_pace(self, pace: Pace) -> Self {
        Self { pace, ..self }
    }

    /// The store, for passing it on with [`TrustedStore::export`].
    pub fn store(&self) -> &TrustedStore {
        &self.store
    }

    /// What the last refresh left.
    pub fn trusted(&self) -> Option<&TrustedSet> {
        self.trusted.as_ref()
    }

    /// Brings the metadata up to date.
    ///
    /// `now` counts for all expiry dates until the next refresh; take it from
    /// [`tuf::clock::trusted_now`]. Each step is saved as soon as it is verified.
    ///
    /// # Errors
    /// What was trusted before stays trusted for the next refresh, and
    /// nothing can be searched until one succeeds.
    pub async fn refresh(&mut self, now: Timestamp) -> Result<&TrustedSet, Error> {
        self.trusted = None;
        let mut refresh = Refresh::new(self.store.stored(), now, self.limits)?;
        while let Some(want) = refresh.want() {
            let event = self.fetch(&want).await?;
            let changes = refresh.on(event)?;
            self.save(&changes)?;
        }
        let trusted = refresh.finish().map_err(|_| Error::NotRefreshed)?;
        Ok(self.trusted.insert(trusted))
    }

    /// Takes up what was trusted before without asking the repository.
    ///
    /// # Errors
    /// When something is missing or expired; a refresh may help.
    pub fn resume(&mut self, now: Timestamp) -> Result<&TrustedSet, Error> {
        self.trusted = None;
        let trusted = TrustedSet::from_stored(self.store.stored(), now, self.limits)?;
        Ok(self.trusted.insert(trusted))
    }

    /// Searches for a target, and fetches the delegated roles that it takes.
    ///
    /// # Errors
    /// When no role names it, or a role on the way is refused.
    pub async fn target(&mut self, name: &str) -> Result<VerifiedTarget, Error> {
        loop {
            match self.searchable()?.lookup(name)? {
                Lookup::Found(target) => return Ok(target),
                Lookup::Need(need) => self.fetch_role(&need).await?,
            }
        }
    }

    /// Fetches every delegated role, so that [`TrustedStore::export`] gives a whole repository.
    ///
    /// # Errors
    /// When a role is refused, or there are more than the limit.
    pub async fn fetch_all_roles(&mut self) -> Result<(), Error> {
        while let Some(need) = self.searchable()?.next_role()? {
            self.fetch_role(&need).await?;
        }
        Ok(())
    }

    /// Fetches the roots from before the first one that was trusted here, so that
    /// [`TrustedStore::export`] also serves clients that began earlier.
    ///
    /// # Errors
    /// When the repository no longer has one of them, or it did not lead to the next one.
    pub async fn fetch_older_roots(&mut self) -> Result<(), Error> {
        while let Some((version, next)) = self.store.oldest_root()
            && version > 1
        {
            let next = next.to_vec();
            let file = tuf::versioned_role_file("root", version - 1);
            let want = Want { role: "root".into(), file, max_length: self.limits.root };
            let refused = |reason| tuf::Error::Repository { role: "root".into(), reason };
            let bytes = match self.fetch(&want).await? {
                Event::Fetched(bytes) if bytes.len() as u64 <= want.max_length => bytes,
                Event::Fetched(_) => {
                    return Err(refused(Reason::TooLong { max: want.max_length }).into());
                }
                Event::Missing => return Err(refused(Reason::Missing).into()),
            };
            tuf::demand_predecessor(&bytes, &next)?;
            blocking(|| self.store.add_older_root(version - 1, &bytes))?;
        }
        Ok(())
    }

    /// Writes what is trusted into a directory from which it can be served.
    ///
    /// # Errors
    /// As [`TrustedStore::export`], and when the last refresh did not succeed.
    pub fn export(&self, directory: &Path) -> Result<(), Error> {
        if self.trusted.is_none() {
            return Err(Error::NotRefreshed);
        }
        Ok(blocking(|| self.store.export(directory))?)
    }

    fn searchable(&mut self) -> Result<&mut TrustedSet, Error> {
        self.trusted.as_mut().ok_or(Error::NotRefreshed)
    }

    async fn fetch_role(&mut self, need: &Need) -> Result<(), Error> {
        let event = self.fetch(&need.want).await?;
        let changes = self.searchable()?.on(need, event)?;
        Ok(self.save(&changes)?)
    }

    fn save(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        blocking(|| self.store.apply(changes))
    }

    /// Fetches metadata, and not more of it than one byte over its limit.
    async fn fetch(&self, want: &Want) -> Result<Event, Error> {
        let place = Place::Metadata(want.file.clone());
        match self.collect(&place, want.max_length).await {
            Ok(bytes) => Ok(Event::Fetched(bytes)),
            Err(FetchError::Missing) => Ok(Event::Missing),
            Err(source) => Err(Error::Fetch { place, source }),
        }
    }

    async fn collect(&self, place: &Place, max: u64) -> Result<Vec<u8>, FetchError> {
        let mut body = self.pace.open(&self.repository, place, 0).await?;
        let enough = usize::try_from(max).unwrap_or(usize::MAX).saturating_add(1);
        let mut bytes = Vec::new();
        while bytes.len() < enough
            && let Some(piece) = body.next().await?
        {
            bytes.extend_from_slice(&piece[..piece.len().min(enough - bytes.len())]);
        }
        Ok(bytes)
    }
}

/// Does what waits for the disk without holding up other tasks, where the runtime has threads.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
