use axum::extract::Path;
use model::AgentId;
use ui_site::{Client, Clients, Tab};

use super::{Answer, Member, Named};
use crate::web::facts;
use crate::web::problem::Problem;

/// Sessions of a Jump Client that its page shows.
const SESSIONS_SHOWN: u64 = 20;

pub async fn list(member: Member) -> Answer {
    let agents = member.acting().agents().list().await.map_err(|e| member.fault(e))?;
    let state = member.state();
    let (now, wanted) = (state.now(), state.hub.wanted_release());
    let clients =
        agents.iter().map(|agent| facts::client(agent, wanted.as_ref(), &*state.hub, now));
    let page = Clients::new(clients.collect(), member.operator().admin, now);
    Ok(member.page(Tab::Clients, &page))
}

pub async fn one(member: Member, id: Named<AgentId>) -> Answer {
    let missing = || member.fault(Problem::not_found("The Jump Client"));
    let Ok(Path(id)) = id else { return Err(missing()) };
    let acting = member.acting();
    let found = acting.agents().by_id(id).await.map_err(|e| member.fault(e))?;
    let agent = found.ok_or_else(missing)?;
    let sessions = acting.sessions().list_of_agent(id, SESSIONS_SHOWN).await;
    let sessions = sessions.map_err(|e| member.fault(e))?;
    let state = member.state();
    let (now, wanted) = (state.now(), state.hub.wanted_release());
    let client = facts::client(&agent, wanted.as_ref(), &*state.hub, now);
    let sessions = sessions.iter().map(facts::session).collect();
    let page = Client::new(client, sessions, wanted.as_ref().unwrap_or(&state.release), now);
    Ok(member.page(Tab::Clients, &page))
}
