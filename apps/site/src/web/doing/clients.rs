use model::{AgentId, ClientState, Release, Timestamp};
use store::{Acting, Agent};

use crate::web::problem::Problem;
use crate::web::{UpgradeView, WebState};

/// Removes a Jump Client: its key opens nothing any more, and its link ends.
pub async fn remove(state: &WebState, acting: &Acting, id: AgentId) -> Result<(), Problem> {
    acting.agents().remove(id, state.now()).await?;
    state.hub.agent_removed(id);
    Ok(())
}

/// How a Jump Client stands: what the queue of this generation knows comes before what is written down.
pub fn state(
    agent: &Agent,
    wanted: Option<&Release>,
    queue: &UpgradeView,
    now: Timestamp,
) -> ClientState {
    let written = agent.state(wanted, now);
    let waits = queue.position.is_some();
    if waits && matches!(written, ClientState::Upgrading | ClientState::UpgradeFailed) {
        return ClientState::UpgradePending;
    }
    written
}
