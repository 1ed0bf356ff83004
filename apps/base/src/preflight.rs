//! What is looked at before a package touches anything that runs.

use install::Fault;
use release::Manifest;

use crate::base::Base;

/// Bytes that stay free for the database, recordings and logs.
const FREE_MIN: u64 = 256 << 20;

/// Whether the appliance can take the package; the first reason against it with its remedy.
pub fn check(base: &Base, manifest: &Manifest) -> Result<(), Fault> {
    machine(base)?;
    requirements(base, manifest)?;
    license(base, manifest)
}

/// Whether the appliance can take any package at all.
pub fn machine(base: &Base) -> Result<(), Fault> {
    let free = host::disk_free(&base.paths.data).map_err(|error| {
        Fault::host(
            format!("the disk cannot be looked at: {error}"),
            "Mend it, then install again.",
        )
    })?;
    if free < FREE_MIN {
        let (free, min) = (free >> 20, FREE_MIN >> 20);
        return Err(Fault::host(
            format!("{} has {free} MiB free, and {min} MiB are needed", base.paths.data.display()),
            "Remove old recordings or give the appliance a larger disk, then install again.",
        ));
    }
    Ok(())
}

fn requirements(base: &Base, manifest: &Manifest) -> Result<(), Fault> {
    base.ledger.read(|ledger| {
        let installed = |name: &str| ledger.installed.values().find(|p| p.name == name);
        for rule in &manifest.requires {
            let found = installed(&rule.name);
            if !found.is_some_and(|package| rule.range.contains(&package.release.version)) {
                let found = found.map_or("not installed".to_owned(), |p| p.release.to_string());
                return Err(Fault::host(
                    format!("it needs {rule}, and {} is {found}", rule.name),
                    format!("Install {rule} first."),
                ));
            }
        }
        for rule in &manifest.conflicts {
            let found = installed(&rule.name);
            if let Some(found) = found.filter(|p| rule.range.contains(&p.release.version)) {
                return Err(Fault::host(
                    format!("it cannot run beside {found}"),
                    format!("Move {} to another version first.", rule.name),
                ));
            }
        }
        let Some(current) = installed(&manifest.name) else { return Ok(()) };
        let missed = manifest.floors.iter().filter(|f| current.release.version < f.0).min();
        if let Some(floor) = missed {
            return Err(Fault::host(
                format!("the way from {current} to it leads through {floor}"),
                format!("Install {} {floor} first.", manifest.name),
            ));
        }
        let lowest = ledger.floor(manifest.kind).unwrap_or(&current.release);
        if manifest.release() < *lowest {
            return Err(Fault::host(
                format!("it is older than {lowest}, which served here for long enough"),
                "Roll back to the kept slot instead, as long as there is one.",
            ));
        }
        Ok(())
    })
}

fn license(base: &Base, manifest: &Manifest) -> Result<(), Fault> {
    let Some(license) = &manifest.license else { return Ok(()) };
    license
        .check(&base.config.hostname, base.now())
        .map_err(|error| Fault::host(error.to_string(), "Ask your vendor for another license."))
}
