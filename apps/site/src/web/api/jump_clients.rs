use std::time::Duration;

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use model::{AgentId, ClientState, PublicKey, Release, Revision, Timestamp, Version};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{Agent, AgentMode, EnrolmentToken};
use uuid::Uuid;

use super::{Answer, ApiMember, Input, Named};
use crate::web::doing::clients;
use crate::web::doing::enrol::{self, Wanted};
use crate::web::problem::{ApiProblem, Problem};
use crate::web::{UpgradeView, WebState};

/// The longest that an enrolment token may work, in hours: a year.
const HOURS_MOST: u64 = 8784;

/// A Jump Client.
#[derive(Serialize)]
pub struct JumpClient {
    id: AgentId,
    name: String,
    group: String,
    state: ClientState,
    /// Place in the upgrade queue, from 1.
    position: Option<usize>,
    /// How many wait there.
    waiting: Option<usize>,
    /// When an upgrade that failed is tried again by itself.
    next_try: Option<Timestamp>,
    /// Progress or reason of its upgrade, in words; may be empty.
    upgrade: String,
    mode: AgentMode,
    os: String,
    arch: String,
    version: Version,
    revision: Revision,
    last_seen: Option<Timestamp>,
    enrolled: Timestamp,
    key: PublicKey,
}

fn view(
    agent: Agent,
    wanted: Option<&Release>,
    queue: Option<UpgradeView>,
    state: &WebState,
) -> JumpClient {
    let queue = queue.unwrap_or_default();
    let written = agent.upgrade.as_ref().map(|upgrade| upgrade.text.clone());
    JumpClient {
        state: clients::state(&agent, wanted, &queue, state.now()),
        position: queue.position.map(|(position, _)| position),
        waiting: queue.position.map(|(_, waiting)| waiting),
        next_try: queue.next_try,
        upgrade: if queue.progress.is_empty() {
            written.unwrap_or_default()
        } else {
            queue.progress
        },
        id: agent.id,
        name: agent.name,
        group: agent.group,
        mode: agent.mode,
        os: agent.os,
        arch: agent.arch,
        version: agent.release.version,
        revision: agent.release.revision,
        last_seen: agent.last_seen,
        enrolled: agent.created,
        key: agent.key,
    }
}

/// `GET /jump-clients`
pub async fn list(member: ApiMember) -> Answer<Vec<JumpClient>> {
    let agents = member.acting().agents().list().await?;
    let wanted = member.state.hub.wanted_release();
    let mut queue = member.state.hub.upgrades();
    let view = |agent: Agent| {
        let place = queue.remove(&agent.id);
        view(agent, wanted.as_ref(), place, &member.state)
    };
    Ok(Json(agents.into_iter().map(view).collect()))
}

/// `GET /jump-clients/{id}`; a name does as well.
pub async fn one(member: ApiMember, Path(named): Path<String>) -> Answer<JumpClient> {
    let agents = member.acting().agents();
    let found = match named.parse() {
        Ok(id) => agents.by_id(id).await?,
        Err(_) => agents.by_name(&named).await?,
    };
    let agent = found.ok_or_else(missing)?;
    Ok(Json(view_of(agent, &member.state)))
}

fn view_of(agent: Agent, state: &WebState) -> JumpClient {
    let wanted = state.hub.wanted_release();
    let place = state.hub.upgrades().remove(&agent.id);
    view(agent, wanted.as_ref(), place, state)
}

#[derive(Deserialize)]
pub struct Edit {
    name: String,
    #[serde(default)]
    group: String,
}

/// `POST /jump-clients/{id}`: `{ name, group }`
pub async fn edit(
    member: ApiMember,
    id: Named<AgentId>,
    Input(new): Input<Edit>,
) -> Answer<JumpClient> {
    let Path(id) = id.map_err(|_| missing())?;
    let agents = member.acting().agents();
    let agent = agents.update(id, &new.name, &new.group, member.state.now()).await?;
    Ok(Json(view_of(agent, &member.state)))
}

/// `DELETE /jump-clients/{id}`: its key opens nothing any more; its history stays. Refused while a
/// session of it runs.
pub async fn remove(member: ApiMember, id: Named<AgentId>) -> Answer<Value> {
    let Path(id) = id.map_err(|_| missing())?;
    clients::remove(&member.state, &member.acting(), id).await?;
    Ok(Json(json!({})))
}

fn missing() -> Problem {
    Problem::not_found("The Jump Client")
}

/// An enrolment token, without its text.
#[derive(Serialize)]
pub struct Token {
    id: Uuid,
    name: String,
    group: String,
    mode: AgentMode,
    uses_left: u32,
    created: Timestamp,
    expires: Timestamp,
}

impl From<EnrolmentToken> for Token {
    fn from(token: EnrolmentToken) -> Self {
        Self {
            id: token.id,
            name: token.name,
            group: token.group,
            mode: token.mode,
            uses_left: token.uses_left,
            created: token.created,
            expires: token.expires,
        }
    }
}

/// `GET /enrolment-tokens`: those that still enrol.
pub async fn tokens(member: ApiMember) -> Answer<Vec<Token>> {
    let tokens = member.acting().enrolment_tokens().list(member.state.now()).await?;
    Ok(Json(tokens.into_iter().map(Token::from).collect()))
}

#[derive(Deserialize)]
pub struct NewToken {
    name: String,
    #[serde(default)]
    group: String,
    #[serde(default = "active")]
    mode: AgentMode,
    #[serde(default = "one_use")]
    uses: u32,
    #[serde(default = "a_day")]
    hours: u64,
}

fn active() -> AgentMode {
    AgentMode::Active
}

fn one_use() -> u32 {
    1
}

fn a_day() -> u64 {
    24
}

/// A token with its text, which is shown this one time.
#[derive(Serialize)]
pub struct MadeToken {
    #[serde(flatten)]
    kept: Token,
    /// What `sluis-agent enrol` takes as `--token`, as `--site` and as `--site-key`.
    token: String,
    site: String,
    site_key: PublicKey,
    /// What to run on an endpoint, for each system.
    commands: Vec<Command>,
}

#[derive(Serialize)]
struct Command {
    system: String,
    lines: String,
}

/// `POST /enrolment-tokens`: `{ name, group, mode, uses, hours }` → the token to enrol with.
pub async fn make_token(
    member: ApiMember,
    Input(new): Input<NewToken>,
) -> Result<(StatusCode, Json<MadeToken>), ApiProblem> {
    if new.hours == 0 || new.hours > HOURS_MOST {
        let reason = format!("{} is not a number of hours from 1 to {HOURS_MOST}.", new.hours);
        return Err(Problem::bad_request("No enrolment token was made", reason).into());
    }
    let wanted = Wanted {
        name: &new.name,
        group: &new.group,
        mode: new.mode,
        uses: new.uses,
        valid_for: Duration::from_hours(new.hours),
    };
    let made = enrol::make(&member.state, &member.acting(), wanted, &member.host).await?;
    let commands = enrol::commands(&member.state, &made);
    let commands = commands.into_iter().map(|(system, lines)| Command { system, lines }).collect();
    let body = MadeToken {
        kept: made.token.into(),
        token: made.secret,
        site: made.site,
        site_key: member.state.identity,
        commands,
    };
    Ok((StatusCode::CREATED, Json(body)))
}

/// `DELETE /enrolment-tokens/{id}`
pub async fn revoke_token(member: ApiMember, id: Named<Uuid>) -> Answer<Value> {
    let Path(id) = id.map_err(|_| Problem::not_found("The enrolment token"))?;
    member.acting().enrolment_tokens().revoke(id, member.state.now()).await?;
    Ok(Json(json!({})))
}
