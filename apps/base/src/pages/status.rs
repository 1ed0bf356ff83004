use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use model::Release;
use release::LicenseState;
use ui_appliance::{LicenseFacts, LicenseStanding, SitePhase, Status, StatusFacts, Tab};

use super::viewer::Viewer;
use crate::api::{self, progress_now, status_facts};
use crate::base::Shared;

/// `GET /appliance/status`
pub async fn status(State(base): State<Shared>, viewer: Viewer) -> Response {
    let facts = status_facts(&base);
    let progress = progress_now(&base, u64::MAX);
    let installing = (!progress.done).then(|| format!("{}: {}", progress.subject, progress.text));
    let unknown = Release::new(0, 0, 0, 0);
    let license = facts.license.as_ref().map(license);
    let page = Status::new(&StatusFacts {
        hostname: &facts.hostname,
        base: facts.base.as_ref().unwrap_or(&unknown),
        site: facts.site.as_ref(),
        now: facts.time,
        uptime: Duration::from_secs(facts.uptime_s),
        disk_free: facts.disk_free,
        disk_total: None,
        site_phase: match facts.site_phase {
            "missing" => SitePhase::Missing,
            "serving" => SitePhase::Serving,
            "handing-over" => SitePhase::HandingOver,
            "rescue" => SitePhase::Rescue,
            _ => SitePhase::Starting,
        },
        rescue: facts.rescue.as_deref(),
        installing: installing.as_deref(),
        license: license.as_ref(),
    });
    viewer.page(Tab::Status, &page)
}

fn license(facts: &api::LicenseFacts) -> LicenseFacts {
    let license = &facts.installed.license;
    LicenseFacts {
        release: facts.installed.release.clone(),
        hostname: license.hostname.to_string(),
        users: license.users,
        endpoints: license.endpoints,
        expires: license.expires,
        maintenance_until: license.maintenance_until,
        standing: match facts.state {
            LicenseState::Valid => LicenseStanding::Valid,
            LicenseState::Expired => LicenseStanding::Expired,
            LicenseState::OtherSite => LicenseStanding::OtherSite,
        },
    }
}
