use axum::response::Response;
use ui_site::{About, AboutFacts, Tab};

use super::Member;

pub async fn show(member: Member) -> Response {
    let state = member.state();
    let page = About::new(AboutFacts {
        hostname: member.visit.host.clone(),
        release: state.release.clone(),
        site: state.site,
        identity: state.identity,
    });
    member.page(Tab::About, &page)
}
