//! One session at a time: set-up, keystrokes, bulk.
//!
//! We and each anchor take turns, a short while each: a machine that is faster now and slower then is so for
//! all of them.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sluis_e2e::load::percentile;
use sluis_e2e::rig::{Profile, Rig};

use crate::ssh::{Ssh, Way};
use crate::{bulk, row, typing};

const SETUPS: usize = 30;

/// Measures and prints.
///
/// # Errors
/// When a side does not work.
pub fn measure(bulk_mb: u64) -> Result<()> {
    let ssh = Ssh::start()?;
    let (rig, console, generation) = site()?;
    let site = rig.pid(generation).context("the site runs")?;
    setup(&ssh, &console)?;
    typing::measure(&ssh, &console)?;
    bulk::measure(&ssh, &console, site, bulk_mb)
}

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

/// One command of ours, to be followed by its words.
pub fn exec(console: &Profile) -> Command {
    let mut command = console.console();
    command.args(["exec", "web-1", "--"]).stdin(Stdio::null());
    command
}

/// The same on a terminal.
pub fn exec_on_terminal(console: &Profile) -> Command {
    let mut command = console.console();
    command.args(["exec", "--terminal", "web-1", "--"]).stdin(Stdio::null());
    command
}

fn setup(ssh: &Ssh, console: &Profile) -> Result<()> {
    let (mut ours, mut anchors) = (Vec::new(), [Vec::new(), Vec::new()]);
    for _ in 0..SETUPS {
        ours.push(micros(exec(console).arg("true"))?);
        for (way, times) in Way::BOTH.into_iter().zip(&mut anchors) {
            times.push(micros(ssh.command(way, &[]).arg("true"))?);
        }
    }
    let median_ms = |times: &mut Vec<u64>| percentile(times, 50.0) as f64 / 1000.0;
    let ours = median_ms(&mut ours);
    for (way, times) in Way::BOTH.into_iter().zip(&mut anchors) {
        let what = format!("set-up, command run and back; {way}");
        row(&what, "ms", ours, Some(median_ms(times)));
    }
    Ok(())
}

fn micros(command: &mut Command) -> Result<u64> {
    let began = Instant::now();
    ensure!(command.status()?.success(), "the command failed");
    Ok(u64::try_from(began.elapsed().as_micros())?)
}
