//! The keeper: a small process that opens the sockets and keeps a base running on them.
//!
//! It starts the base from `current/base` and starts it again when it dies or falls silent.
//! A base that is on trial is not in `current/base` yet, so a new base that crashes or hangs is followed by the old
//! one without any decision here. Generations of the site outlive a base: they become children of the keeper.
//! Once another base is committed, the keeper becomes the keeper of that version ([`succession`]), on trial at first
//! ([`trial`]).

mod succession;
mod trial;

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use host::{Ended, Launch, Message, NotifySocket, Process};
use model::PackageKind;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::Config;
use crate::paths::Paths;

/// How long a base has to run for its next crash not to count as one more in a row.
const STEADY: Duration = Duration::from_secs(30);
/// Crashes in a row after which the kept base is tried for once.
const CRASHES_MAX: u32 = 4;
/// How long a base has to end all generations when the appliance is stopped.
const STOP: Duration = Duration::from_secs(30);
/// Says how the last base ended, to the next one.
pub const LAST_EXIT: &str = "SLUIS_LAST_EXIT";
/// The pid of the keeper.
pub const KEEPER_PID: &str = "SLUIS_KEEPER_PID";

use trial::Trial;

pub use succession::PROTOCOL;
pub use trial::{gave_up_current, program_to_start};

/// What a keeper holds for as long as the appliance runs.
struct Kept {
    config: Config,
    /// The sockets that outlive every base.
    sockets: Sockets,
    /// Held so that no second keeper runs.
    lock: OwnedFd,
    /// The base that the keeper before this one started, when it was this very process.
    base: Option<Process>,
    /// Since when this program keeps, while it is on trial.
    on_trial: Option<Instant>,
}

pub fn run(paths: &Paths) -> anyhow::Result<ExitCode> {
    let Some(held) = succession::take()? else {
        let config = Config::load(paths)?;
        become_program(paths);
        let given = host::inherited_sockets()?;
        let lock = lock(paths)?.into();
        return block_on(paths, async |signals| {
            let sockets = open(paths, &config, take_over(paths, given).await?)?;
            let on_trial = succession::is_on_trial(paths).then(Instant::now);
            keep(paths, Kept { config, sockets, lock, base: None, on_trial }, signals).await
        });
    };
    host::failpoint("keeper-after-exec")?;
    block_on(paths, async |signals| match held.ready(paths) {
        Ok(kept) => keep(paths, kept, signals).await,
        // Nothing is lost yet: the program before takes everything back.
        Err((held, error)) => Err(held.give_back(paths, &error)),
    })
}

fn block_on(
    paths: &Paths,
    work: impl AsyncFnOnce(Signals) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    host::adopt_orphans().context("the keeper cannot adopt processes")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tracing::debug!(data = %paths.data.display(), "Keeper runs");
    runtime.block_on(async { work(Signals::new()?).await })
}

/// Runs the keeper from the slot that runs, so that it is as new as the base when the appliance starts; or from the one
/// before, when a keeper of that version died on trial.
fn become_program(paths: &Paths) {
    use std::os::unix::process::CommandExt;
    const MARK: &str = "SLUIS_KEEPER_IS_CURRENT";
    if std::env::var_os(MARK).is_some() {
        return;
    }
    let program = trial::program_to_be(paths);
    let same = |a: &Path, b: &Path| a.canonicalize().ok() == b.canonicalize().ok();
    if same(&program, Path::new("/proc/self/exe")) {
        return;
    }
    let error = std::process::Command::new(&program)
        .args(["run", "--data"])
        .arg(&paths.data)
        .env(MARK, "1")
        .exec();
    tracing::warn!(program = %program.display(), %error, "Keeping on with this program");
}

/// Held for as long as the keeper runs.
fn lock(paths: &Paths) -> anyhow::Result<File> {
    let path = paths.keeper_lock();
    let file = File::create(&path).with_context(|| format!("{} cannot be made", path.display()))?;
    if rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err() {
        bail!("{} is run by another process already; stop it first", paths.data.display());
    }
    Ok(file)
}

/// Whether a keeper runs.
pub fn is_there(paths: &Paths) -> bool {
    let lock = File::open(paths.keeper_lock());
    lock.is_ok_and(|lock| {
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err()
    })
}

/// The sockets that outlive every base, by name.
type Sockets = Vec<(&'static str, OwnedFd)>;

/// The names that a socket may have.
const NAMES: [&str; 2] = ["https", "base"];

/// Takes the sockets that a killed keeper left with its base or with generations, unless they were given, and ends that
/// base.
///
/// The generations go on serving; the next base finds them.
async fn take_over(
    paths: &Paths,
    given: Vec<(String, OwnedFd)>,
) -> anyhow::Result<Vec<(String, OwnedFd)>> {
    let bases = host::stray_bases(&paths.data)?;
    let generations = host::running_generations(&paths.run(), &[&bases[..], &[1]].concat())?;
    let holders = bases.iter().copied().chain(generations.iter().map(|found| found.pid));
    let mut left = given;
    for pid in holders {
        if left.iter().any(|(name, _)| name == "https") {
            break;
        }
        if let Ok(sockets) = host::sockets_of(pid)
            && sockets.iter().any(|(name, _)| name == "https")
        {
            tracing::warn!(pid, "Taking the sockets of an appliance whose keeper is gone");
            left = sockets;
        }
    }
    for pid in bases {
        if let Ok(base) = Process::open(pid) {
            base.kill();
            // Not a child of this process, so only its end is seen.
            base.ended().await;
        }
    }
    Ok(left)
}

fn open(paths: &Paths, config: &Config, left: Vec<(String, OwnedFd)>) -> anyhow::Result<Sockets> {
    let mut left: Vec<TcpListener> =
        left.into_iter().filter(|(name, _)| name == "https").map(|(_, fd)| fd.into()).collect();
    let mut sockets: Sockets = vec![];
    for address in &config.listen {
        let at = left.iter().position(|held| held.local_addr().is_ok_and(|held| held == *address));
        let listener = match at {
            Some(at) => left.swap_remove(at),
            None => listen(paths, *address)?,
        };
        listener.set_nonblocking(true)?;
        sockets.push(("https", listener.into()));
    }
    let path = paths.base_socket();
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let listener = UnixListener::bind(&path)
        .with_context(|| format!("{} cannot be listened on", path.display()))?;
    listener.set_nonblocking(true)?;
    sockets.push(("base", listener.into()));
    Ok(sockets)
}

fn listen(paths: &Paths, address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).with_context(|| {
        format!("{address} cannot be listened on; see `listen` in {}", paths.config().display())
    })?;
    // The standard library's backlog of 128 is too short for clients that all come back at once.
    rustix::net::listen(&listener, 4096)?;
    Ok(listener)
}

async fn keep(paths: &Paths, mut kept: Kept, mut signals: Signals) -> anyhow::Result<ExitCode> {
    if kept.on_trial.is_some() {
        host::failpoint("keeper-on-trial")?;
    }
    let watchdog = NotifySocket::from_fd(NotifySocket::bind(&paths.keeper_socket())?)?;
    let mut crashes = 0;
    let mut last_exit = String::new();
    loop {
        let started = Instant::now();
        let base = match kept.base.take() {
            Some(base) => base,
            None => start(paths, &program(paths, crashes), &kept.sockets, &last_exit)?,
        };
        let silence = Duration::from_secs(kept.config.limits.watchdog_s);
        let how = watch(paths, &mut kept, &base, &watchdog, &mut signals, silence).await;
        let ended = match how {
            Over::Asked => {
                base.terminate();
                if tokio::time::timeout(STOP, base.ended()).await.is_err() {
                    base.kill();
                    base.ended().await;
                }
                return Ok(ExitCode::SUCCESS);
            }
            Over::Ended(Ended::Exited(0)) => return Ok(ExitCode::SUCCESS),
            Over::Ended(ended) => ended.to_string(),
            Over::Silent => {
                base.kill();
                base.ended().await;
                format!("it said nothing for {} s and was killed", silence.as_secs())
            }
        };
        crashes = if started.elapsed() > STEADY { 0 } else { crashes + 1 };
        tracing::error!(reason = ended, crashes, "Base ended; starting it again");
        last_exit = ended;
        let wait =
            Duration::from_millis(100 * u64::from(crashes * crashes)).min(Duration::from_secs(5));
        tokio::time::sleep(wait).await;
    }
}

/// The base of the current slot, or for once that of the kept slot when the current one keeps crashing.
fn program(paths: &Paths, crashes: u32) -> PathBuf {
    let of = |which| paths.pointer(which, PackageKind::Base).join("bin/sluis-base");
    let kept = of("previous");
    if crashes > 0 && crashes.is_multiple_of(CRASHES_MAX) && kept.exists() {
        kept
    } else {
        of("current")
    }
}

fn start(
    paths: &Paths,
    program: &Path,
    sockets: &Sockets,
    last_exit: &str,
) -> anyhow::Result<Process> {
    // The real path, so that the base sees which slot it runs from.
    let program = program
        .canonicalize()
        .with_context(|| format!("{} is missing: no base can be started", program.display()))?;
    let pid = host::launch_process(Launch {
        launcher: Path::new("/proc/self/exe"),
        program: &program,
        args: vec!["serve".into(), "--data".into(), paths.data.clone().into()],
        env: vec![
            ("NOTIFY_SOCKET", paths.keeper_socket().into()),
            (LAST_EXIT, last_exit.into()),
            (KEEPER_PID, std::process::id().to_string().into()),
        ],
        sockets: sockets.iter().map(|(name, fd)| (*name, fd.as_fd())).collect(),
    })?;
    tracing::info!(pid, program = %program.display(), "Base started");
    Ok(Process::open(pid)?)
}

/// Why watching a base came to an end.
enum Over {
    /// The appliance is to be stopped.
    Asked,
    /// The base ended.
    Ended(Ended),
    /// The base says nothing any more.
    Silent,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    child: Signal,
}

impl Signals {
    /// Hears them from now on, and those that came while one program became another.
    fn new() -> anyhow::Result<Self> {
        let signals = Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            child: signal(SignalKind::child())?,
        };
        release_signals();
        Ok(signals)
    }

    /// Lets what is asked of the keeper from now on wait for the program that it becomes; answers whether it was asked
    /// to end before that.
    async fn hold(&mut self) -> bool {
        if let Err(error) = host::hold_signals(true) {
            tracing::warn!(%error, "Signals cannot be held");
        }
        // One turn of the runtime, which hears what arrived before they were held.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let asked = tokio::select! {
            biased;
            _ = self.terminate.recv() => true,
            _ = self.interrupt.recv() => true,
            () = std::future::ready(()) => false,
        };
        if asked {
            release_signals();
        }
        asked
    }
}

/// Hears again what is asked of the keeper.
fn release_signals() {
    if let Err(error) = host::hold_signals(false) {
        tracing::warn!(%error, "Signals cannot be released");
    }
}

async fn watch(
    paths: &Paths,
    kept: &mut Kept,
    base: &Process,
    watchdog: &NotifySocket,
    signals: &mut Signals,
    silence: Duration,
) -> Over {
    let mut heard = Instant::now();
    let mut succession = succession::Succession::default();
    loop {
        tokio::select! {
            ended = base.ended() => return Over::Ended(ended),
            _ = signals.terminate.recv() => return Over::Asked,
            _ = signals.interrupt.recv() => return Over::Asked,
            _ = signals.child.recv() => if let Some(ended) = reap(base.pid()) {
                return Over::Ended(ended);
            },
            said = watchdog.next() => match said {
                Ok(said) if said.contains(&Message::Watchdog) => {
                    heard = Instant::now();
                    let long = Duration::from_secs(kept.config.limits.keeper_s);
                    if kept.on_trial.is_some_and(|since| since.elapsed() >= long) {
                        Trial::end(paths);
                        kept.on_trial = None;
                    }
                    if let Some(next) = succession.next(paths).await {
                        if signals.hold().await {
                            return Over::Asked;
                        }
                        succession::enter(&next, paths, kept, base);
                        release_signals();
                    }
                }
                _ => {}
            },
            () = tokio::time::sleep_until((heard + silence).into()) => return Over::Silent,
        }
    }
}

/// Buries children of bases that died before them; answers how the base ended if it was buried on the way.
fn reap(base: u32) -> Option<Ended> {
    use rustix::process::{WaitOptions, wait};
    let mut how = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid.as_raw_nonzero().get().unsigned_abs() == base {
            let signal = status.terminating_signal().map(Ended::Signalled);
            how = status.exit_status().map(Ended::Exited).or(signal).or(Some(Ended::Unknown));
        }
    }
    how
}
