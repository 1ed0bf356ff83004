//! Sessions under load, each checked line by line.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::bins::program;
use crate::clock::monotonic_us;
use crate::rig::Profile;

/// What one session showed.
#[derive(Debug, Default, Clone)]
pub struct Report {
    /// Lines that came.
    pub lines: u64,
    /// Between writing a line at the endpoint and reading it at the console, in microseconds.
    pub delays_us: Vec<u64>,
    /// When each was printed, in microseconds.
    pub printed_us: Vec<u64>,
}

/// A session that prints numbered lines, with a thread that checks them.
pub struct Ticking {
    child: Child,
    checker: JoinHandle<Result<Report>>,
    first: mpsc::Receiver<()>,
}

/// Opens a session whose remote process prints that many lines, one every `pause_ms`.
///
/// # Errors
/// When the console does not start.
pub fn tick(profile: &Profile, endpoint: &str, lines: u64, pause_ms: u64) -> Result<Ticking> {
    open(profile, endpoint, &[&pause_ms.to_string(), &lines.to_string()])
}

/// The same, until the file is there.
///
/// # Errors
/// When the console does not start.
pub fn tick_until(
    profile: &Profile,
    endpoint: &str,
    pause_ms: u64,
    stop: &Path,
) -> Result<Ticking> {
    open(profile, endpoint, &[&pause_ms.to_string(), "until", &stop.display().to_string()])
}

fn open(profile: &Profile, endpoint: &str, how: &[&str]) -> Result<Ticking> {
    let ticker = program("sluis-ticker").display().to_string();
    let mut child = profile
        .crowded_console()
        .args(["exec", endpoint, "--", &ticker])
        .args(how)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("the console does not start")?;
    let stdout = child.stdout.take().context("the console has no output")?;
    let (seen, first) = mpsc::sync_channel(1);
    let checker = std::thread::spawn(move || check(stdout, &seen));
    Ok(Ticking { child, checker, first })
}

fn check(stdout: impl Read, seen: &mpsc::SyncSender<()>) -> Result<Report> {
    let mut report = Report::default();
    let mut ended = false;
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        let arrived = monotonic_us();
        let (number, written) =
            line.trim().split_once(' ').with_context(|| format!("an odd line: {line:?}"))?;
        ensure!(!ended, "a line came after the end: {line:?}");
        if number == "end" {
            ensure!(written.parse() == Ok(report.lines), "{line}, but {} lines came", report.lines);
            ended = true;
            continue;
        }
        let (number, written): (u64, u64) = (number.parse()?, written.parse()?);
        ensure!(number == report.lines, "line {} was due, line {number} came", report.lines);
        if number == 0 {
            // Whoever waits may be gone.
            let _ = seen.send(());
        }
        report.lines += 1;
        report.delays_us.push(arrived.saturating_sub(written));
        report.printed_us.push(written);
    }
    ensure!(ended, "the end did not come after {} lines", report.lines);
    Ok(report)
}

impl Ticking {
    /// Waits until the first line came.
    ///
    /// # Errors
    /// When the session ended before.
    pub fn wait_running(&mut self) -> Result<()> {
        use mpsc::RecvTimeoutError::{Disconnected, Timeout};
        match self.first.recv_timeout(Duration::from_mins(1)) {
            Ok(()) => Ok(()),
            Err(Timeout) => bail!("no line came within a minute"),
            Err(Disconnected) => {
                let status = self.child.wait()?;
                bail!("no line came; the console ended with {status}: {}", said(&mut self.child)?)
            }
        }
    }

    /// Waits for the end; every line must have come once, in order.
    ///
    /// # Errors
    /// When one is missing or doubled, or the session failed.
    pub fn finish(mut self) -> Result<Report> {
        let checked = self.checker.join().map_err(|_| anyhow::anyhow!("the checker panicked"))?;
        let said = said(&mut self.child)?;
        let status = self.child.wait()?;
        let report = checked.with_context(|| format!("console: {}", said.trim()))?;
        ensure!(status.success(), "the console ended with {status}: {said}");
        Ok(report)
    }
}

/// What the console wrote to standard error.
fn said(child: &mut Child) -> Result<String> {
    let mut said = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut said)?;
    }
    Ok(said)
}

/// A session into which lines are typed, each of which must come back.
pub struct Typing {
    child: Child,
    stdin: ChildStdin,
    lines: mpsc::Receiver<String>,
    typed: u64,
}

/// Opens a session that echoes.
///
/// # Errors
/// When the console does not start.
pub fn typing(profile: &Profile, endpoint: &str) -> Result<Typing> {
    let ticker = program("sluis-ticker").display().to_string();
    let mut child = profile
        .crowded_console()
        .args(["exec", endpoint, "--", &ticker, "--echo"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .context("the console does not start")?;
    let stdin = child.stdin.take().context("the console has no input")?;
    let stdout = child.stdout.take().context("the console has no output")?;
    let (sender, lines) = mpsc::sync_channel(1024);
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    Ok(Typing { child, stdin, lines, typed: 0 })
}

impl Typing {
    /// Types one line and waits for its echo; answers how long that took.
    ///
    /// # Errors
    /// When another line comes back, or none.
    pub fn type_line(&mut self) -> Result<Duration> {
        let line = format!("typed {}", self.typed);
        self.typed += 1;
        let began = std::time::Instant::now();
        writeln!(self.stdin, "{line}")?;
        self.stdin.flush()?;
        let back = self.lines.recv_timeout(Duration::from_mins(1)).context("no echo came")?;
        ensure!(back == line, "“{line}” was typed, “{back}” came back");
        Ok(began.elapsed())
    }

    /// Ends the input and waits for the end.
    ///
    /// # Errors
    /// When the session did not end well.
    pub fn finish(mut self) -> Result<u64> {
        drop(self.stdin);
        let status = self.child.wait()?;
        ensure!(status.success(), "the console ended with {status}");
        Ok(self.typed)
    }
}

/// The delay that `percent` of all lines kept.
pub fn percentile(delays_us: &mut [u64], percent: f64) -> u64 {
    if delays_us.is_empty() {
        return 0;
    }
    delays_us.sort_unstable();
    let index = ((delays_us.len() as f64 - 1.0) * percent / 100.0).round();
    delays_us[index as usize]
}
