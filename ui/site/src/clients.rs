use askama::Template;
use askama::filters::HtmlSafe;
use model::{AgentId, ClientState, PublicKey, Release, Timestamp};
use ui_kit::{Badge, Body, Moment, Refresh, Samples, Tone, url::site as url};

use crate::{samples, text};

/// How often a list that is looked at is asked for again, in seconds.
pub(crate) const LOOK_AGAIN_S: u32 = 5;
/// A list of more clients than this is a long answer,
const MANY: usize = 500;
/// so it is asked for less often.
const LOOK_AGAIN_MANY_S: u32 = 60;

/// How a Jump Client keeps in touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It holds a connection.
    Active,
    /// It only checks in.
    Passive,
}

/// What is known of an upgrade that a Jump Client waits for, makes or failed.
#[derive(Debug, Clone, Default)]
pub struct UpgradeFacts {
    /// Its place in the upgrade queue, from 1, and how many wait there.
    pub position: Option<(usize, usize)>,
    /// How far it is, in words; may be empty.
    pub progress: String,
    /// Why the last try failed; may be empty.
    pub reason: String,
    /// When it is tried again; `None` when only a person starts it again.
    pub next_try: Option<Timestamp>,
}

/// One Jump Client.
#[derive(Debug, Clone)]
pub struct ClientFacts {
    /// Its id.
    pub id: AgentId,
    /// What people call it.
    pub name: String,
    /// Its group; may be empty.
    pub group: String,
    /// How it stands.
    pub state: ClientState,
    /// What is known of its upgrade.
    pub upgrade: UpgradeFacts,
    /// The software it runs; `None` before it first connected.
    pub release: Option<Release>,
    /// Operating system, as it reports it.
    pub os: String,
    /// Processor architecture, as it reports it.
    pub arch: String,
    /// How it keeps in touch.
    pub mode: Mode,
    /// When it was enrolled.
    pub enrolled: Timestamp,
    /// When it last had a connection or checked in.
    pub last_seen: Option<Timestamp>,
    /// Its identity.
    pub key: PublicKey,
}

/// The state of a client as a badge and, for an upgrade, its details as a sentence.
pub(crate) fn state(client: &ClientFacts) -> (Badge, String) {
    let tone = match client.state {
        ClientState::Online => Tone::Good,
        ClientState::Upgrading => Tone::Busy,
        ClientState::UpgradePending | ClientState::Lost => Tone::Warn,
        ClientState::UpgradeFailed => Tone::Bad,
        ClientState::NeverConnected
        | ClientState::Offline
        | ClientState::Disabled
        | ClientState::Uninstalled => Tone::Idle,
    };
    let upgrade = &client.upgrade;
    let detail = match client.state {
        ClientState::UpgradePending => upgrade.position.map(text::upgrade_position),
        ClientState::Upgrading => Some(upgrade.progress.clone()),
        ClientState::UpgradeFailed => Some(text::upgrade_failed(&upgrade.reason, upgrade.next_try)),
        _ => None,
    };
    (Badge::new(tone, text::client_state(client.state)), detail.unwrap_or_default())
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    name: String,
    href: String,
    state: Badge,
    detail: String,
    group: String,
    release: String,
    last_seen: Option<Moment>,
}

/// The list of Jump Clients.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "clients.html")]
pub struct Clients {
    rows: Vec<Row>,
    look_again_s: u32,
    summary: Vec<Badge>,
    may_enrol: bool,
}

impl HtmlSafe for Clients {}

impl Clients {
    /// The list, in the order given; `may_enrol` shows the way to a new one.
    pub fn new(clients: Vec<ClientFacts>, may_enrol: bool, now: Timestamp) -> Self {
        Self {
            summary: summary(&clients),
            look_again_s: if clients.len() > MANY { LOOK_AGAIN_MANY_S } else { LOOK_AGAIN_S },
            rows: clients.into_iter().map(|client| row(client, now)).collect(),
            may_enrol,
        }
    }
}

/// How many stand how, in the order of the list.
fn summary(clients: &[ClientFacts]) -> Vec<Badge> {
    let mut counts: Vec<(ClientState, Badge, usize)> = Vec::new();
    for client in clients {
        match counts.iter_mut().find(|(state, ..)| *state == client.state) {
            Some((.., count)) => *count += 1,
            None => counts.push((client.state, state(client).0, 1)),
        }
    }
    let badge = |(_, badge, count): (_, Badge, usize)| {
        Badge::new(badge.tone, format!("{count} {}", badge.word))
    };
    counts.into_iter().map(badge).collect()
}

fn row(client: ClientFacts, now: Timestamp) -> Row {
    let (state, detail) = state(&client);
    Row {
        href: url::Client(client.id).to_string(),
        state,
        detail,
        name: client.name,
        group: client.group,
        release: client.release.map(|release| release.to_string()).unwrap_or_default(),
        last_seen: client.last_seen.map(|at| Moment::ago(at, now)),
    }
}

impl Body for Clients {
    fn title(&self) -> String {
        text::CLIENTS.to_owned()
    }

    fn refresh(&self) -> Option<Refresh> {
        Some(Refresh::Parts(self.look_again_s))
    }
}

impl Samples for Clients {
    fn samples() -> Vec<(&'static str, Self)> {
        let mut long = samples::clients();
        for client in &mut long {
            client.name = samples::long_name();
            client.group = samples::long_name();
        }
        vec![
            ("empty", Self::new(vec![], true, samples::NOW)),
            ("empty-operator", Self::new(vec![], false, samples::NOW)),
            ("typical", Self::new(samples::clients(), true, samples::NOW)),
            ("long", Self::new(long, false, samples::NOW)),
        ]
    }
}
