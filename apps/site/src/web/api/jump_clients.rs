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
use crate::web::WebState;
use crate::web::doing::enrol::{self, Wanted};
use crate::web::problem::{ApiProblem, Problem};

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

fn view(agent: Agent, wanted: Option<&Release>, state: &WebState) -> JumpClient {
    let queue = state.hub.upgrade(agent.id).unwrap_or_default();
    let written = agent.upgrade.as_ref().map(|upgrade| upgrade.text.clone());
    JumpClient {
        state: agent.state(wanted, state.now()),
        position: queue.position,
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
    let view = |agent| view(agent, wanted.as_ref(), &member.state);
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
    let wanted = member.state.hub.wanted_release();
    Ok(Json(view(agent, wanted.as_ref(), &member.state)))
}

/// `DELETE /jump-clients/{id}`: its key opens nothing any more; its history stays.
pub async fn remove(member: ApiMember, id: Named<AgentId>) -> Answer<Value> {
    let Path(id) = id.map_err(|_| missing())?;
    member.acting().agents().remove(id, member.state.now()).await?;
    member.state.hub.agent_removed(id);
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
