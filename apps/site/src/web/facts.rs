//! From what the store knows to what pages show.

use model::{Release, Timestamp};
use store::{Agent, AgentMode, Leg, LegRow, Operator, Recording, Session, UpgradeStage};
use ui_site as page;

use crate::web::Hub;

pub fn session(session: &Session) -> page::SessionFacts {
    page::SessionFacts {
        id: session.id,
        operator: session.operator_name.clone(),
        client: session.agent,
        endpoint: session.agent_name.clone(),
        kind: session.kind,
        command: session.command.clone(),
        started: session.started,
        ended: session.ended,
        outcome: session.outcome.clone(),
        stalls: session
            .stalls
            .map(|stalls| page::Stalls { resumes: stalls.resume_count, longest: stalls.stall_max }),
        recorded: session.recorded,
        bytes_in: session.bytes_in,
        bytes_out: session.bytes_out,
    }
}

pub fn leg(row: LegRow) -> page::LegFacts {
    page::LegFacts {
        leg: match row.leg {
            Leg::Agent => page::Leg::Agent,
            Leg::Console => page::Leg::Console,
        },
        generation: row.generation,
        attached: row.attached,
        detached: row.detached,
        resumed_from: row.resumed_from,
        stall: row.stall,
        peer: row.peer,
    }
}

/// `size` is that of the file as it is now.
pub fn recording(recording: &Recording, size: u64) -> page::RecordingFacts {
    page::RecordingFacts {
        session: recording.session,
        operator: recording.operator_name.clone(),
        endpoint: recording.agent_name.clone(),
        size,
        complete: recording.complete,
        chain_head: recording.chain_head,
        started: recording.started,
        finished: recording.finished,
    }
}

pub fn mode(mode: AgentMode) -> page::Mode {
    match mode {
        AgentMode::Active => page::Mode::Active,
        AgentMode::Passive => page::Mode::Passive,
    }
}

pub fn agent_mode(mode: page::Mode) -> AgentMode {
    match mode {
        page::Mode::Active => AgentMode::Active,
        page::Mode::Passive => AgentMode::Passive,
    }
}

pub fn client(
    agent: &Agent,
    wanted: Option<&Release>,
    hub: &dyn Hub,
    now: Timestamp,
) -> page::ClientFacts {
    page::ClientFacts {
        id: agent.id,
        name: agent.name.clone(),
        group: agent.group.clone(),
        state: agent.state(wanted, now),
        upgrade: upgrade(agent, hub),
        release: agent.last_seen.map(|_| agent.release.clone()),
        os: agent.os.clone(),
        arch: agent.arch.clone(),
        mode: mode(agent.mode),
        enrolled: agent.created,
        last_seen: agent.last_seen,
        key: agent.key,
    }
}

/// What the queue says now, and what was written down.
fn upgrade(agent: &Agent, hub: &dyn Hub) -> page::UpgradeFacts {
    let view = hub.upgrade(agent.id).unwrap_or_default();
    let written = |stage| {
        let found = agent.upgrade.as_ref().filter(|upgrade| upgrade.stage == stage);
        found.map(|upgrade| upgrade.text.clone()).unwrap_or_default()
    };
    let progress = written(UpgradeStage::Running);
    page::UpgradeFacts {
        position: view.position,
        progress: if view.progress.is_empty() { progress } else { view.progress },
        reason: written(UpgradeStage::Failed),
        next_try: None,
    }
}

pub fn user(operator: &Operator, viewer: &Operator, now: Timestamp) -> page::UserFacts {
    let locked = operator.locked_until.filter(|until| *until > now);
    page::UserFacts {
        id: operator.id,
        name: operator.name.clone(),
        display_name: operator.display_name.clone(),
        admin: operator.admin,
        state: if operator.disabled {
            page::UserState::Disabled
        } else if let Some(until) = locked {
            page::UserState::Locked(until)
        } else if operator.must_change_password {
            page::UserState::FirstPassword
        } else {
            page::UserState::Active
        },
        last_sign_in: operator.last_login,
        is_viewer: operator.id == viewer.id,
    }
}
