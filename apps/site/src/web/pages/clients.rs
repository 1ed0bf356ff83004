use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use model::AgentId;
use store::Agent;
use ui_kit::CsrfInput;
use ui_kit::url::site as url;
use ui_site::{Client, ClientEdit, ClientEditFault, ClientEditInput, Clients, Tab, remove_client};

use super::{Answer, Fault, Member, Named, Posted, done};
use crate::web::doing::clients;
use crate::web::facts;
use crate::web::problem::Problem;

/// Sessions of a Jump Client that its page shows.
const SESSIONS_SHOWN: u64 = 20;

const MANAGE: &str = "change Jump Clients";

pub async fn list(member: Member) -> Answer {
    let agents = member.acting().agents().list().await.map_err(|e| member.fault(e))?;
    let state = member.state();
    let (now, wanted) = (state.now(), state.hub.wanted_release());
    let mut queue = state.hub.upgrades();
    let client =
        |agent: &Agent| facts::client(agent, wanted.as_ref(), queue.remove(&agent.id), now);
    let clients = agents.iter().map(client).collect();
    let page = Clients::new(clients, member.operator().admin, now);
    Ok(member.page(Tab::Clients, &page))
}

pub async fn one(member: Member, id: Named<AgentId>) -> Answer {
    let agent = find(&member, id).await?;
    let sessions = member.acting().sessions().list_of_agent(agent.id, SESSIONS_SHOWN).await;
    let sessions = sessions.map_err(|e| member.fault(e))?;
    let state = member.state();
    let (now, wanted) = (state.now(), state.hub.wanted_release());
    let place = state.hub.upgrades().remove(&agent.id);
    let client = facts::client(&agent, wanted.as_ref(), place, now);
    let sessions = sessions.iter().map(facts::session).collect();
    let (site, may_edit) = (wanted.as_ref().unwrap_or(&state.release), member.operator().admin);
    Ok(member.page(Tab::Clients, &Client::new(client, sessions, site, may_edit, now)))
}

pub async fn edit_form(member: Member, id: Named<AgentId>) -> Answer {
    member.administers(MANAGE)?;
    let agent = find(&member, id).await?;
    let page = ClientEdit::new(agent.id, &agent.name, &agent.group, member.csrf());
    Ok(member.page(Tab::Clients, &page))
}

pub async fn edit(id: Named<AgentId>, Posted(member, input): Posted<ClientEditInput>) -> Answer {
    member.administers(MANAGE)?;
    let agent = find(&member, id).await?;
    let now = member.state().now();
    let changed = member.acting().agents().update(agent.id, &input.name, &input.group, now).await;
    let problem = match changed.map_err(Problem::from) {
        Ok(agent) => return Ok(done(url::Client(agent.id), "Saved.")),
        Err(problem) if problem.status.is_client_error() => problem,
        Err(problem) => return Err(member.fault(problem)),
    };
    let words = problem.page().reason.clone();
    let fault = if words.starts_with("Group") {
        ClientEditFault::Group(words)
    } else {
        ClientEditFault::Name(words)
    };
    let page = ClientEdit::new(agent.id, &agent.name, &agent.group, member.csrf());
    let shown = member.page(Tab::Clients, &page.wrong(&input, fault));
    Ok((StatusCode::UNPROCESSABLE_ENTITY, shown).into_response())
}

pub async fn ask_remove(member: Member, id: Named<AgentId>) -> Answer {
    member.administers(MANAGE)?;
    let agent = find(&member, id).await?;
    Ok(member.page(Tab::Clients, &remove_client(agent.id, &agent.name, member.csrf())))
}

pub async fn remove(id: Named<AgentId>, Posted(member, _): Posted<CsrfInput>) -> Answer {
    member.administers(MANAGE)?;
    let agent = find(&member, id).await?;
    let removed = clients::remove(member.state(), &member.acting(), agent.id).await;
    removed.map_err(|problem| {
        let back = url::Client(agent.id).to_string();
        member.fault(problem.link(back, "Back to the Jump Client"))
    })?;
    Ok(done(url::Clients, format!("{} was removed.", agent.name)))
}

/// The Jump Client that an address names.
async fn find(member: &Member, id: Named<AgentId>) -> Result<Agent, Fault> {
    let missing = || member.fault(Problem::not_found("The Jump Client"));
    let Ok(Path(id)) = id else { return Err(missing()) };
    let found = member.acting().agents().by_id(id).await.map_err(|e| member.fault(e))?;
    found.ok_or_else(missing)
}
