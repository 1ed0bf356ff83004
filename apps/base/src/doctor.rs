//! `sluis-base doctor`: everything that an appliance needs, and what is wrong with it.

use std::process::ExitCode;

use host::{RealFs, Slots, load_json};
use install::Ledger;
use model::PackageKind;

use crate::config::Config;
use crate::enrol::Enrolment;
use crate::paths::Paths;

pub fn run(paths: &Paths) -> ExitCode {
    let checks = [
        ("configuration", Config::load(paths).map(|c| c.hostname.to_string())),
        ("certificate", crate::https::tls_config(paths).map(|_| "readable".to_owned())),
        ("base software", slot(paths, PackageKind::Base)),
        ("site software", site(paths)),
        ("journal", journal(paths)),
        ("ledger", ledger(paths)),
        ("update server", enrolment(paths)),
        ("disk", disk(paths)),
    ];
    let mut wrong = false;
    for (name, result) in checks {
        match result {
            Ok(text) => println!("ok    {name}: {text}"),
            Err(error) => {
                wrong = true;
                println!("WRONG {name}: {error:#}");
            }
        }
    }
    if wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn slot(paths: &Paths, kind: PackageKind) -> anyhow::Result<String> {
    let slots = Slots::new(RealFs, &paths.data);
    let current = slots.current(kind)?;
    let current = current.ok_or_else(|| anyhow::anyhow!("no version is installed"))?;
    Ok(slots.check(current)?.release().to_string())
}

fn site(paths: &Paths) -> anyhow::Result<String> {
    if Slots::new(RealFs, &paths.data).current(PackageKind::Site)?.is_none() {
        return Ok("not installed yet".to_owned());
    }
    slot(paths, PackageKind::Site)
}

fn journal(paths: &Paths) -> anyhow::Result<String> {
    let bytes = match std::fs::read(paths.data.join("journal")) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok("empty".into()),
        other => other?,
    };
    let read = install::read(&bytes)?;
    Ok(read.last.map_or("empty".into(), |last| last.install.name().to_owned()))
}

fn ledger(paths: &Paths) -> anyhow::Result<String> {
    let ledger: Option<Ledger> = load_json(&RealFs, &paths.ledger())?;
    let ledger = ledger.ok_or_else(|| anyhow::anyhow!("it is missing"))?;
    Ok(format!("{} attempts, {} bad versions", ledger.attempts, ledger.bad.len()))
}

fn enrolment(paths: &Paths) -> anyhow::Result<String> {
    let enrolment: Option<Enrolment> = load_json(&RealFs, &paths.enrolment())?;
    Ok(enrolment.map_or_else(|| "not enrolled; use `sluis-base enrol`".to_owned(), |e| e.url))
}

fn disk(paths: &Paths) -> anyhow::Result<String> {
    let free = host::disk_free(&paths.data)?;
    anyhow::ensure!(free > 256 << 20, "{} MiB free are too few", free >> 20);
    Ok(format!("{} MiB free", free >> 20))
}
