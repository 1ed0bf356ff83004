//! An appliance at work: many sessions, HTTP requests and new sessions all the time, and what
//! anybody noticed of what happened meanwhile.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::appliance::Appliance;
use crate::clock::monotonic_us;
use crate::load::{self, Ticking, percentile};
use crate::rig::Profile;
use crate::web::{Load, Seen};

/// How much goes on.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Sessions whose remote process prints a line every 10 ms.
    pub ticking: usize,
    /// Sessions that are typed into, each line waiting for its echo.
    pub typing: usize,
}

/// Work under way.
pub struct Live {
    stop_file: PathBuf,
    stop: Arc<AtomicBool>,
    ticking: Vec<Ticking>,
    typing: Vec<JoinHandle<Result<Typed>>>,
    opening: JoinHandle<Result<Opened>>,
    http: Load,
    marks: Vec<(String, u64)>,
}

/// How late lines came while one thing was done.
#[derive(Debug)]
pub struct Stretch {
    /// What was done.
    pub what: String,
    /// What 99 of 100 lines kept, in microseconds.
    pub p99_us: u64,
    /// The longest.
    pub worst_us: u64,
}

/// Sessions opened one after the other.
struct Opened {
    ran: u64,
    refused: Vec<String>,
}

struct Typed {
    lines: u64,
    worst: Duration,
}

/// What anybody noticed.
#[derive(Debug)]
pub struct Noticed {
    /// Sessions that ran from before to after; each to its end.
    pub sessions: usize,
    /// Lines that came, each once.
    pub lines: usize,
    /// The same, one thing that was done after the other.
    pub stretches: Vec<Stretch>,
    /// Between a line's printing and its showing: the middle one, in microseconds.
    pub p50_us: u64,
    /// What 99 of 100 lines kept.
    pub p99_us: u64,
    /// The longest.
    pub worst_us: u64,
    /// Lines typed and echoed.
    pub typed: u64,
    /// The slowest echo.
    pub echo_worst: Duration,
    /// Sessions opened meanwhile, each with its command run.
    pub opened: u64,
    /// What was said to those that could not be opened.
    pub refused: Vec<String>,
    /// HTTP requests on kept and new connections.
    pub http: Seen,
}

impl Live {
    /// Starts the work and waits until every session shows something.
    ///
    /// # Errors
    /// When a session does not open.
    pub fn start(
        appliance: &Appliance,
        console: &Profile,
        clients: &[&str],
        scale: Scale,
    ) -> Result<Self> {
        let stop_file = appliance.data().join("stop-ticking");
        let stop = Arc::new(AtomicBool::new(false));
        let mut ticking = (0..scale.ticking)
            .map(|i| load::tick_until(console, clients[i % clients.len()], 10, &stop_file))
            .collect::<Result<Vec<_>>>()?;
        let typing = (0..scale.typing)
            .map(|i| type_all_along(console, clients[i % clients.len()], stop.clone()))
            .collect::<Result<Vec<_>>>()?;
        for session in &mut ticking {
            session.wait_running()?;
        }
        let opening = open_all_along(console, clients[0], stop.clone());
        let http = Load::start(appliance.web.clone(), "/check_health");
        Ok(Self {
            stop_file,
            stop,
            ticking,
            typing,
            opening,
            http,
            marks: vec![("nothing changes".to_owned(), 0)],
        })
    }

    /// Says what is done from now on, to tell its share of the stalls from that of others.
    pub fn mark(&mut self, what: &str) {
        self.marks.push((what.to_owned(), monotonic_us()));
    }

    /// Ends the work; every session must have shown everything once, and nobody may have been refused.
    ///
    /// # Errors
    /// When anybody missed anything: with what.
    pub fn finish(self) -> Result<Noticed> {
        let noticed = self.end()?;
        ensure!(
            noticed.http.failed == 0,
            "{} requests failed: {:?}",
            noticed.http.failed,
            noticed.http.failures
        );
        ensure!(noticed.refused.is_empty(), "sessions were refused: {:?}", noticed.refused);
        Ok(noticed)
    }

    /// Ends the work; every session must have shown everything once. What was refused meanwhile is told.
    ///
    /// # Errors
    /// When a session missed anything: with what.
    pub fn end(self) -> Result<Noticed> {
        std::fs::write(&self.stop_file, b"")?;
        self.stop.store(true, Ordering::Release);
        let http = self.http.finish();
        let opened = join(self.opening).context("sessions opened one after the other")?;
        let (mut typed, mut echo_worst) = (0, Duration::ZERO);
        let sessions = self.ticking.len() + self.typing.len();
        for typing in self.typing {
            let done = join(typing).context("a session that was typed into")?;
            typed += done.lines;
            echo_worst = echo_worst.max(done.worst);
        }
        let (mut delays, mut by_mark) = (Vec::new(), vec![Vec::new(); self.marks.len()]);
        for (number, session) in self.ticking.into_iter().enumerate() {
            let report = session.finish().with_context(|| format!("ticking session {number}"))?;
            for (printed, delay) in report.printed_us.iter().zip(&report.delays_us) {
                let mark = self.marks.partition_point(|(_, at)| at <= printed).saturating_sub(1);
                by_mark[mark].push(*delay);
            }
            delays.extend(report.delays_us);
        }
        let stretch = |((what, _), mut delays): ((String, u64), Vec<u64>)| Stretch {
            what,
            p99_us: percentile(&mut delays, 99.0),
            worst_us: percentile(&mut delays, 100.0),
        };
        let stretches = self.marks.into_iter().zip(by_mark).map(stretch).collect();
        std::fs::remove_file(&self.stop_file)?;
        Ok(Noticed {
            sessions,
            lines: delays.len(),
            stretches,
            p50_us: percentile(&mut delays, 50.0),
            p99_us: percentile(&mut delays, 99.0),
            worst_us: percentile(&mut delays, 100.0),
            typed,
            echo_worst,
            opened: opened.ran,
            refused: opened.refused,
            http,
        })
    }
}

impl std::fmt::Display for Noticed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = |us: u64| us as f64 / 1000.0;
        let millis = |d: Duration| d.as_secs_f64() * 1000.0;
        writeln!(
            f,
            "sessions        {} ran to their end, 0 dropped; {} more opened meanwhile, {} refused",
            self.sessions,
            self.opened,
            self.refused.len()
        )?;
        writeln!(f, "lines           {} came, 0 missing, 0 doubled", self.lines)?;
        writeln!(
            f,
            "stall           p50 {:.1} ms, p99 {:.1} ms, worst {:.1} ms",
            ms(self.p50_us),
            ms(self.p99_us),
            ms(self.worst_us)
        )?;
        for stretch in &self.stretches {
            let (p99, worst) = (ms(stretch.p99_us), ms(stretch.worst_us));
            writeln!(f, "  {:28}  p99 {p99:.1} ms, worst {worst:.1} ms", stretch.what)?;
        }
        writeln!(
            f,
            "typing          {} lines echoed, slowest {:.1} ms",
            self.typed,
            millis(self.echo_worst)
        )?;
        write!(
            f,
            "HTTP requests   {} answered, {} failed, slowest {:.1} ms",
            self.http.answered,
            self.http.failed,
            millis(self.http.worst)
        )
    }
}

fn join<T>(thread: JoinHandle<Result<T>>) -> Result<T> {
    match thread.join() {
        Ok(done) => done,
        Err(_) => bail!("a checking thread panicked"),
    }
}

fn type_all_along(
    console: &Profile,
    endpoint: &str,
    stop: Arc<AtomicBool>,
) -> Result<JoinHandle<Result<Typed>>> {
    let mut session = load::typing(console, endpoint)?;
    session.type_line()?;
    Ok(std::thread::spawn(move || {
        let mut worst = Duration::ZERO;
        while !stop.load(Ordering::Acquire) {
            worst = worst.max(session.type_line()?);
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(Typed { lines: session.finish()?, worst })
    }))
}

/// Opens one session after the other, each running a command whose exit status must come back.
fn open_all_along(
    console: &Profile,
    endpoint: &str,
    stop: Arc<AtomicBool>,
) -> JoinHandle<Result<Opened>> {
    let (console, endpoint) = (console.clone(), endpoint.to_owned());
    std::thread::spawn(move || {
        let mut opened = Opened { ran: 0, refused: vec![] };
        while !stop.load(Ordering::Acquire) {
            let output = console
                .console()
                .args(["exec", &endpoint, "--", "exit 7"])
                .stdin(Stdio::null())
                .output()?;
            if output.status.code() == Some(7) {
                opened.ran += 1;
                continue;
            }
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            opened.refused.push(format!("{}: {said}", output.status));
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(opened)
    })
}

/// Waits until every recording of the site is finished, and checks each from end to end.
///
/// # Errors
/// When one is broken, or is not finished in time: with what it holds, and what the site logged of it.
pub fn check_recordings(appliance: &Appliance, limit: Duration) -> Result<usize> {
    check_recordings_in(&appliance.data().join("site/recordings"), limit).map_err(|error| {
        let log = appliance.whole_log();
        let about = |line: &&str| {
            line.split_once("session=").is_some_and(|(_, rest)| {
                rest.split_whitespace().next().is_some_and(|id| error.to_string().contains(id))
            })
        };
        let lines: Vec<&str> = log.lines().filter(about).collect();
        error.context(lines.join("\n"))
    })
}

/// The same for a folder of recordings.
///
/// # Errors
/// When one is broken, or is not finished in time.
pub fn check_recordings_in(folder: &Path, limit: Duration) -> Result<usize> {
    let deadline = Instant::now() + limit;
    let mut checked = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "cast") {
            check_recording(folder, &path, deadline)?;
            checked += 1;
        }
    }
    Ok(checked)
}

fn check_recording(folder: &Path, path: &Path, deadline: Instant) -> Result<()> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let session =
        stem.parse().with_context(|| format!("{} is no recording of a session", path.display()))?;
    loop {
        let verified = terminal::verify(folder, session)?;
        if verified.ending.is_some() {
            ensure!(verified.broken.is_none(), "{}: {:?}", path.display(), verified.broken);
            return Ok(());
        }
        if Instant::now() >= deadline {
            let begun = std::fs::read_to_string(path).unwrap_or_default();
            let first = begun.lines().next().unwrap_or_default();
            bail!("{} is not finished; it begins {first}", path.display());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
