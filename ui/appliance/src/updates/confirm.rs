use askama::Template;
use askama::filters::HtmlSafe;
use model::{PackageKind, Release, Timestamp};
use serde::Deserialize;
use ui_kit::{Body, Csrf, Samples, url::appliance as url};

use super::card::{Card, CardFacts};
use super::impact::{Impact, ImpactFacts};
use super::samples;
use crate::text;

/// What the form that installs posts.
#[derive(Debug, Clone, Deserialize)]
pub struct InstallInput {
    /// What the page's [`Csrf`] held.
    #[serde(default)]
    pub csrf: String,
    /// Name of the TUF target to install.
    #[serde(default)]
    pub target: String,
}

/// What the form that goes back posts.
#[derive(Debug, Clone, Deserialize)]
pub struct RollBackInput {
    /// What the page's [`Csrf`] held.
    #[serde(default)]
    pub csrf: String,
    /// What goes back.
    pub kind: PackageKind,
}

/// Asks before a package is installed, and says what that brings about.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "updates/install.html")]
pub struct InstallConfirm {
    csrf: Csrf,
    question: String,
    card: Card,
    impact: Impact,
}

impl HtmlSafe for InstallConfirm {}

impl InstallConfirm {
    /// The page in words.
    pub fn new(card: CardFacts, impact: ImpactFacts, csrf: Csrf) -> Self {
        let now: Timestamp = impact.now;
        let card = Card::new(card, now).without_button();
        let question = text::install_question(card.kind, &card.release);
        Self { csrf, question, card, impact: Impact::new(impact) }
    }
}

impl Body for InstallConfirm {
    fn title(&self) -> String {
        self.question.clone()
    }
}

/// Asks before the previous version is brought back.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "updates/roll_back.html")]
pub struct RollBackConfirm {
    csrf: Csrf,
    kind: PackageKind,
    question: String,
    current: String,
    impact: Impact,
}

impl HtmlSafe for RollBackConfirm {}

impl RollBackConfirm {
    /// The page in words: from the version that runs to the one in the kept slot.
    pub fn new(current: &Release, previous: &Release, impact: ImpactFacts, csrf: Csrf) -> Self {
        Self {
            csrf,
            kind: impact.kind,
            question: text::roll_back_question(impact.kind, previous),
            current: text::package(impact.kind, current),
            impact: Impact::new(impact),
        }
    }
}

impl Body for RollBackConfirm {
    fn title(&self) -> String {
        self.question.clone()
    }
}

impl Samples for InstallConfirm {
    fn samples() -> Vec<(&'static str, Self)> {
        let site = || samples::card(PackageKind::Site, 1);
        let page = |card, impact| Self::new(card, impact, Csrf("5f1d".into()));
        let quiet = ImpactFacts {
            operators: vec![],
            sessions: vec![],
            findings: vec![],
            ..samples::impact(PackageKind::Base)
        };
        vec![
            ("quiet", page(samples::card(PackageKind::Base, 1), quiet)),
            ("typical", page(site(), samples::impact(PackageKind::Site))),
            ("refused", page(site(), samples::impact_refused())),
        ]
    }
}

impl Samples for RollBackConfirm {
    fn samples() -> Vec<(&'static str, Self)> {
        let (old, new) = (Release::new(1, 0, 0, 1), Release::new(1, 1, 0, 2));
        let page = |impact| Self::new(&new, &old, impact, Csrf("5f1d".into()));
        let going_back =
            |kind| ImpactFacts { disk_needed: 0, findings: vec![], ..samples::impact(kind) };
        vec![
            ("typical", page(going_back(PackageKind::Site))),
            ("base", page(going_back(PackageKind::Base))),
            ("refused", page(ImpactFacts { disk_needed: 0, ..samples::impact_refused() })),
        ]
    }
}
