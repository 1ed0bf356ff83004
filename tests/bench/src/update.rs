//! How long an update takes, with nothing and with much to keep.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use sluis_e2e::appliance::Appliance;
use sluis_e2e::vendor::{Release, Vendor};

use crate::row;

/// Sparse: what counts is that nobody copies or reads it.
const RECORDINGS: u64 = 10 << 30;

/// Measures and prints.
///
/// # Errors
/// When an update does not end well.
pub fn measure() -> Result<()> {
    let empty = update(0)?;
    let full = update(RECORDINGS)?;
    row("site update, plan to commit, nothing kept (goal 90)", "s", empty.as_secs_f64(), None);
    row(
        "the same with 10 GB of recordings (goal ratio 1.1)",
        "s",
        full.as_secs_f64(),
        Some(empty.as_secs_f64()),
    );
    Ok(())
}

fn update(recordings: u64) -> Result<Duration> {
    let folder = tempfile::tempdir()?;
    let mut vendor = Vendor::new(&folder.path().join("vendor"))?;
    publish(&vendor, "1.0.0", 1, 1)?;
    vendor.serve()?;
    let appliance = Appliance::with_site(&folder.path().join("harbour"), &vendor)?;
    if recordings > 0 {
        let path = appliance.data().join("site/recordings/kept.bin");
        fs::File::create(path)?.set_len(recordings)?;
    }
    publish(&vendor, "1.1.0", 2, 2)?;
    let outcome = appliance.install("site", "1.1.0")?;
    ensure!(outcome.phase == "contracted", "{}", outcome.text);
    Ok(outcome.took)
}

fn publish(vendor: &Vendor, version: &str, revision: u32, schema: u32) -> Result<()> {
    let release = Release {
        version,
        revision,
        schema,
        notes: "",
        site_requires: None,
        more: &["--level", "1"],
    };
    vendor.publish(&release)
}
