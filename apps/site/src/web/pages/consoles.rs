use axum::extract::Path;
use model::ConsoleId;
use store::Console;
use ui_kit::CsrfInput;
use ui_kit::url::site as url;
use ui_site::{Consoles, Tab, revoke_console};

use super::{Answer, Fault, Member, Named, Posted, done};
use crate::web::facts;
use crate::web::problem::Problem;

pub async fn list(member: Member) -> Answer {
    let consoles = member.acting().consoles().list().await.map_err(|e| member.fault(e))?;
    let consoles = consoles.into_iter().map(facts::console).collect();
    let page = Consoles::new(consoles, &member.visit.host, member.state().now());
    Ok(member.page(Tab::Consoles, &page))
}

pub async fn ask_revoke(member: Member, id: Named<ConsoleId>) -> Answer {
    let console = find(&member, id).await?;
    let page = revoke_console(console.id, &console.name, &console.operator.name, member.csrf());
    Ok(member.page(Tab::Consoles, &page))
}

pub async fn revoke(id: Named<ConsoleId>, Posted(member, _): Posted<CsrfInput>) -> Answer {
    let console = find(&member, id).await?;
    let (consoles, now) = (member.acting().consoles(), member.state().now());
    let revoked = consoles.revoke(console.id, now).await.map_err(|e| member.fault(e))?;
    member.state().hub.console_revoked(revoked.key);
    let text = format!("{} of {} was revoked.", revoked.name, revoked.operator.name);
    Ok(done(url::Consoles, text))
}

/// The console that an address names, if it is one that this person may change.
async fn find(member: &Member, id: Named<ConsoleId>) -> Result<Console, Fault> {
    let missing = || member.fault(Problem::not_found("The console"));
    let Ok(Path(id)) = id else { return Err(missing()) };
    let consoles = member.acting().consoles().list().await.map_err(|e| member.fault(e))?;
    consoles.into_iter().find(|console| console.id == id).ok_or_else(missing)
}
