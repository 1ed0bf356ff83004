//! The license, as the base tells it in a file.
//!
//! It is read whenever somebody asks: a new license is there at once, and starts and stops nothing.

use release::{InstalledLicense, LicenseState};

use super::WebState;

/// Bytes of the longest file that is read.
const FILE_MAX: u64 = 64 * 1024;

/// The license that is installed, and whether it holds for this site now; none where none is known.
pub fn standing(state: &WebState) -> Option<(InstalledLicense, LicenseState)> {
    let path = state.license.as_ref()?;
    let size = std::fs::metadata(path).ok()?.len();
    let read = || -> anyhow::Result<InstalledLicense> {
        anyhow::ensure!(size <= FILE_MAX, "it has {size} bytes");
        Ok(serde_json::from_slice(&std::fs::read(path)?)?)
    };
    let license = read()
        .inspect_err(
            |error| tracing::warn!(path = %path.display(), %error, "License cannot be read"),
        )
        .ok()?;
    // A site that has no hostname of its own goes by what the base checked when it installed the license.
    let here = state.hostname.parse().unwrap_or_else(|_| license.license.hostname.clone());
    let standing = license.state(&here, state.now());
    Some((license, standing))
}
