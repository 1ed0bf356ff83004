//! One session at a time: bulk, keystrokes, set-up.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sluis_e2e::bins::program;
use sluis_e2e::load::percentile;
use sluis_e2e::rig::{Profile, Rig};

use crate::process;
use crate::row;
use crate::ssh::Ssh;

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
    Ok(())
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
    let anchor = median_ms(|| ssh.command(&[]).arg("true").status().map(|s| s.success()))?;
    row("set-up, command run and back, median", "ms", ours, Some(anchor));
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

fn echo(ssh: &Ssh, console: &Profile) -> Result<()> {
    let ticker = program("sluis-ticker").display().to_string();
    let mut ours = type_lines(exec(console).args([&ticker, "--echo"]))?;
    let mut anchor = type_lines(ssh.command(&[]).args([&ticker, "--echo"]))?;
    for percent in [50.0, 99.0] {
        let pair = (percentile(&mut ours, percent) as f64, percentile(&mut anchor, percent) as f64);
        row(&format!("keystroke echo, p{percent}"), "µs", pair.0, Some(pair.1));
    }
    Ok(())
}

fn type_lines(command: &mut Command) -> Result<Vec<u64>> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().context("no input")?;
    let mut stdout = BufReader::new(child.stdout.take().context("no output")?);
    let mut times = Vec::new();
    let mut line = String::new();
    for i in 0..KEYSTROKES + 50 {
        let began = Instant::now();
        stdin.write_all(b"x\n")?;
        line.clear();
        stdout.read_line(&mut line)?;
        ensure!(line == "x\n", "“{line}” came back");
        // The first ones warm caches and connections up.
        if i >= 50 {
            times.push(u64::try_from(began.elapsed().as_micros())?);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(stdin);
    child.wait()?;
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
    for cipher in ["chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com"] {
        let anchor = gigabytes_a_second(ssh.command(&["-c", cipher]).arg(&source), bytes)?;
        let name = cipher.split(['-', '@']).next().unwrap_or(cipher);
        row(&format!("bulk of {what}, recorded; ssh with {name}"), "GB/s", ours, Some(anchor));
    }
    row(
        &format!("site's processor time for bulk of {what}"),
        "s/GB",
        used.as_secs_f64() / (bytes as f64 / 1e9),
        None,
    );
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
