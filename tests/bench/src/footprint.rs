//! How small the agent is: its file, and its two processes when nothing is to be done.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sluis_e2e::bins::client_program;
use sluis_e2e::rig::Rig;

use crate::row;

/// The agent counts as idle when the memory of its processes has stood still for so long.
const QUIET: Duration = Duration::from_secs(3);

/// Measures and prints.
///
/// # Errors
/// When the agent does not come up.
pub fn measure() -> Result<()> {
    for name in ["sluis-agent", "sluis"] {
        let size = fs::metadata(client_program(name))?.len();
        let goal = if name == "sluis-agent" { " (goal 8)" } else { "" };
        row(&format!("size of {name}{goal}"), "MB", size as f64 / 1e6, None);
    }
    let mut rig = Rig::new()?;
    let package = rig.package("1.0.0", 1, 1)?;
    rig.migrate(&package)?;
    let site = rig.start(&package)?;
    rig.control(site, "POST", "activate")?;
    let token = rig.enrolment_token()?;
    rig.agent("idle", &token)?;
    rig.wait_agents(site, 1, Duration::from_secs(30))?;
    let keeper = rig.last_client().context("no agent runs")?;
    let serving = child_of(keeper)?;
    settle(serving)?;
    let mut whole = 0.0;
    for (name, pid) in [("keeper", keeper), ("serve", serving)] {
        let (rss, pss) = (memory(pid, "Rss:")?, memory(pid, "Pss:")?);
        row(&format!("idle agent, {name}: resident"), "MB", rss, None);
        row(&format!("idle agent, {name}: its share of it"), "MB", pss, None);
        whole += pss;
    }
    row("idle agent, both processes (goal 12)", "MB", whole, None);
    Ok(())
}

/// The one process that another one started.
fn child_of(pid: u32) -> Result<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let children = fs::read_to_string(&path).with_context(|| path.clone())?;
    let child = children.split_whitespace().next().context("the keeper has no process")?;
    Ok(child.parse()?)
}

fn settle(pid: u32) -> Result<()> {
    let deadline = Instant::now() + Duration::from_mins(1);
    let (mut last, mut since) = (memory(pid, "Rss:")?, Instant::now());
    while since.elapsed() < QUIET {
        ensure!(Instant::now() < deadline, "the agent does not come to rest");
        std::thread::sleep(Duration::from_millis(200));
        let now = memory(pid, "Rss:")?;
        if (now - last).abs() > 0.05 {
            (last, since) = (now, Instant::now());
        }
    }
    Ok(())
}

/// A line of what the kernel says of a process's memory, in MB.
fn memory(pid: u32, what: &str) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find(|line| line.starts_with(what)).context("an odd smaps_rollup")?;
    let kib: f64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
    Ok(kib * 1024.0 / 1e6)
}
