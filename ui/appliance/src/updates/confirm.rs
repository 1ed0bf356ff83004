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
    /// Name of the TUF target to install; empty for the newest of everything.
    #[serde(default)]
    pub target: String,
    /// The targets of all steps that the page showed, in order, with commas between them.
    #[serde(default)]
    pub steps: String,
}

impl InstallInput {
    /// The steps that the page showed.
    pub fn steps(&self) -> Vec<String> {
        self.steps.split(',').filter(|step| !step.is_empty()).map(str::to_owned).collect()
    }
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wished {
    /// The last package, with what it needs first.
    Last,
    /// The newest of everything.
    Everything,
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

/// Asks before one or several packages are installed, and says what that brings about.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "updates/install.html")]
pub struct InstallConfirm {
    csrf: Csrf,
    question: String,
    action: &'static str,
    word: String,
    target: String,
    targets: String,
    /// What each step does; empty for one package.
    steps: Vec<String>,
    cards: Vec<Card>,
    impact: Impact,
}

impl HtmlSafe for InstallConfirm {}

impl InstallConfirm {
    /// The page in words: the packages in their order, each with what is done and why.
    ///
    /// # Panics
    /// Without a package.
    pub fn new(
        wished: Wished,
        steps: Vec<(CardFacts, String)>,
        impact: ImpactFacts,
        csrf: Csrf,
    ) -> Self {
        let now: Timestamp = impact.now;
        let several = steps.len() > 1;
        let (cards, texts): (Vec<Card>, Vec<String>) = steps
            .into_iter()
            .map(|(facts, text)| (Card::new(facts, now).without_button(), text))
            .unzip();
        let of = cards.len();
        let cards: Vec<Card> = cards
            .into_iter()
            .zip(1..)
            .map(|(card, step)| if several { card.in_plan(step, of) } else { card })
            .collect();
        let last = cards.last().expect("a page that asks has something to ask for");
        let word = if several {
            text::install_all_steps(cards.len())
        } else {
            text::INSTALL_THIS.to_owned()
        };
        let (question, action, target) = match wished {
            Wished::Last => {
                let question = text::install_question(last.kind, &last.release, cards.len());
                (question, url::Install::ROUTE, last.target.clone())
            }
            Wished::Everything => {
                (text::install_all_question(cards.len()), url::InstallAll::ROUTE, String::new())
            }
        };
        let targets: Vec<&str> = cards.iter().map(|card| card.target.as_str()).collect();
        Self {
            csrf,
            question,
            action,
            word,
            target,
            targets: targets.join(","),
            steps: if several { texts } else { vec![] },
            cards,
            impact: Impact::new(impact),
        }
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
        let one = |kind| {
            let card = samples::card(kind, 1);
            let words = format!("Install {kind} {}.", card.release);
            vec![(card, words)]
        };
        let page = |steps, impact| Self::new(Wished::Last, steps, impact, Csrf("5f1d".into()));
        let quiet = ImpactFacts {
            operators: vec![],
            sessions: vec![],
            findings: vec![],
            ..samples::impact(PackageKind::Base)
        };
        let plan = samples::plan_of_three();
        let everything = ImpactFacts { findings: vec![], ..samples::impact(PackageKind::Site) };
        vec![
            ("quiet", page(one(PackageKind::Base), quiet)),
            ("typical", page(one(PackageKind::Site), samples::impact(PackageKind::Site))),
            ("refused", page(one(PackageKind::Site), samples::impact_refused())),
            ("steps", page(plan.clone(), samples::impact(PackageKind::Site))),
            ("steps-refused", page(plan.clone(), samples::impact_refused())),
            ("everything", Self::new(Wished::Everything, plan, everything, Csrf("5f1d".into()))),
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
