//! What the system says of a process.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// Processor time that a process has used.
pub fn cpu(pid: u32) -> Result<Duration> {
    Ok(stat(pid)?.cpu)
}

/// Processor time that we and all that we started have used, by the programs' names.
pub fn family_cpu() -> Result<BTreeMap<String, Duration>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let pid = entry.file_name().to_string_lossy().parse::<u32>();
        // One that ends meanwhile does not count.
        if let Some((pid, stat)) = pid.ok().and_then(|pid| Some((pid, stat(pid).ok()?))) {
            all.insert(pid, stat);
        }
    }
    let mut used = BTreeMap::new();
    for (pid, stat) in &all {
        if is_ours(&all, *pid) {
            *used.entry(stat.name.clone()).or_default() += stat.cpu;
        }
    }
    Ok(used)
}

fn is_ours(all: &BTreeMap<u32, Stat>, mut pid: u32) -> bool {
    while pid != std::process::id() {
        match all.get(&pid) {
            Some(stat) => pid = stat.parent,
            None => return false,
        }
    }
    true
}

struct Stat {
    name: String,
    parent: u32,
    cpu: Duration,
}

fn stat(pid: u32) -> Result<Stat> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (name, rest) = stat.rsplit_once(')').context("an odd stat")?;
    let name = name.split_once('(').context("an odd stat")?.1.to_owned();
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    // USER_HZ is 100 on every Linux that Rust runs on.
    Ok(Stat { name, parent: fields[1].parse()?, cpu: Duration::from_millis(ticks * 10) })
}

/// Resident memory of a process, in KiB.
pub fn resident_kib(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).context("no number")?.parse()?)
}
