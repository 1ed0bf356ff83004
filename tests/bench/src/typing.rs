//! Keystrokes: what is typed comes back from a program at the endpoint.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sluis_e2e::bins::program;
use sluis_e2e::load::percentile;
use sluis_e2e::rig::Profile;

use crate::row;
use crate::sessions::{exec, exec_on_terminal};
use crate::ssh::{Ssh, Way};

/// How often each is typed at.
const TURNS: usize = 25;

/// Keystrokes of one turn that count.
const KEYSTROKES: usize = 40;

/// Keystrokes at the beginning of each turn that do not: what the others pushed out of the caches comes back.
const WARMING: usize = 5;

/// Between two keystrokes.
const PAUSE: Duration = Duration::from_millis(1);

/// Measures and prints: on a terminal, as an operator types, and through pipes, as a program does.
///
/// # Errors
/// When a side does not work.
pub fn measure(ssh: &Ssh, console: &Profile) -> Result<()> {
    let ticker = program("sluis-ticker").display().to_string();
    let raw = format!("stty raw -echo; echo ready; exec {ticker} --echo");
    let ours = Typist::on_terminal(exec_on_terminal(console).arg(&raw))?;
    let anchors = anchors(|way| Typist::on_terminal(ssh.command(way, &["-tt"]).arg(&raw)))?;
    compare("keystroke echo", ours, anchors)?;
    let piped = format!("echo ready; exec {ticker} --echo");
    let ours = Typist::on_pipes(exec(console).arg(&piped))?;
    let anchors = anchors_on_pipes(ssh, &piped)?;
    compare("echo through pipes", ours, anchors)
}

fn anchors_on_pipes(ssh: &Ssh, command: &str) -> Result<Vec<(Way, Typist)>> {
    anchors(|way| Typist::on_pipes(ssh.command(way, &[]).arg(command)))
}

fn anchors(start: impl Fn(Way) -> Result<Typist>) -> Result<Vec<(Way, Typist)>> {
    Way::BOTH.into_iter().map(|way| Ok((way, start(way)?))).collect()
}

fn compare(what: &str, mut ours: Typist, mut anchors: Vec<(Way, Typist)>) -> Result<()> {
    for _ in 0..TURNS {
        ours.take_a_turn()?;
        for (_, anchor) in &mut anchors {
            anchor.take_a_turn()?;
        }
    }
    for (way, mut anchor) in anchors {
        for percent in [50.0, 99.0] {
            let of = |times: &mut Vec<u64>| percentile(times, percent) as f64;
            let (ours, anchor) = (of(&mut ours.micros), of(&mut anchor.micros));
            row(&format!("{what}; {way}, p{percent}"), "µs", ours, Some(anchor));
        }
    }
    Ok(())
}

/// Somebody at a keyboard, and how long each keystroke took to come back.
struct Typist {
    child: Child,
    keyboard: Box<dyn Write>,
    screen: BufReader<Box<dyn Read>>,
    micros: Vec<u64>,
}

impl Typist {
    /// In a terminal of their own, which the program sets to raw mode.
    fn on_terminal(command: &mut Command) -> Result<Self> {
        let (ours, theirs) = terminal()?;
        let child =
            command.stdin(theirs.try_clone()?).stdout(theirs).stderr(Stdio::null()).spawn()?;
        let ours = File::from(ours);
        Self { child, keyboard: Box::new(ours.try_clone()?), screen: screen(ours), micros: vec![] }
            .ready()
    }

    /// As a program that talks to another one.
    fn on_pipes(command: &mut Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let keyboard = Box::new(child.stdin.take().context("no input")?);
        let output = child.stdout.take().context("no output")?;
        Self { child, keyboard, screen: screen(output), micros: vec![] }.ready()
    }

    fn ready(mut self) -> Result<Self> {
        let mut line = String::new();
        while line.trim() != "ready" {
            line.clear();
            ensure!(self.screen.read_line(&mut line)? > 0, "the session ended");
        }
        Ok(self)
    }

    fn take_a_turn(&mut self) -> Result<()> {
        for i in 0..WARMING + KEYSTROKES {
            let took = self.type_one()?;
            if i >= WARMING {
                self.micros.push(u64::try_from(took.as_micros())?);
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn type_one(&mut self) -> Result<Duration> {
        let mut line = String::new();
        let began = Instant::now();
        self.keyboard.write_all(b"x\n")?;
        self.screen.read_line(&mut line)?;
        ensure!(line == "x\n", "“{line}” came back");
        Ok(began.elapsed())
    }
}

impl Drop for Typist {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn screen(output: impl Read + 'static) -> BufReader<Box<dyn Read>> {
    BufReader::new(Box::new(output))
}

/// A terminal: its controlling side, and that of the program.
fn terminal() -> Result<(OwnedFd, OwnedFd)> {
    use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ours = openpt(flags)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    let theirs = ioctl_tiocgptpeer(&ours, flags)?;
    Ok((ours, theirs))
}
