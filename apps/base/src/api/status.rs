use axum::Json;
use axum::extract::State;
use install::Install;
use model::{PackageKind, Release, Timestamp};
use release::{InstalledLicense, LicenseState};
use serde::Serialize;

use super::Caller;
use crate::base::Shared;
use crate::license;

/// How the appliance stands.
#[derive(Debug, Clone, Serialize)]
pub struct StatusFacts {
    pub hostname: String,
    pub base: Option<Release>,
    pub site: Option<Release>,
    pub time: Timestamp,
    pub uptime_s: u64,
    pub disk_free: u64,
    pub site_phase: &'static str,
    pub rescue: Option<String>,
    pub license: Option<LicenseFacts>,
}

/// What the appliance is licensed for.
#[derive(Debug, Clone, Serialize)]
pub struct LicenseFacts {
    #[serde(flatten)]
    pub installed: InstalledLicense,
    pub state: LicenseState,
}

/// `GET /appliance/api/v1/status`
pub async fn status(State(base): State<Shared>, _: Caller) -> Json<StatusFacts> {
    Json(status_facts(&base))
}

/// What Status > Basics shows.
pub fn status_facts(base: &Shared) -> StatusFacts {
    let state = base.installer.state();
    let rescue = match &*state {
        Install::Rescue { reason, .. } => Some(reason.clone()),
        _ => None,
    };
    let site_phase = match (base.fleet.active(), base.installed(PackageKind::Site)) {
        (Some(_), _) if base.fleet.all().len() > 1 => "handing-over",
        (Some(_), _) => "serving",
        (None, None) => "missing",
        (None, Some(_)) if rescue.is_some() => "rescue",
        (None, Some(_)) => "starting",
    };
    StatusFacts {
        hostname: base.config.hostname.to_string(),
        base: base.installed(PackageKind::Base).map(|package| package.release),
        site: base.installed(PackageKind::Site).map(|package| package.release),
        time: host::now(),
        uptime_s: uptime(base),
        disk_free: host::disk_free(&base.paths.data).unwrap_or_default(),
        site_phase,
        rescue,
        license: license::standing(base)
            .map(|(installed, state)| LicenseFacts { installed, state }),
    }
}

/// Since the keeper opened the sockets: a self-update of the base does not end it.
fn uptime(base: &Shared) -> u64 {
    let made = std::fs::metadata(base.paths.base_socket()).and_then(|m| m.modified());
    let since = made.ok().and_then(|made| made.elapsed().ok());
    since.unwrap_or_else(|| base.started.elapsed()).as_secs()
}
