use askama::Template;
use askama::filters::HtmlSafe;
use model::{ConsoleId, Timestamp};
use ui_kit::{Badge, Body, Confirm, Csrf, Link, Moment, Samples, Tone, url::site as url};

use crate::{samples, text};

/// One access console.
#[derive(Debug, Clone)]
pub struct ConsoleFacts {
    /// Its id.
    pub id: ConsoleId,
    /// What the device is called.
    pub name: String,
    /// Whose it is.
    pub operator: String,
    /// When it was registered.
    pub created: Timestamp,
    /// Until when it works without signing in again.
    pub expires: Timestamp,
    /// When it last connected.
    pub last_seen: Option<Timestamp>,
    /// Whether it was revoked.
    pub revoked: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    name: String,
    operator: String,
    state: Badge,
    last_seen: Option<Moment>,
    created: Moment,
    expires: Moment,
    revoke: Option<String>,
}

/// The list of access consoles: one's own, or all for an administrator.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "consoles.html")]
pub struct Consoles {
    rows: Vec<Row>,
    site: String,
}

impl HtmlSafe for Consoles {}

impl Consoles {
    /// The list, in the order given; `site` is the address for the console's command.
    pub fn new(consoles: Vec<ConsoleFacts>, site: &str, now: Timestamp) -> Self {
        let rows = consoles.into_iter().map(|console| row(console, now)).collect();
        Self { rows, site: site.to_owned() }
    }
}

fn row(console: ConsoleFacts, now: Timestamp) -> Row {
    let over = console.expires <= now;
    let valid = !console.revoked && !over;
    let tone = if valid { Tone::Good } else { Tone::Idle };
    Row {
        state: Badge::new(tone, text::console_state(console.revoked, over)),
        last_seen: console.last_seen.map(|at| Moment::ago(at, now)),
        created: Moment::at(console.created),
        expires: Moment::at(console.expires),
        revoke: valid.then(|| url::ConsoleRevoke(console.id).to_string()),
        name: console.name,
        operator: console.operator,
    }
}

impl Body for Consoles {
    fn title(&self) -> String {
        text::CONSOLES.to_owned()
    }
}

/// Asks before a console is revoked.
pub fn revoke_console(id: ConsoleId, name: &str, operator: &str, csrf: Csrf) -> Confirm {
    Confirm {
        question: text::revoke_console(name, operator),
        effects: text::revoke_console_effects(operator),
        csrf,
        action: url::ConsoleRevoke(id).to_string(),
        word: text::REVOKE,
        danger: true,
        back: Link { href: url::Consoles.to_string(), word: text::CANCEL.to_owned() },
    }
}

impl Samples for Consoles {
    fn samples() -> Vec<(&'static str, Self)> {
        let console = |n: u8, name: &str, operator: &str, seen: Option<u64>| ConsoleFacts {
            id: ConsoleId::from_bytes([n; 16]),
            name: name.into(),
            operator: operator.into(),
            created: samples::ago(86_400 * 9),
            expires: Timestamp::from_secs(samples::NOW.as_secs() + 86_400 * 21),
            last_seen: seen.map(samples::ago),
            revoked: false,
        };
        let typical = vec![
            console(1, "ada-laptop", "ada", Some(30)),
            ConsoleFacts {
                expires: samples::ago(3600),
                ..console(2, "jump-host", "grace", Some(86_400))
            },
            ConsoleFacts { revoked: true, ..console(3, "old-laptop", "ada", None) },
        ];
        let name = samples::long_name();
        let long = vec![console(1, &name, &name, Some(1))];
        let page = |consoles| Self::new(consoles, "support.example.com:443", samples::NOW);
        vec![("empty", page(vec![])), ("typical", page(typical)), ("long", page(long))]
    }
}
