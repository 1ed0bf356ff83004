//! One session at a time: bulk, keystrokes, set-up.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sluis_e2e::bins::program;
use sluis_e2e::load::percentile;
use sluis_e2e::rig::{Profile, Rig};

use crate::process;
use crate::row;
use crate::ssh::{Ssh, Way};

const SETUPS: usize = 30;
const KEYSTROKES: usize = 1000;

/// Measures and prints.
///
/// # Errors
/// When a side does not work.
pub fn measure(bulk_mb: u64) -> Result<()> {
    let ssh = Ssh::start()?;
    let (rig, console, generation) = site()?;
    let site = rig.pid(generation).context("the site runs")?;
    setup(&ssh, &console)?;
    echo(&ssh, &console)?;
    for (what, line) in [("log text", LOG_LINE), ("zero bytes", "")] {
        bulk(&ssh, &console, site, what, line, bulk_mb)?;
    }
    bulk_on_terminal(&ssh, &console, bulk_mb)
}

const LOG_LINE: &str =
    "Nov 21 19:44:42 web-1 kernel: eth0: link is up, 10000 Mbit/s, full duplex, flow control rx";

fn site() -> Result<(Rig, Profile, u64)> {
    let mut rig = Rig::new()?;
    let package = rig.package("1.0.0", 1, 1)?;
    rig.migrate(&package)?;
    let generation = rig.start(&package)?;
    rig.control(generation, "POST", "activate")?;
    let console = rig.operator("ada")?;
    let token = rig.enrolment_token()?;
    rig.agent("web-1", &token)?;
    rig.wait_agents(generation, 1, Duration::from_secs(30))?;
    Ok((rig, console, generation))
}

fn exec(console: &Profile) -> Command {
    let mut command = console.console();
    command.args(["exec", "web-1", "--"]).stdin(Stdio::null());
    command
}

fn setup(ssh: &Ssh, console: &Profile) -> Result<()> {
    let ours = median_ms(|| exec(console).arg("true").status().map(|s| s.success()))?;
    for way in Way::BOTH {
        let anchor = || ssh.command(way, &[]).arg("true").status().map(|s| s.success());
        row(&format!("set-up, command run and back; {way}"), "ms", ours, Some(median_ms(anchor)?));
    }
    Ok(())
}

fn median_ms(mut run: impl FnMut() -> std::io::Result<bool>) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..SETUPS {
        let began = Instant::now();
        ensure!(run()?, "the command failed");
        times.push(u64::try_from(began.elapsed().as_micros())?);
    }
    Ok(percentile(&mut times, 50.0) as f64 / 1000.0)
}

/// What is typed comes back from a program at the endpoint, which reads and writes a terminal, or pipes.
fn echo(ssh: &Ssh, console: &Profile) -> Result<()> {
    let ticker = program("sluis-ticker").display().to_string();
    let raw = format!("stty raw -echo; echo ready; exec {ticker} --echo");
    let on_terminal = ["exec", "--terminal", "web-1", "--", &raw];
    let mut ours = type_on_terminal(console.console().args(on_terminal))?;
    for way in Way::BOTH {
        let mut anchor = type_on_terminal(ssh.command(way, &["-tt"]).arg(&raw))?;
        compare_delays(&format!("keystroke echo; {way}"), &mut ours, &mut anchor);
    }
    let mut ours = type_lines(exec(console).args([&ticker, "--echo"]))?;
    for way in Way::BOTH {
        let mut anchor = type_lines(ssh.command(way, &[]).args([&ticker, "--echo"]))?;
        compare_delays(&format!("echo through pipes; {way}"), &mut ours, &mut anchor);
    }
    Ok(())
}

fn compare_delays(what: &str, ours: &mut [u64], anchor: &mut [u64]) {
    for percent in [50.0, 99.0] {
        let pair = (percentile(ours, percent) as f64, percentile(anchor, percent) as f64);
        row(&format!("{what}, p{percent}"), "µs", pair.0, Some(pair.1));
    }
}

/// As an operator does it: in a terminal of their own, which the program sets to raw mode.
fn type_on_terminal(command: &mut Command) -> Result<Vec<u64>> {
    let (ours, theirs) = terminal()?;
    let mut child =
        command.stdin(theirs.try_clone()?).stdout(theirs).stderr(Stdio::null()).spawn()?;
    let mut keyboard = std::fs::File::from(ours.try_clone()?);
    let mut screen = BufReader::new(std::fs::File::from(ours));
    let mut line = String::new();
    while line.trim() != "ready" {
        line.clear();
        ensure!(screen.read_line(&mut line)? > 0, "the session ended");
    }
    let times = echoes(&mut keyboard, &mut screen);
    child.kill()?;
    child.wait()?;
    times
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

fn type_lines(command: &mut Command) -> Result<Vec<u64>> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().context("no input")?;
    let mut stdout = BufReader::new(child.stdout.take().context("no output")?);
    let times = echoes(&mut stdin, &mut stdout)?;
    drop(stdin);
    child.wait()?;
    Ok(times)
}

fn echoes(keyboard: &mut impl Write, screen: &mut impl BufRead) -> Result<Vec<u64>> {
    let mut times = Vec::new();
    let mut line = String::new();
    for i in 0..KEYSTROKES + 50 {
        let began = Instant::now();
        keyboard.write_all(b"x\n")?;
        line.clear();
        screen.read_line(&mut line)?;
        ensure!(line == "x\n", "“{line}” came back");
        // The first ones warm caches and connections up.
        if i >= 50 {
            times.push(u64::try_from(began.elapsed().as_micros())?);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(times)
}

fn bulk(ssh: &Ssh, console: &Profile, site: u32, what: &str, line: &str, mb: u64) -> Result<()> {
    let source = if line.is_empty() {
        format!("head -c {mb}M /dev/zero")
    } else {
        format!("yes '{line}' | head -c {mb}M")
    };
    let bytes = mb * 1024 * 1024;
    let before = process::cpu(site)?;
    let ours = gigabytes_a_second(exec(console).arg(&source), bytes)?;
    let used = process::cpu(site)?.saturating_sub(before);
    let ciphers = ["chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com"];
    for (way, cipher) in Way::BOTH.into_iter().flat_map(|way| ciphers.map(|c| (way, c))) {
        let anchor = gigabytes_a_second(ssh.command(way, &["-c", cipher]).arg(&source), bytes)?;
        let name = cipher.split(['-', '@']).next().unwrap_or(cipher);
        row(&format!("bulk of {what}, recorded; {way}, {name}"), "GB/s", ours, Some(anchor));
    }
    row(
        &format!("site's processor time for bulk of {what}"),
        "s/GB",
        used.as_secs_f64() / (bytes as f64 / 1e9),
        None,
    );
    Ok(())
}

/// What a program prints on its terminal, as when somebody looks at a long log.
fn bulk_on_terminal(ssh: &Ssh, console: &Profile, mb: u64) -> Result<()> {
    let source = format!("stty raw -echo; yes '{LOG_LINE}' | head -c {mb}M");
    let bytes = mb * 1024 * 1024;
    let mut ours = console.console();
    ours.args(["exec", "--terminal", "web-1", "--", &source]).stdin(Stdio::null());
    let ours = gigabytes_a_second(&mut ours, bytes)?;
    for way in Way::BOTH {
        let anchor = gigabytes_a_second(ssh.command(way, &["-tt"]).arg(&source), bytes)?;
        row(&format!("bulk of log text on a terminal; {way}"), "GB/s", ours, Some(anchor));
    }
    Ok(())
}

fn gigabytes_a_second(command: &mut Command, bytes: u64) -> Result<f64> {
    let began = Instant::now();
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut stdout = child.stdout.take().context("no output")?;
    let mut buffer = vec![0; 256 * 1024];
    let mut read = 0;
    loop {
        let n = stdout.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        read += n as u64;
    }
    let took = began.elapsed();
    child.wait()?;
    ensure!(read == bytes, "{read} bytes came of {bytes}");
    Ok(read as f64 / 1e9 / took.as_secs_f64())
}
