//! Many sessions at once: what a line costs, how late it comes, what an open session holds.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sluis_e2e::load::{self, Ticking, percentile};
use sluis_e2e::rig::{Profile, Rig};

use crate::process::{self, resident_kib};
use crate::row;

const AGENTS: usize = 4;
const PAUSE_MS: u64 = 10;
const MEASURED: Duration = Duration::from_secs(5);

/// Measures and prints.
///
/// # Errors
/// When a session does not open, or loses a line.
pub fn measure(sessions: usize) -> Result<()> {
    let mut rig = Rig::new()?;
    let package = rig.package("1.0.0", 1, 1)?;
    rig.migrate(&package)?;
    let generation = rig.start(&package)?;
    rig.control(generation, "POST", "activate")?;
    let console = rig.operator("ada")?;
    let token = rig.enrolment_token()?;
    for i in 0..AGENTS {
        rig.agent(&format!("web-{i}"), &token)?;
    }
    rig.wait_agents(generation, AGENTS as u64, Duration::from_secs(30))?;
    let site = rig.pid(generation).context("the site runs")?;
    let before = resident_kib(site)?;
    let stop = rig.path("stop-ticking");
    let open = open(&console, sessions, &stop)?;
    let began = Instant::now();
    let used_before = process::family_cpu()?;
    std::thread::sleep(MEASURED);
    let used_after = process::family_cpu()?;
    let took = began.elapsed();
    let after = resident_kib(site)?;
    std::fs::write(&stop, b"")?;
    let mut delays = Vec::new();
    for session in open {
        delays.extend(session.finish()?.delays_us);
    }
    println!("{sessions} sessions, each printing a line every {PAUSE_MS} ms:");
    let per_session = after.saturating_sub(before) as f64 / sessions as f64;
    row("  memory of the site per open session (goal 64)", "KiB", per_session, None);
    let lines = sessions as f64 * took.as_millis() as f64 / PAUSE_MS as f64;
    for (name, after) in used_after {
        let used = after.saturating_sub(used_before.get(&name).copied().unwrap_or_default());
        let each = used.as_micros() as f64 / lines;
        if each >= 0.5 {
            row(&format!("  processor time of {name} per line"), "µs", each, None);
        }
    }
    for percent in [50.0, 99.0, 100.0] {
        let delay = percentile(&mut delays, percent) as f64 / 1000.0;
        row(&format!("  from printed to shown, p{percent}"), "ms", delay, None);
    }
    Ok(())
}

fn open(console: &Profile, sessions: usize, stop: &std::path::Path) -> Result<Vec<Ticking>> {
    let mut open = (0..sessions)
        .map(|i| load::tick_until(console, &format!("web-{}", i % AGENTS), PAUSE_MS, stop))
        .collect::<Result<Vec<_>>>()?;
    for session in &mut open {
        session.wait_running()?;
    }
    Ok(open)
}
