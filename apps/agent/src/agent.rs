//! The serving process put together: link and sessions, keeper, updates.
//!
//! [`serve`] is what `sluis-agent serve` runs. The sessions are [`crate::serve`]'s; here is what they need
//! from the outside, and what happens to them when the program becomes another version.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use link::Dialer;
use model::{Release, Revision, Timestamp, Version};
use session::{AgentStatus, UpgradeAvailable};
use tokio::sync::mpsc;
#[cfg(unix)]
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::check_in::{CheckIn, Moment, Move, Work};
use crate::config::{self, Config};
use crate::keeper::{Command, Failure, KeeperHandle, ServeStatus};
#[cfg(unix)]
use crate::serve::State;
use crate::serve::{Context, Inherited, News, Order};
use crate::update::fetch::{self, FetchUpdateError, Staged};
use crate::update::rescue::{self, RescueChannel};
use crate::update::selftest;

/// News and orders that may wait.
const QUEUE: usize = 64;

/// Serves the site until the keeper says stop.
pub async fn serve(data: &Path, config: Config, release: Release) -> Result<()> {
    let keeper = KeeperHandle::connect(&release).await.context("cannot speak with the keeper")?;
    let inherited = inherited(&keeper).context("the sessions of the version before are lost")?;
    let key = link::load_or_create_key(&config::key_path(data))?;
    let dialer = config.dialer(Arc::new(key), &release);
    let agent = Agent {
        data: data.to_owned(),
        config,
        release,
        keeper,
        // Beside the dialling: while both run, inherited sessions stand still.
        self_test: Some(tokio::spawn(selftest::run())),
        proven: false,
        resumed: false,
        judged: false,
        offered: None,
        told: None,
        began: Instant::now(),
    };
    agent.run(dialer, inherited).await
}

#[cfg(unix)]
fn inherited(keeper: &KeeperHandle) -> Result<Option<Inherited>> {
    let received = crate::update::exec::receive()?;
    Ok(received.map(|received| {
        let keeper = keeper.clone();
        Inherited {
            bytes: received.state,
            descriptors: received.fds,
            waiting: Box::new(move |pid| keeper.waiting_for(pid)),
        }
    }))
}

#[cfg(not(unix))]
fn inherited(_: &KeeperHandle) -> Result<Option<Inherited>> {
    Ok(None)
}

struct Agent {
    data: PathBuf,
    config: Config,
    release: Release,
    keeper: KeeperHandle,
    /// Whether the keeper knows that this version works.
    proven: bool,
    /// Whether the sessions of the version before are served again.
    resumed: bool,
    /// Whether it is decided if it does: the site was reached and the self-test is over.
    judged: bool,
    /// What the site offered before that; the keeper would refuse it.
    offered: Option<UpgradeAvailable>,
    /// Until the site is reached for the first time.
    self_test: Option<JoinHandle<Result<(), String>>>,
    /// The failure that the site was told of last.
    told: Option<Failure>,
    /// When the program began, for the steady clock.
    began: Instant,
}

/// Why a visit at the site ended.
enum Left {
    /// A passive agent has nothing more to do there.
    Idle,
    /// The process shall end.
    Stop,
}

/// What tasks of this module tell the loop.
enum Done {
    /// The self-test passed and the keeper has saved it; or it failed.
    Proof(Result<(), String>),
    /// A program is ready in its slot, or is not.
    Stage(UpgradeAvailable, Result<Staged, FetchUpdateError>),
    /// Percent of a download.
    Percent(UpgradeAvailable, u8),
}

impl Agent {
    async fn run(mut self, dialer: Dialer, mut inherited: Option<Inherited>) -> Result<()> {
        let check_in = self.config.check_in;
        let (every, stay) =
            (Duration::from_secs(check_in.every_s), Duration::from_secs(check_in.stay_s));
        let mut check_in = CheckIn::new(every, stay, self.now());
        loop {
            let visit = Visit::begin(dialer.clone(), inherited.take());
            let left = visit.run(&mut self, &mut check_in).await?;
            if matches!(left, Left::Stop) || self.rest(&mut check_in).await == Command::Stop {
                return Ok(());
            }
        }
    }

    /// A passive agent's time between two check-ins.
    async fn rest(&self, check_in: &mut CheckIn) -> Command {
        tracing::info!(every_s = self.config.check_in.every_s, "Checked in");
        let text = "checks in from time to time".to_owned();
        self.keeper.set_status(ServeStatus { connected: false, sessions: 0, text }).await;
        loop {
            let nap = tokio::time::timeout(check_in.nap(self.now()), self.keeper.command());
            let next = match nap.await {
                Ok(Command::Stop) => return Command::Stop,
                Ok(Command::CheckIn) => check_in.told(self.now()),
                Err(_) => check_in.tick(Work::None, self.now()),
            };
            if next == Some(Move::Visit) {
                return Command::CheckIn;
            }
        }
    }

    fn now(&self) -> Moment {
        let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let millis = wall.map_or(0, |wall| u64::try_from(wall.as_millis()).unwrap_or(u64::MAX));
        Moment { steady: self.began.elapsed(), wall: Timestamp(millis) }
    }

    fn channel(&self) -> RescueChannel {
        RescueChannel::Direct { address: self.config.site.clone(), tls: rescue::tls() }
    }
}

/// One stay at the site: of an active agent the whole life of the process.
struct Visit {
    serving: JoinHandle<Result<()>>,
    news: mpsc::Receiver<News>,
    orders: mpsc::Sender<Order>,
    done: (mpsc::Sender<Done>, mpsc::Receiver<Done>),
    status: ServeStatus,
    staging: Option<JoinHandle<()>>,
    /// Something happened since it was last asked whether to leave.
    busy: bool,
}

impl Visit {
    fn begin(dialer: Dialer, inherited: Option<Inherited>) -> Self {
        let (news_tx, news) = mpsc::channel(QUEUE);
        let (orders, orders_rx) = mpsc::channel(QUEUE);
        let context = Context { dialer, inherited, news: news_tx, orders: orders_rx };
        Self {
            serving: tokio::spawn(crate::serve::run(context)),
            news,
            orders,
            done: mpsc::channel(QUEUE),
            status: ServeStatus { text: "connecting".to_owned(), ..ServeStatus::default() },
            staging: None,
            busy: false,
        }
    }

    async fn run(mut self, agent: &mut Agent, check_in: &mut CheckIn) -> Result<Left> {
        let mut failure = agent.keeper.failure();
        loop {
            if std::mem::take(&mut self.busy) {
                check_in.busy(agent.now());
            }
            let nap = check_in.nap(agent.now());
            tokio::select! {
                news = self.news.recv() => match news {
                    Some(news) => self.hear(agent, news).await,
                    // It ended by itself: with an error that says why.
                    None => return self.serving.await?.map(|()| Left::Stop),
                },
                Some(done) = self.done.1.recv() => self.finish(agent, done).await,
                Ok(()) = failure.changed() => self.tell_failure(agent).await,
                command = agent.keeper.command() => match command {
                    Command::Stop => return self.leave(Left::Stop).await,
                    Command::CheckIn => self.busy = true,
                },
                () = tokio::time::sleep(nap), if agent.config.passive => {
                    let work = self.work(agent);
                    if check_in.tick(work, agent.now()) == Some(Move::Leave) {
                        return self.leave(Left::Idle).await;
                    }
                }
            }
        }
    }

    fn work(&self, agent: &Agent) -> Work {
        let at_work = self.status.sessions > 0 || self.staging.is_some() || !agent.judged;
        match (self.status.connected, at_work) {
            (false, _) => Work::Unreached,
            (true, true) => Work::Some,
            (true, false) => Work::None,
        }
    }

    async fn leave(self, left: Left) -> Result<Left> {
        // When it cannot take the order it has ended, which is what was wanted.
        let _ = self.orders.send(Order::Stop).await;
        drop(self.news);
        self.serving.await??;
        Ok(left)
    }

    async fn hear(&mut self, agent: &mut Agent, news: News) {
        match news {
            News::Upgrade(upgrade) if agent.proven => self.consider(agent, upgrade),
            News::Upgrade(upgrade) => agent.offered = Some(upgrade),
            news => self.note(agent, news).await,
        }
    }

    /// Takes note of how the link and the sessions stand.
    async fn note(&mut self, agent: &mut Agent, news: News) {
        match news {
            News::Up { site: (version, revision), .. } => {
                self.status.connected = true;
                self.status.text = format!("to site version {version} (rev {revision})");
                self.busy = true;
                self.tell_failure(agent).await;
            }
            // Only now: a version that cannot resume sessions is not to be kept.
            News::Resumed => agent.resumed = true,
            News::Down(error) => {
                self.status.connected = false;
                self.status.text = format!("({})", crate::error_text(&*error));
            }
            News::Upgrade(_) => {}
            News::Sessions(count) => {
                self.status.sessions = u32::try_from(count).unwrap_or(u32::MAX);
                self.busy = true;
            }
        }
        if self.status.connected
            && agent.resumed
            && let Some(tested) = agent.self_test.take()
        {
            tokio::spawn(prove(tested, agent.keeper.clone(), self.done.0.clone()));
        }
        agent.keeper.set_status(self.status.clone()).await;
    }

    /// Fetches an upgrade when it is one, and none is being fetched.
    fn consider(&mut self, agent: &Agent, upgrade: UpgradeAvailable) {
        let Ok(wanted) = release_of(&upgrade) else {
            return tracing::warn!(
                version = upgrade.version,
                "The site offers a version that is none"
            );
        };
        if wanted == agent.release {
            return self.report("current", &upgrade, String::new(), 100);
        }
        if self.staging.is_some() {
            return;
        }
        tracing::info!(target = upgrade.target, "Fetching another version");
        self.report("downloading", &upgrade, String::new(), 0);
        let (data, channel, done) = (agent.data.clone(), agent.channel(), self.done.0.clone());
        self.staging = Some(tokio::spawn(async move {
            let percents = done.clone();
            let of = upgrade.clone();
            let mut told = 0;
            let progress = move |percent: u8| {
                if percent >= told + 10 {
                    told = percent;
                    // Only for show: a full queue loses a number.
                    let _ = percents.try_send(Done::Percent(of.clone(), percent));
                }
            };
            let staged = fetch::stage(&data, channel, &upgrade.target, progress).await;
            // The receiver is gone only when the visit is over.
            let _ = done.send(Done::Stage(upgrade, staged)).await;
        }));
    }

    async fn finish(&mut self, agent: &mut Agent, done: Done) {
        agent.judged |= matches!(done, Done::Proof(_));
        match done {
            Done::Proof(Ok(())) => {
                agent.proven = true;
                tracing::info!(release = %agent.release, "Version works here");
                let _ = self.orders.send(Order::Thaw).await;
                let own = UpgradeAvailable {
                    target: String::new(),
                    version: agent.release.version.to_string(),
                    revision: agent.release.revision.0,
                };
                self.report("current", &own, String::new(), 100);
                // After that, or the site would forget it again.
                self.tell_failure(agent).await;
                if let Some(upgrade) = agent.offered.take() {
                    self.consider(agent, upgrade);
                }
            }
            Done::Proof(Err(reason)) => {
                tracing::error!(reason, "Self-test failed");
                agent.keeper.unfit(&reason).await;
                self.tell_failure(agent).await;
                // A proven version goes on as well as it can; one on trial is being ended now.
                let _ = self.orders.send(Order::Thaw).await;
            }
            Done::Percent(upgrade, percent) => {
                self.report("downloading", &upgrade, String::new(), percent);
            }
            Done::Stage(upgrade, Ok(staged)) => {
                self.staging = None;
                self.busy = true;
                self.report("switching", &upgrade, String::new(), 100);
                let reason = self.switch(agent, staged).await;
                tracing::error!(reason, "Upgrade failed, going on as before");
                self.report("failed", &upgrade, reason, 0);
            }
            Done::Stage(upgrade, Err(error)) => {
                self.staging = None;
                tracing::warn!(reason = crate::error_text(&error), "Upgrade failed");
                self.report_failed(&upgrade, &error);
            }
        }
    }

    /// Becomes the staged version; returns only when that fails, with the reason.
    #[cfg(unix)]
    async fn switch(&mut self, agent: &mut Agent, staged: Staged) -> String {
        let (answer, frozen) = oneshot::channel();
        if self.orders.send(Order::Freeze(answer)).await.is_err() {
            return "the agent is just ending".to_owned();
        }
        let state = match self.wait_frozen(agent, frozen).await {
            Ok(Ok(state)) => state,
            Ok(Err(error)) => return format!("the sessions cannot be carried over: {error:#}"),
            Err(_) => return "the agent is just ending".to_owned(),
        };
        let Staged { slot, installed } = &staged;
        let failed = crate::update::exec::hand_over(
            &agent.keeper,
            &agent.data,
            *slot,
            installed,
            &state.bytes,
            state.descriptors,
        );
        let Err(error) = failed.await;
        let _ = self.orders.send(Order::Thaw).await;
        crate::error_text(&error)
    }

    /// Takes news meanwhile: who freezes may have some to tell first.
    #[cfg(unix)]
    async fn wait_frozen(
        &mut self,
        agent: &mut Agent,
        mut frozen: oneshot::Receiver<Result<State>>,
    ) -> Result<Result<State>, oneshot::error::RecvError> {
        loop {
            tokio::select! {
                state = &mut frozen => return state,
                Some(news) = self.news.recv() => match news {
                    // The site offers it again to the next version, or at the next check-in.
                    News::Upgrade(_) => {}
                    news => self.note(agent, news).await,
                },
            }
        }
    }

    #[cfg(not(unix))]
    async fn switch(&mut self, _: &mut Agent, _: Staged) -> String {
        "an agent does not update itself on this operating system yet; install it anew".to_owned()
    }

    /// Tells the site of a version that failed here, once.
    async fn tell_failure(&mut self, agent: &mut Agent) {
        let failure = agent.keeper.failure().borrow().clone();
        if !self.status.connected || !agent.judged || failure == agent.told {
            return;
        }
        let Some(Failure { release, reason, .. }) = failure.clone() else { return };
        let failed = AgentStatus {
            phase: "failed".to_owned(),
            version: release.to_string(),
            text: format!("{reason}; the version before was put back"),
            percent: 0,
            again: Some(false),
        };
        if self.orders.send(Order::Report(failed)).await.is_ok() {
            agent.keeper.told().await;
            agent.told = failure;
        }
    }

    fn report(&self, phase: &str, upgrade: &UpgradeAvailable, text: String, percent: u8) {
        let version = release_of(upgrade).map_or(upgrade.version.clone(), |r| r.to_string());
        let status = AgentStatus { phase: phase.to_owned(), version, text, percent, again: None };
        self.send(status);
    }

    /// Says that a version was not installed, and whether it may be offered again by itself.
    fn report_failed(&self, upgrade: &UpgradeAvailable, error: &FetchUpdateError) {
        let version = release_of(upgrade).map_or(upgrade.version.clone(), |r| r.to_string());
        let again = Some(!matches!(error, FetchUpdateError::Bad { .. }));
        self.send(AgentStatus {
            phase: "failed".to_owned(),
            version,
            text: crate::error_text(error),
            percent: 0,
            again,
        });
    }

    fn send(&self, status: AgentStatus) {
        // Without a link, or with a full queue, nobody hears it; the next hello says which version runs.
        let _ = self.orders.try_send(Order::Report(status));
    }
}

fn release_of(upgrade: &UpgradeAvailable) -> Result<Release> {
    let version = Version::parse(&upgrade.version)?;
    Ok(Release { version, revision: Revision(upgrade.revision) })
}

/// The site is reached, and the sessions are resumed: when the self-test passes too, the keeper saves that this version works.
async fn prove(
    tested: JoinHandle<Result<(), String>>,
    keeper: KeeperHandle,
    done: mpsc::Sender<Done>,
) {
    let tested = tested.await.unwrap_or_else(|_| Err("it broke off".to_owned()));
    if tested.is_ok() {
        keeper.proven().await;
    }
    // The receiver is gone only when the visit is over.
    let _ = done.send(Done::Proof(tested)).await;
}
