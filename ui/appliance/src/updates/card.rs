use askama::Template;
use askama::filters::HtmlSafe;
use model::{PackageKind, Release, Timestamp};
use ui_kit::{Badge, Csrf, Moment, Notice, Tone, size, url::appliance as url};

use crate::text;

/// Whether a package can be installed now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CardStatus {
    /// Yes.
    Installable,
    /// It runs.
    Installed,
    /// No.
    Blocked(Blocked),
    /// No: it failed here and was put back.
    PutBack {
        /// When.
        at: Timestamp,
        /// Why.
        reason: String,
    },
}

/// Why a package cannot be installed now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// What is missing, such as `base >=1.3`; may be empty.
    pub missing: String,
    /// Target of the package to install first; `None` when nothing that is available helps.
    pub by: Option<String>,
    /// The whole reason and the way out.
    pub text: String,
}

/// One package that the update server offers, or that runs.
#[derive(Debug, Clone)]
pub struct CardFacts {
    /// Name of the TUF target.
    pub target: String,
    /// What it carries.
    pub kind: PackageKind,
    /// Its name.
    pub name: String,
    /// Version and revision.
    pub release: Release,
    /// Primary hostname that it is offered for.
    pub hostname: Option<String>,
    /// How many operators may work at the same time.
    pub licenses: Option<u32>,
    /// When that ends.
    pub expires: Option<Timestamp>,
    /// Release notes, plain text.
    pub notes: String,
    /// Bytes to download.
    pub size: u64,
    /// What must be installed before, each such as `base >=1.3`.
    pub requires: Vec<String>,
    /// Whether it can be installed now.
    pub status: CardStatus,
    /// How many packages are installed on the way to it, itself among them; 0 when there is no such way.
    pub way: usize,
}

/// One package as a card: on the Updates page and on the page that asks before installing.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "updates/card.html")]
pub struct Card {
    pub(super) target: String,
    pub(super) kind: PackageKind,
    pub(super) release: Release,
    name: String,
    title: String,
    badge: Badge,
    hostname: Option<String>,
    licenses: Option<u32>,
    expires: Option<Moment>,
    expired: bool,
    installed: bool,
    open: bool,
    notes: String,
    size: String,
    requires: Vec<String>,
    blocked: Option<Notice>,
    /// The package to install first: its title and where its card is.
    pub(super) first: Option<(String, String)>,
    /// Where the page that asks is, and the word of the button.
    install: Option<(String, String)>,
    put_back: bool,
    /// Lets what was put back be offered again.
    pub(super) retry: Option<Csrf>,
}

impl HtmlSafe for Card {}

impl Card {
    /// The card in words; `now` tells what has expired.
    pub fn new(facts: CardFacts, now: Timestamp) -> Self {
        let (badge, blocked) = match &facts.status {
            CardStatus::Installable => (Badge::new(Tone::Idle, text::AVAILABLE), None),
            CardStatus::Installed => (Badge::new(Tone::Good, text::INSTALLED), None),
            CardStatus::Blocked(why) => (Badge::new(Tone::Warn, text::BLOCKED), Some(notice(why))),
            CardStatus::PutBack { at, reason } => {
                let words = text::put_back(*at, reason);
                let notice = Notice::titled(Tone::Bad, text::PUT_BACK_TITLE, words);
                (Badge::new(Tone::Bad, text::PUT_BACK), Some(notice))
            }
        };
        let word = match facts.status {
            CardStatus::Installable => Some(text::INSTALL_THIS.to_owned()),
            CardStatus::Blocked(_) if facts.way > 1 => Some(text::install_in_steps(facts.way)),
            _ => None,
        };
        let install = word.map(|word| (url::Install(facts.target.clone()).to_string(), word));
        Self {
            title: text::package(facts.kind, &facts.release),
            badge,
            blocked,
            first: None,
            installed: facts.status == CardStatus::Installed,
            open: facts.status == CardStatus::Installable,
            put_back: matches!(facts.status, CardStatus::PutBack { .. }),
            retry: None,
            install,
            hostname: facts.hostname,
            licenses: facts.licenses,
            expires: facts.expires.map(Moment::at),
            expired: facts.expires.is_some_and(|at| at <= now),
            notes: facts.notes.trim().to_owned(),
            size: size(facts.size),
            requires: facts.requires,
            target: facts.target,
            kind: facts.kind,
            name: facts.name,
            release: facts.release,
        }
    }

    /// The same card without a button, as on the page that asks.
    pub(super) fn without_button(mut self) -> Self {
        self.install = None;
        self
    }

    /// The card as one step of a plan: what it waits for goes before it.
    pub(super) fn in_plan(mut self, step: usize, of: usize) -> Self {
        self.badge = Badge::new(Tone::Idle, text::plan_place(step, of));
        (self.blocked, self.first) = (None, None);
        self
    }

    /// The same card with a button that lets it be offered again, if it was put back.
    pub(super) fn with_retry(mut self, csrf: &Csrf) -> Self {
        self.retry = self.put_back.then(|| csrf.clone());
        self
    }

    /// Where the card is on its page.
    pub(super) fn anchor(&self) -> String {
        let letters = self.target.chars();
        letters.map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect()
    }

    pub(super) fn is_installed(&self) -> bool {
        self.installed
    }

    pub(super) fn title(&self) -> &str {
        &self.title
    }
}

fn notice(why: &Blocked) -> Notice {
    let title = if why.missing.is_empty() {
        text::BLOCKED_TITLE.to_owned()
    } else {
        text::blocked_by(&why.missing)
    };
    Notice::titled(Tone::Warn, title, &why.text)
}
