use axum::response::Response;
use release::LicenseState;
use ui_site::{About, AboutFacts, LicenseFacts, Tab};

use super::Member;
use crate::web::license;

pub async fn show(member: Member) -> Response {
    let state = member.state();
    let page = About::new(AboutFacts {
        hostname: member.visit.host.clone(),
        release: state.release.clone(),
        site: state.site,
        identity: state.identity,
        license: license::standing(state).map(|(found, state)| LicenseFacts {
            users: found.license.users,
            endpoints: found.license.endpoints,
            expires: found.license.expires,
            holds: state == LicenseState::Valid,
        }),
    });
    member.page(Tab::About, &page)
}
