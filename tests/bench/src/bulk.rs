//! Bulk: one session prints as fast as it can.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sluis_e2e::rig::Profile;

use crate::sessions::{exec, exec_on_terminal};
use crate::ssh::{Ssh, Way};
use crate::{process, relay, row};

/// How often each is measured; the median counts.
const TURNS: usize = 3;

const LOG_LINE: &str =
    "Nov 21 19:44:42 web-1 kernel: eth0: link is up, 10000 Mbit/s, full duplex, flow control rx";

/// What `ssh` may be told to use: its default, and what is fastest where the processor has AES.
const CIPHERS: [&str; 2] = ["chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com"];

/// Measures and prints; `site` is the process of the site.
///
/// # Errors
/// When a side does not work.
pub fn measure(ssh: &Ssh, console: &Profile, site: u32, mb: u64) -> Result<()> {
    let text = format!("yes '{LOG_LINE}' | head -c {mb}M");
    let zeros = format!("head -c {mb}M /dev/zero");
    let line = format!("{LOG_LINE}\n");
    let jobs = [("log text", &text, line.as_bytes()), ("zero bytes", &zeros, &[0])];
    for (what, command, piece) in jobs {
        let job = Job { what, command, piece, bytes: mb * 1024 * 1024, terminal: false };
        job.compare(ssh, console, site)?;
    }
    // As when somebody looks at a long log.
    let command = &format!("stty raw -echo; {text}");
    let what = "log text on a terminal";
    let job =
        Job { what, command, piece: line.as_bytes(), bytes: mb * 1024 * 1024, terminal: true };
    job.compare(ssh, console, site)
}

struct Job<'a> {
    what: &'a str,
    command: &'a str,
    /// What the command prints again and again.
    piece: &'a [u8],
    bytes: u64,
    terminal: bool,
}

/// What the relay needed for the same bytes, turn by turn.
struct Relayed<'a> {
    name: &'a str,
    /// Where it keeps them, if it does.
    record: Option<&'a Path>,
    /// Gigabytes a second.
    rates: Vec<f64>,
    /// Seconds of a processor for a gigabyte.
    times: Vec<f64>,
}

impl Job<'_> {
    fn compare(&self, ssh: &Ssh, console: &Profile, site: u32) -> Result<()> {
        let ways: Vec<(Way, &str)> =
            Way::BOTH.into_iter().flat_map(|way| CIPHERS.map(|cipher| (way, cipher))).collect();
        let (mut ours, mut used) = (Vec::new(), Vec::new());
        let mut anchors = vec![Vec::new(); ways.len()];
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("record");
        let mut relays = [
            Relayed { name: "relay", record: None, rates: Vec::new(), times: Vec::new() },
            Relayed {
                name: "relay to file",
                record: Some(&file),
                rates: Vec::new(),
                times: Vec::new(),
            },
        ];
        for _ in 0..TURNS {
            let before = process::cpu(site)?;
            let command = if self.terminal { exec_on_terminal(console) } else { exec(console) };
            ours.push(self.rate(command)?);
            used.push(self.a_gigabyte(process::cpu(site)?.saturating_sub(before)));
            for ((way, cipher), rates) in ways.iter().zip(&mut anchors) {
                let terminal: &[&str] = if self.terminal { &["-tt"] } else { &[] };
                let options = [&["-c", cipher], terminal].concat();
                rates.push(self.rate(ssh.command(*way, &options))?);
            }
            for relay in &mut relays {
                let cost = relay::pass(self.piece, self.bytes, relay.record)?;
                relay.rates.push(self.a_gigabyte(cost.took).recip());
                relay.times.push(self.a_gigabyte(cost.cpu));
            }
        }
        let (what, ours, used) = (self.what, median(&mut ours), median(&mut used));
        for ((way, cipher), rates) in ways.iter().zip(&mut anchors) {
            let cipher = cipher.split(['-', '@']).next().unwrap_or(cipher);
            let what = format!("bulk of {what}, recorded; {way}, {cipher}");
            row(&what, "GB/s", ours, Some(median(rates)));
        }
        for Relayed { name, rates, times, .. } in &mut relays {
            // A terminal is slower than any of us, and the relay has none.
            if !self.terminal {
                let rate = format!("bulk of {what}, recorded; {name}");
                row(&rate, "GB/s", ours, Some(median(rates)));
            }
            let time = format!("site's processor time for bulk of {what}; {name}");
            row(&time, "s/GB", used, Some(median(times)));
        }
        Ok(())
    }

    /// Seconds for a gigabyte, when the job took so long.
    fn a_gigabyte(&self, took: Duration) -> f64 {
        took.as_secs_f64() / (self.bytes as f64 / 1e9)
    }

    /// Gigabytes a second, from the first of them on: how long a session takes to begin is another matter.
    fn rate(&self, mut command: Command) -> Result<f64> {
        let mut child = command.arg(self.command).stdout(Stdio::piped()).spawn()?;
        let mut stdout = child.stdout.take().context("no output")?;
        let mut buffer = vec![0; 256 * 1024];
        let first = stdout.read(&mut buffer)?;
        let began = Instant::now();
        let mut read = first as u64;
        loop {
            let n = stdout.read(&mut buffer)?;
            if n == 0 {
                break;
            }
            read += n as u64;
        }
        let took = began.elapsed();
        child.wait()?;
        ensure!(read == self.bytes, "{read} bytes came of {}", self.bytes);
        Ok((read - first as u64) as f64 / 1e9 / took.as_secs_f64())
    }
}

fn median(rates: &mut [f64]) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}
