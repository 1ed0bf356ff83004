use askama::Template;
use askama::filters::HtmlSafe;
use model::{ClientState, Release, Timestamp};
use ui_kit::{Badge, Body, Moment, Notice, Samples, Tone, url::site as url};

use crate::clients::state;
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
}

impl HtmlSafe for Client {}

impl Client {
    /// The page: the client, its sessions, newest first, and the site's own version beside which
    /// an older one is named.
    pub fn new(
        client: ClientFacts,
        sessions: Vec<SessionFacts>,
        site: &Release,
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
            (name, Self::new(client, sessions, &site, samples::NOW))
        };
        let mut all: Vec<_> = NAMES.into_iter().zip(samples::clients()).map(page).collect();
        let mut long = samples::clients().remove(0);
        long.name = samples::long_name() + "'";
        long.os = "An operating system that likes to tell about itself ".repeat(4);
        all.push(("long", Self::new(long, vec![], &site, samples::NOW)));
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
