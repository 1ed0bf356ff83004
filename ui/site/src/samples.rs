//! Values that the samples of several pages share.

use std::time::Duration;

use model::{
    AgentId, ClientState, OperatorId, PublicKey, Release, SessionId, SessionKind, SessionOutcome,
    Timestamp,
};

use crate::{ClientFacts, Mode, SessionFacts, Stalls, UpgradeFacts};

pub const NOW: Timestamp = Timestamp::from_secs(1_795_290_282);

/// That many seconds before `NOW`.
pub const fn ago(seconds: u64) -> Timestamp {
    Timestamp::from_secs(NOW.as_secs() - seconds)
}

pub const fn operator_id(n: u8) -> OperatorId {
    OperatorId::from_bytes([n; 16])
}

pub fn key() -> PublicKey {
    PublicKey([0x5a; 32])
}

/// A name that is longer than anybody wants and holds what a page must escape.
pub fn long_name() -> String {
    "workstation-in-the-\"east\"-wing-<b>&amp;".repeat(3)
}

fn client(n: u8, name: &str, group: &str, state: ClientState) -> ClientFacts {
    ClientFacts {
        id: AgentId::from_bytes([n; 16]),
        name: name.into(),
        group: group.into(),
        state,
        upgrade: UpgradeFacts::default(),
        release: Some(Release::new(1, 1, 0, 2)),
        os: "Linux 6.1".into(),
        arch: "x86_64".into(),
        mode: Mode::Active,
        enrolled: ago(86_400 * 40),
        last_seen: Some(ago(4)),
        key: key(),
    }
}

/// One client in every state.
pub fn clients() -> Vec<ClientFacts> {
    let old = Some(Release::new(1, 0, 0, 1));
    vec![
        client(1, "db-01", "Databases", ClientState::Online),
        client(2, "db-02", "Databases", ClientState::Online),
        ClientFacts {
            last_seen: Some(ago(7200)),
            mode: Mode::Passive,
            ..client(3, "kiosk-3", "Shops", ClientState::Offline)
        },
        ClientFacts {
            last_seen: Some(ago(86_400 * 12)),
            ..client(4, "laptop-grace", "", ClientState::Lost)
        },
        client(5, "pump-controller-7", "Plant", ClientState::Disabled),
        ClientFacts {
            last_seen: Some(ago(86_400 * 3)),
            ..client(6, "retired-web", "", ClientState::Uninstalled)
        },
        ClientFacts {
            release: old.clone(),
            upgrade: UpgradeFacts { position: Some((3, 17)), ..UpgradeFacts::default() },
            ..client(7, "web-01", "Web", ClientState::UpgradePending)
        },
        ClientFacts {
            release: old.clone(),
            upgrade: UpgradeFacts { progress: "42 % of 3.1 MB".into(), ..UpgradeFacts::default() },
            ..client(8, "web-02", "Web", ClientState::Upgrading)
        },
        ClientFacts {
            release: old,
            upgrade: UpgradeFacts {
                reason: "version 1.1.0 (rev 2) did not reach the site within 60 s and was put back"
                    .into(),
                next_try: Some(Timestamp::from_secs(NOW.as_secs() + 3600)),
                ..UpgradeFacts::default()
            },
            ..client(9, "web-03", "Web", ClientState::UpgradeFailed)
        },
        ClientFacts {
            release: None,
            last_seen: None,
            ..client(10, "web-04", "Web", ClientState::NeverConnected)
        },
    ]
}

fn session(n: u8, operator: &str, endpoint: &str, started: u64) -> SessionFacts {
    SessionFacts {
        id: SessionId::from_bytes([n; 16]),
        operator: operator.into(),
        client: AgentId::from_bytes([n; 16]),
        endpoint: endpoint.into(),
        kind: SessionKind::Shell,
        command: None,
        started: ago(started),
        ended: None,
        outcome: None,
        stalls: Some(Stalls { resumes: 0, longest: Duration::ZERO }),
        recorded: true,
        bytes_in: 0,
        bytes_out: 0,
    }
}

pub fn live_sessions() -> Vec<SessionFacts> {
    vec![
        SessionFacts {
            stalls: Some(Stalls { resumes: 2, longest: Duration::from_millis(84) }),
            ..session(21, "ada", "db-01", 4000)
        },
        SessionFacts {
            kind: SessionKind::Command,
            command: Some("journalctl -f -u nginx".into()),
            ..session(22, "grace", "pump-controller-7", 12)
        },
    ]
}

pub fn past_sessions() -> Vec<SessionFacts> {
    let ended = |mut session: SessionFacts, outcome| {
        session.ended = Some(session.started.plus(Duration::from_secs(754)));
        session.outcome = Some(outcome);
        session.bytes_out = 1_440_000;
        session.bytes_in = 2300;
        session
    };
    let command = SessionFacts {
        kind: SessionKind::Command,
        command: Some("apt-get -y upgrade".into()),
        ..session(15, "grace", "web-01", 9000)
    };
    let resumed = Stalls { resumes: 2, longest: Duration::from_millis(84) };
    let failed = SessionOutcome::Failed("the endpoint kiosk-3 is offline".into());
    vec![
        ended(
            SessionFacts { stalls: Some(resumed), ..session(16, "ada", "db-02", 5000) },
            SessionOutcome::Exited(0),
        ),
        ended(command, SessionOutcome::Exited(100)),
        ended(session(14, "linus", "db-01", 20_000), SessionOutcome::Signalled(9)),
        ended(
            SessionFacts { stalls: None, ..session(13, "ada", "db-01", 90_000) },
            SessionOutcome::Closed,
        ),
        SessionFacts { recorded: false, ..ended(session(12, "ada", "kiosk-3", 200_000), failed) },
    ]
}
