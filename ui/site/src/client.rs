use askama::Template;
use askama::filters::HtmlSafe;
use model::{AgentId, ClientState, Release, Timestamp};
use serde::Deserialize;
use ui_kit::{
    Badge, Body, Confirm, Csrf, Field, FieldKind, Link, Moment, Notice, Refresh, Samples, Tone,
    url::site as url,
};

use crate::clients::{LOOK_AGAIN_S, state};
use crate::{ClientFacts, SessionFacts, SessionTable, samples, text};

/// One Jump Client in detail.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "client.html")]
pub struct Client {
    name: String,
    state: Badge,
    notice: Option<Notice>,
    jump: Option<String>,
    group: String,
    release: String,
    site_release: Option<String>,
    system: String,
    mode: &'static str,
    last_seen: Option<Moment>,
    enrolled: Moment,
    fingerprint: String,
    key: String,
    id: String,
    sessions: SessionTable,
    edit: Option<String>,
    remove: String,
}

impl HtmlSafe for Client {}

impl Client {
    /// The page: the client, its sessions, newest first, and the site's own version beside which
    /// another one is named; `may_edit` shows the ways to change it.
    pub fn new(
        client: ClientFacts,
        sessions: Vec<SessionFacts>,
        site: &Release,
        may_edit: bool,
        now: Timestamp,
    ) -> Self {
        let (state, detail) = state(&client);
        let reachable = client.state == ClientState::Online;
        let older = client.release.as_ref().is_some_and(|release| release != site);
        Self {
            notice: text::client_note(client.state, &detail)
                .map(|words| Notice::new(tone(client.state), words)),
            jump: reachable.then(|| format!("sluis jump {}", shell_word(&client.name))),
            system: format!("{} ({})", client.os, client.arch),
            mode: text::mode(client.mode),
            last_seen: client.last_seen.map(Moment::at),
            enrolled: Moment::at(client.enrolled),
            fingerprint: client.key.fingerprint(),
            key: client.key.to_string(),
            id: client.id.to_string(),
            release: client.release.map(|each| each.to_string()).unwrap_or_default(),
            site_release: older.then(|| site.to_string()),
            sessions: SessionTable::new(sessions, now),
            edit: may_edit.then(|| url::ClientEdit(client.id).to_string()),
            remove: url::ClientRemove(client.id).to_string(),
            state,
            name: client.name,
            group: client.group,
        }
    }
}

fn tone(state: ClientState) -> Tone {
    match state {
        ClientState::UpgradeFailed => Tone::Bad,
        ClientState::Upgrading => Tone::Busy,
        _ => Tone::Warn,
    }
}

/// The name as one word of a command line.
fn shell_word(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    if !name.is_empty() && name.chars().all(plain) {
        name.to_owned()
    } else {
        format!("'{}'", name.replace('\'', "'\\''"))
    }
}

impl Body for Client {
    fn title(&self) -> String {
        self.name.clone()
    }

    fn refresh(&self) -> Option<Refresh> {
        Some(Refresh::Parts(LOOK_AGAIN_S))
    }
}

/// What the form for another name posts.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ClientEditInput {
    /// What the page's [`Csrf`] held.
    #[serde(default)]
    pub csrf: String,
    /// What people call it.
    #[serde(default)]
    pub name: String,
    /// The group; may be empty.
    #[serde(default)]
    pub group: String,
}

/// What is wrong with the form, with the reason and the way out in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientEditFault {
    /// The name.
    Name(String),
    /// The group.
    Group(String),
}

/// The form for another name and group of a Jump Client.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "client_edit.html")]
pub struct ClientEdit {
    csrf: Csrf,
    title: String,
    action: String,
    back: String,
    name: Field,
    group: Field,
}

impl HtmlSafe for ClientEdit {}

impl ClientEdit {
    /// The form with what holds now.
    pub fn new(id: AgentId, name: &str, group: &str, csrf: Csrf) -> Self {
        let hint = text::CLIENT_NAME_HINT;
        Self {
            csrf,
            title: name.to_owned(),
            action: url::ClientEdit(id).to_string(),
            back: url::Client(id).to_string(),
            name: Field::new(FieldKind::Text, "name", text::NAME).hint(hint).value(name).focus(),
            group: Field::new(FieldKind::Text, "group", text::GROUP)
                .hint(text::GROUP_OF_CLIENT_HINT)
                .value(group)
                .optional(),
        }
    }

    /// The form again, with what was typed and what is wrong with it.
    pub fn wrong(mut self, typed: &ClientEditInput, fault: ClientEditFault) -> Self {
        self.name = self.name.value(&typed.name).unfocused();
        self.group = self.group.value(&typed.group);
        match fault {
            ClientEditFault::Name(why) => self.name = self.name.error(why),
            ClientEditFault::Group(why) => self.group = self.group.error(why),
        }
        self
    }
}

impl Body for ClientEdit {
    fn title(&self) -> String {
        text::EDIT_CLIENT.to_owned()
    }
}

/// Asks before a Jump Client is removed.
pub fn remove_client(id: AgentId, name: &str, csrf: Csrf) -> Confirm {
    Confirm {
        question: text::remove_client(name),
        effects: text::remove_client_effects(name),
        csrf,
        action: url::ClientRemove(id).to_string(),
        word: text::REMOVE,
        danger: true,
        back: Link { href: url::Client(id).to_string(), word: text::CANCEL.to_owned() },
    }
}

impl Samples for ClientEdit {
    fn samples() -> Vec<(&'static str, Self)> {
        let form =
            |name: &str| Self::new(AgentId::from_bytes([1; 16]), name, "Web", Csrf("5f1d".into()));
        let typed = ClientEditInput { name: "web-02".into(), ..ClientEditInput::default() };
        let taken = "A Jump Client named web-02 exists already.".to_owned();
        vec![
            ("typical", form("web-01")),
            ("taken", form("web-01").wrong(&typed, ClientEditFault::Name(taken))),
            ("long", form(&samples::long_name())),
        ]
    }
}

impl Samples for Client {
    fn samples() -> Vec<(&'static str, Self)> {
        const NAMES: [&str; 10] = [
            "online",
            "typical",
            "offline",
            "lost",
            "disabled",
            "uninstalled",
            "pending",
            "upgrading",
            "failed",
            "never",
        ];
        let site = Release::new(1, 1, 0, 2);
        let page = |(name, client)| {
            let sessions = if name == "typical" { samples::past_sessions() } else { vec![] };
            (name, Self::new(client, sessions, &site, name != "offline", samples::NOW))
        };
        let mut all: Vec<_> = NAMES.into_iter().zip(samples::clients()).map(page).collect();
        let mut long = samples::clients().remove(0);
        long.name = samples::long_name() + "'";
        long.os = "An operating system that likes to tell about itself ".repeat(4);
        all.push(("long", Self::new(long, vec![], &site, true, samples::NOW)));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_word_of_a_command_line() {
        assert_eq!(shell_word("db-01.example"), "db-01.example");
        assert_eq!(shell_word("a b; rm"), "'a b; rm'");
        assert_eq!(shell_word("it's"), "'it'\\''s'");
    }
}
