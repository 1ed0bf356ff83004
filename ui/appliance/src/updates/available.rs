use askama::Template;
use askama::filters::HtmlSafe;
use model::{PackageKind, Release, Timestamp};
use ui_kit::{Body, Csrf, Moment, Notice, Samples, Tone, url::appliance as url};

use super::card::{Blocked, Card, CardFacts, CardStatus};
use crate::text;

/// One step of the way to the newest of everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanStep {
    /// Name of the TUF target.
    pub target: String,
    /// What is done and why.
    pub text: String,
}

/// What runs of one kind, and what it can go back to.
#[derive(Debug, Clone)]
pub struct Installed {
    /// Base or site.
    pub kind: PackageKind,
    /// The version that runs.
    pub current: Release,
    /// The version in the kept slot.
    pub previous: Option<Release>,
}

/// What the Updates page shows.
#[derive(Debug, Clone)]
pub struct UpdatesFacts {
    /// When the update server last answered.
    pub checked_at: Option<Timestamp>,
    /// Why the last check did not work: the reason and the way out.
    pub check_failed: Option<String>,
    /// What an install that runs is doing, in words.
    pub installing: Option<String>,
    /// What runs now.
    pub installed: Vec<Installed>,
    /// The cards of the last check that worked.
    pub packages: Vec<CardFacts>,
    /// Its plan.
    pub plan: Vec<PlanStep>,
    /// The appliance's clock.
    pub now: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct InstalledRow {
    kind: &'static str,
    current: String,
    previous: Option<String>,
    roll_back: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    text: String,
    card: Option<String>,
}

/// The Updates page.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "updates/available.html")]
pub struct Updates {
    csrf: Csrf,
    checked: Option<Moment>,
    check_failed: Option<Notice>,
    installing: Option<String>,
    installed: Vec<InstalledRow>,
    available: Vec<Card>,
    running: Vec<Card>,
    plan: Vec<Step>,
    /// Where the page that asks for all of it is, and the word of the button.
    install_all: Option<(String, String)>,
}

impl HtmlSafe for Updates {}

impl Updates {
    /// The page in words.
    pub fn new(facts: UpdatesFacts, csrf: Csrf) -> Self {
        let busy = facts.installing.is_some();
        let waits: Vec<Option<String>> = facts.packages.iter().map(first).collect();
        let can_begin = facts.plan.first().is_some_and(|step| installable(&facts, &step.target));
        let mut cards: Vec<Card> =
            facts.packages.into_iter().map(|each| Card::new(each, facts.now)).collect();
        let places: Vec<(String, String, String)> = cards
            .iter()
            .map(|card| (card.target.clone(), card.title().to_owned(), card.anchor()))
            .collect();
        let place = |target: &str| places.iter().find(|place| place.0 == target);
        for (card, wait) in cards.iter_mut().zip(&waits) {
            let first = wait.as_deref().and_then(place);
            card.first = first.map(|(_, title, anchor)| (title.clone(), format!("#{anchor}")));
        }
        cards = cards
            .into_iter()
            .map(|card| if busy { card.without_button() } else { card.with_retry(&csrf) })
            .collect();
        let steps = facts.plan.len();
        let all_can = steps > 1 && !busy && can_begin;
        let install_all =
            all_can.then(|| (url::InstallAll.to_string(), text::install_all_steps(steps)));
        let plan = facts.plan.into_iter().map(|step| Step {
            card: place(&step.target).map(|(_, _, anchor)| format!("#{anchor}")),
            text: step.text,
        });
        let plan = plan.collect();
        let (running, available) = cards.into_iter().partition(Card::is_installed);
        Self {
            csrf,
            checked: facts.checked_at.map(|at| Moment::ago(at, facts.now)),
            check_failed: facts
                .check_failed
                .map(|why| Notice::titled(Tone::Bad, text::CHECK_FAILED, text::check_failed(&why))),
            installing: facts.installing,
            installed: facts.installed.into_iter().map(|each| installed(each, busy)).collect(),
            available,
            running,
            plan,
            install_all,
        }
    }
}

fn installable(facts: &UpdatesFacts, target: &str) -> bool {
    let card = facts.packages.iter().find(|card| card.target == target);
    card.is_some_and(|card| card.status == CardStatus::Installable)
}

fn first(card: &CardFacts) -> Option<String> {
    match &card.status {
        CardStatus::Blocked(Blocked { by, .. }) => by.clone(),
        _ => None,
    }
}

fn installed(each: Installed, busy: bool) -> InstalledRow {
    InstalledRow {
        kind: ui_kit::package_kind(each.kind),
        current: each.current.to_string(),
        roll_back: (each.previous.is_some() && !busy).then(|| url::RollBack(each.kind).to_string()),
        previous: each.previous.map(|release| release.to_string()),
    }
}

impl Body for Updates {
    fn title(&self) -> String {
        text::UPDATES.to_owned()
    }
}

impl Samples for Updates {
    fn samples() -> Vec<(&'static str, Self)> {
        let page = |facts| Self::new(facts, Csrf("5f1d".into()));
        let typical = super::samples::updates();
        let empty = UpdatesFacts {
            checked_at: None,
            packages: vec![],
            plan: vec![],
            installed: typical.installed[..1].to_vec(),
            ..typical.clone()
        };
        let newest = UpdatesFacts {
            plan: vec![],
            packages: typical.packages[2..].to_vec(),
            ..typical.clone()
        };
        let failed = UpdatesFacts {
            check_failed: Some(
                "The update server updates.example.com did not answer within 20 s: connection refused. \
                 Check that this appliance may reach it on TCP 443, then check again."
                    .into(),
            ),
            ..typical.clone()
        };
        let installing = UpdatesFacts {
            installing: Some("Base software 1.1.0 (rev 2): download".into()),
            ..typical.clone()
        };
        let mut put_back = typical.clone();
        put_back.packages[0].status = CardStatus::PutBack {
            at: typical.now,
            reason: "base 1.1.0 (rev 2) does not start: it exited with status 3".into(),
        };
        let mut long = typical.clone();
        for card in &mut long.packages {
            card.hostname = Some("a-department-with-a-long-name.".repeat(5));
            card.notes = "Read this <b>first</b>. ".repeat(60);
            card.requires = vec!["base >=1.1, <2".into(); 6];
        }
        vec![
            ("empty", page(empty)),
            ("typical", page(typical)),
            ("newest", page(newest)),
            ("check-failed", page(failed)),
            ("installing", page(installing)),
            ("put-back", page(put_back)),
            ("long", page(long)),
        ]
    }
}
