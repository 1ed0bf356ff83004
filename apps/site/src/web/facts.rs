//! From what the store knows to what pages show.

use std::net::SocketAddr;

use model::{PublicKey, Release, Timestamp};
use store::{
    Actor, Agent, AgentMode, ApiToken, AuditEntry, Console, EnrolmentToken, Leg, LegRow, Operator,
    Recording, Session, UpgradeStage,
};
use ui_site as page;

use crate::web::UpgradeView;
use crate::web::doing::{audit, clients};

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
    queue: Option<UpgradeView>,
    now: Timestamp,
) -> page::ClientFacts {
    let queue = queue.unwrap_or_default();
    page::ClientFacts {
        id: agent.id,
        name: agent.name.clone(),
        group: agent.group.clone(),
        state: clients::state(agent, wanted, &queue, now),
        upgrade: upgrade(agent, queue),
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
fn upgrade(agent: &Agent, view: UpgradeView) -> page::UpgradeFacts {
    let written = |stage| {
        let found = agent.upgrade.as_ref().filter(|upgrade| upgrade.stage == stage);
        found.map(|upgrade| upgrade.text.clone()).unwrap_or_default()
    };
    let progress = written(UpgradeStage::Running);
    page::UpgradeFacts {
        position: view.position,
        progress: if view.progress.is_empty() { progress } else { view.progress },
        reason: written(UpgradeStage::Failed),
        next_try: view.next_try,
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

pub fn console(console: Console) -> page::ConsoleFacts {
    page::ConsoleFacts {
        id: console.id,
        name: console.name,
        operator: console.operator.name,
        created: console.created,
        expires: console.expires,
        last_seen: console.last_seen,
        revoked: console.revoked,
    }
}

pub fn api_token(token: ApiToken) -> page::ApiTokenFacts {
    page::ApiTokenFacts {
        id: token.id.to_string(),
        name: token.name,
        operator: token.operator_name,
        created: token.created,
        expires: token.expires,
    }
}

pub fn enrolment_token(token: EnrolmentToken) -> page::EnrolmentTokenFacts {
    page::EnrolmentTokenFacts {
        id: token.id.to_string(),
        name: token.name,
        group: token.group,
        mode: mode(token.mode),
        uses_left: token.uses_left,
        expires: token.expires,
    }
}

pub fn audit(entry: AuditEntry) -> page::AuditFacts {
    page::AuditFacts {
        at: entry.at,
        actor: match entry.actor {
            Actor::Site => page::AuditActor::Site,
            Actor::Unknown => page::AuditActor::Unknown,
            Actor::Operator(name) | Actor::Agent(name) => page::AuditActor::Named(name),
        },
        detail: audit::words(&entry.detail),
        action: entry.action,
        subject: entry.subject,
        peer: entry.peer.map(place),
    }
}

/// Where something came from, as a person tells places apart: an address without its port, a console
/// by its fingerprint. The files have both in full.
fn place(peer: String) -> String {
    if let Ok(address) = peer.parse::<SocketAddr>() {
        return address.ip().to_string();
    }
    let key = peer.strip_prefix("link of ").and_then(|key| key.parse::<PublicKey>().ok());
    key.map_or(peer, |key| format!("link of {}", key.fingerprint()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_short_enough_to_compare() {
        assert_eq!(place("192.0.2.7:40000".to_owned()), "192.0.2.7");
        assert_eq!(place("[2001:db8::7]:443".to_owned()), "2001:db8::7");
        let key = PublicKey([0xc9; 32]);
        assert_eq!(place(format!("link of {key}")), "link of c9c9 c9c9 c9c9 c9c9");
        assert_eq!(place("link of a later kind".to_owned()), "link of a later kind");
    }
}
