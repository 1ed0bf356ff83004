use askama::Template;
use askama::filters::HtmlSafe;
use model::Timestamp;
use ui_kit::{Body, Moment, Samples, url::site as url};

use crate::{samples, text};

/// The account of who looks at the page.
#[derive(Debug, Clone)]
pub struct AccountFacts {
    /// What it signs in with.
    pub name: String,
    /// The person's name; may be empty.
    pub display_name: String,
    /// Whether it administers the site.
    pub admin: bool,
    /// When it signed in.
    pub signed_in: Timestamp,
    /// When this sign-in ends by itself.
    pub ends: Timestamp,
    /// The web address of the site, for the console's command.
    pub site: String,
}

/// One's own account.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "account.html")]
pub struct Account {
    name: String,
    display_name: String,
    role: &'static str,
    signed_in: Moment,
    ends: Moment,
    site: String,
}

impl HtmlSafe for Account {}

impl Account {
    /// The page in words.
    pub fn new(facts: AccountFacts) -> Self {
        Self {
            name: facts.name,
            display_name: facts.display_name,
            role: text::role(facts.admin),
            signed_in: Moment::at(facts.signed_in),
            ends: Moment::at(facts.ends),
            site: facts.site,
        }
    }
}

impl Body for Account {
    fn title(&self) -> String {
        text::MY_ACCOUNT.to_owned()
    }
}

impl Samples for Account {
    fn samples() -> Vec<(&'static str, Self)> {
        let facts = AccountFacts {
            name: "ada".into(),
            display_name: "Ada Lovelace".into(),
            admin: false,
            signed_in: samples::ago(1200),
            ends: Timestamp::from_secs(samples::NOW.as_secs() + 40_000),
            site: "support.example.com".into(),
        };
        let long = AccountFacts {
            name: samples::long_name(),
            display_name: String::new(),
            admin: true,
            ..facts.clone()
        };
        vec![("typical", Self::new(facts)), ("long", Self::new(long))]
    }
}
