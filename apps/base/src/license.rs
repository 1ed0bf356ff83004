//! The license of the appliance: what a committed license package says, told to the site in a file.
//!
//! The file is written anew at every commit and at every start of the base, so it never stays behind what is
//! installed. The site reads it when it needs it, so a license starts, stops and moves nothing.

use host::{RealFs, load_json, save_json};
use model::PackageKind;
use release::{InstalledLicense, LicenseState};

use crate::base::Base;

/// The license that is installed, by what its slot says.
pub fn installed(base: &Base) -> std::io::Result<Option<InstalledLicense>> {
    let Some(slot) = base.slots.current(PackageKind::License)? else { return Ok(None) };
    let manifest = base.slots.manifest(slot).map_err(std::io::Error::other)?;
    let release = manifest.release();
    Ok(manifest.license.map(|license| InstalledLicense { release, license }))
}

/// Tells the site which license is installed. Repeatable.
pub fn tell_site(base: &Base) -> std::io::Result<()> {
    let path = base.paths.license();
    let Some(license) = installed(base)? else { return Ok(()) };
    let told: Option<InstalledLicense> = load_json(&RealFs, &path).unwrap_or_default();
    if told.as_ref() == Some(&license) {
        return Ok(());
    }
    save_json(&RealFs, &path, &license)
}

/// The license with whether it holds here and now; none where none is installed.
pub fn standing(base: &Base) -> Option<(InstalledLicense, LicenseState)> {
    let license = installed(base).unwrap_or_else(|error| {
        tracing::warn!(%error, "License cannot be read");
        None
    })?;
    let state = license.state(&base.config.hostname, base.now());
    Some((license, state))
}
