//! `cargo xtask bench`: measures the product beside its anchors in the same run, and prints ratios.
//!
//! Nothing here passes or fails: a slow machine slows both sides. What was measured, and on which
//! machine, stands in `docs/operate/performance.md`.

mod bulk;
mod crowd;
mod fleet;
mod footprint;
mod process;
mod relay;
mod reload;
mod sessions;
mod ssh;
mod typing;
mod update;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Measures Sluis against OpenSSH, nginx and HAProxy on this machine.
#[derive(Parser)]
struct Arguments {
    /// Only these: sessions, crowd, fleet, footprint, update, reload
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Idle agents to connect
    #[arg(long, default_value_t = 2000)]
    agents: usize,
    /// Sessions that are open at once
    #[arg(long, default_value_t = 100)]
    open: usize,
    /// Megabytes of one session's bulk output
    #[arg(long, default_value_t = 400)]
    bulk_mb: u64,
    #[command(subcommand)]
    part: Option<Part>,
}

/// What the benchmark starts itself as.
#[derive(Subcommand)]
enum Part {
    /// Pass TLS on from one connection to another: the anchor for the site's processor time
    #[command(hide = true)]
    Relay {
        /// Keep what is passed on there
        record: Option<PathBuf>,
    },
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(Part::Relay { record }) = arguments.part {
        return relay::run(record.as_deref());
    }
    let wanted = |name: &str| arguments.only.is_empty() || arguments.only.iter().any(|n| n == name);
    println!("{:62} {:>14} {:>14} {:>8}", "what", "sluis", "anchor", "ratio");
    if wanted("sessions") {
        sessions::measure(arguments.bulk_mb)?;
    }
    if wanted("crowd") {
        crowd::measure(arguments.open)?;
    }
    if wanted("fleet") {
        fleet::measure(arguments.agents)?;
    }
    if wanted("footprint") {
        footprint::measure()?;
    }
    if wanted("update") {
        update::measure()?;
    }
    if wanted("reload") {
        reload::measure()?;
    }
    Ok(())
}

/// Prints one line: ours, the anchor's, and how they compare.
pub fn row(what: &str, unit: &str, ours: f64, anchor: Option<f64>) {
    let value =
        |v: f64| if v >= 100.0 { format!("{v:.0} {unit}") } else { format!("{v:.2} {unit}") };
    let (anchor_text, ratio) = match anchor {
        Some(anchor) => (value(anchor), format!("{:.2}", ours / anchor)),
        None => ("-".to_owned(), "-".to_owned()),
    };
    println!("{what:62} {:>14} {anchor_text:>14} {ratio:>8}", value(ours));
}
