use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use host::{Launch, NotifySocket};
use release::Sha256;
use tokio::sync::{Notify, watch};

use super::Generation;
use crate::base::LedgerFile;
use crate::paths::Paths;
use crate::self_update::Sockets;

/// The generations that run, and the one that serves.
pub struct Fleet {
    paths: Paths,
    known: Arc<Mutex<Known>>,
    serving: watch::Sender<Option<u64>>,
    /// Wakes the supervisor when a generation ended.
    pub changed: Arc<Notify>,
}

#[derive(Default)]
struct Known {
    generations: BTreeMap<u64, Arc<Generation>>,
}

impl Fleet {
    pub fn new(paths: &Paths) -> Self {
        Self {
            paths: paths.clone(),
            known: Arc::default(),
            serving: watch::Sender::new(None),
            changed: Arc::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds the generations that an earlier base started.
    pub async fn adopt(&self) -> anyhow::Result<()> {
        let keeper = std::env::var(crate::keeper::KEEPER_PID).ok();
        // 1 has those whose keeper is gone.
        let mut parents = vec![std::process::id(), 1];
        parents.extend(keeper.and_then(|pid| pid.parse::<u32>().ok()));
        for found in host::running_generations(&self.paths.run(), &parents)? {
            let slot = found.package.file_name().and_then(|name| name.to_str()?.parse().ok());
            let Some(slot) = slot else { continue };
            let Ok(generation) = self.hold(found.generation, slot, found.pid) else {
                // It ended just now.
                continue;
            };
            let Ok(status) = generation.status().await else {
                tracing::warn!(
                    generation = found.generation,
                    "Generation found that does not answer yet"
                );
                continue;
            };
            generation.is_ready();
            tracing::info!(
                generation = found.generation,
                phase = status.phase,
                "Generation adopted"
            );
            if status.phase == "active" {
                self.serves(Some(found.generation));
            }
        }
        Ok(())
    }

    /// Starts a generation from a slot; it does not serve before it is told.
    pub fn start(
        &self,
        ledger: &LedgerFile,
        sockets: &Sockets,
        slot: Sha256,
    ) -> anyhow::Result<Arc<Generation>> {
        let number = ledger
            .change(install::Ledger::generation_next)
            .context("the ledger cannot be saved, so no generation gets a number")?
            .0;
        let notify = self.notify_path(number);
        let package = self.slot_path(slot);
        let program = package.join("bin/sluis-site");
        anyhow::ensure!(program.is_file(), "{} is missing", program.display());
        // Made first, so that its first word is heard.
        let socket = NotifySocket::bind(&notify)?;
        host::failpoint("generation-before-start")?;
        let pid = host::launch_process(Launch {
            launcher: Path::new("/proc/self/exe"),
            program: &program,
            args: vec!["serve".into()],
            env: self.environment(number, &package),
            sockets: sockets.https(),
        })?;
        host::failpoint("generation-after-start")?;
        tracing::info!(generation = number, pid, %slot, "Generation started");
        self.hold_on(number, slot, pid, socket)
    }

    /// What a program of a slot is started with.
    pub fn environment(&self, number: u64, package: &Path) -> Vec<(&'static str, OsString)> {
        vec![
            ("SLUIS_GENERATION", number.to_string().into()),
            ("SLUIS_DATA", self.paths.site().into()),
            ("SLUIS_RUN", self.paths.run().into()),
            ("SLUIS_PACKAGE", package.into()),
            ("SLUIS_TLS", self.paths.tls().into()),
            ("SLUIS_MIRROR", self.paths.mirror().into()),
            ("SLUIS_LICENSE", self.paths.license().into()),
            ("NOTIFY_SOCKET", self.notify_path(number).into()),
        ]
    }

    fn notify_path(&self, number: u64) -> PathBuf {
        self.paths.run().join(format!("notify-{number}.sock"))
    }

    fn slot_path(&self, slot: Sha256) -> PathBuf {
        self.paths.data.join("packages").join(slot.to_string())
    }

    fn hold(&self, number: u64, slot: Sha256, pid: u32) -> anyhow::Result<Arc<Generation>> {
        let socket = NotifySocket::bind(&self.notify_path(number))?;
        self.hold_on(number, slot, pid, socket)
    }

    fn hold_on(
        &self,
        number: u64,
        slot: Sha256,
        pid: u32,
        notify: std::os::fd::OwnedFd,
    ) -> anyhow::Result<Arc<Generation>> {
        let notify = NotifySocket::from_fd(notify)?;
        let generation = Arc::new(Generation::hold(&self.paths.run(), number, slot, pid)?);
        self.known().generations.insert(number, generation.clone());
        let (known, changed) = (self.known.clone(), self.changed.clone());
        let (serving, watched) = (self.serving.clone(), generation.clone());
        let left = [self.notify_path(number), self.paths.run().join(format!("site-{number}.sock"))];
        tokio::spawn(async move {
            watched.listen(notify).await;
            tracing::info!(generation = number, how = watched.said().death(), "Generation ended");
            known.lock().unwrap_or_else(PoisonError::into_inner).generations.remove(&number);
            serving.send_if_modified(|now| now.take_if(|now| *now == number).is_some());
            for path in &left {
                // It may have taken them away itself.
                let _ = std::fs::remove_file(path);
            }
            changed.notify_one();
        });
        Ok(generation)
    }

    /// Says which generation serves.
    pub fn serves(&self, number: Option<u64>) {
        self.serving.send_replace(number);
    }

    /// Hears which generation serves.
    pub fn watch_serving(&self) -> watch::Receiver<Option<u64>> {
        self.serving.subscribe()
    }

    /// The generation that serves.
    pub fn active(&self) -> Option<Arc<Generation>> {
        let number = (*self.serving.borrow())?;
        self.known().generations.get(&number).cloned()
    }

    /// All generations that run, oldest first.
    pub fn all(&self) -> Vec<Arc<Generation>> {
        self.known().generations.values().cloned().collect()
    }

    /// The newest generation of a slot that runs.
    pub fn of_slot(&self, slot: Sha256) -> Option<Arc<Generation>> {
        self.all()
            .into_iter()
            .rev()
            .find(|generation| generation.slot == slot && generation.is_alive())
    }

    /// Ends all generations, newest last to be told and all at the same time.
    pub async fn stop_all(&self) {
        let stops = self.all().into_iter().map(|generation| async move {
            generation.stop(Duration::from_secs(10)).await;
        });
        futures_util::future::join_all(stops).await;
    }
}
