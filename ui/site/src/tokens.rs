//! Bearer tokens of the API, and tokens that enrol Jump Clients: what is kept of them.

use std::time::Duration;

use askama::Template;
use askama::filters::HtmlSafe;
use model::Timestamp;
use serde::Deserialize;
use ui_kit::{
    Body, Confirm, Csrf, Field, FieldKind, Link, Moment, Samples, count, url::site as url,
};

use crate::{Mode, samples, text};

/// One bearer token.
#[derive(Debug, Clone)]
pub struct ApiTokenFacts {
    /// Its id.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// Whose.
    pub operator: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct ApiRow {
    name: String,
    operator: String,
    created: Moment,
    expires: Moment,
    revoke: String,
}

/// The list of bearer tokens: one's own, or all for an administrator.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "api_tokens.html")]
pub struct ApiTokens {
    rows: Vec<ApiRow>,
}

impl HtmlSafe for ApiTokens {}

impl ApiTokens {
    /// The list, in the order given.
    pub fn new(tokens: Vec<ApiTokenFacts>) -> Self {
        let row = |token: ApiTokenFacts| ApiRow {
            created: Moment::at(token.created),
            expires: Moment::at(token.expires),
            revoke: url::ApiTokenRevoke(token.id).to_string(),
            name: token.name,
            operator: token.operator,
        };
        Self { rows: tokens.into_iter().map(row).collect() }
    }
}

impl Body for ApiTokens {
    fn title(&self) -> String {
        text::TOKENS.to_owned()
    }
}

/// What the form for a bearer token posts.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ApiTokenInput {
    /// What the page's [`Csrf`] held.
    #[serde(default)]
    pub csrf: String,
    /// What it is for.
    #[serde(default)]
    pub name: String,
    /// For how many hours it works, as typed.
    #[serde(default)]
    pub hours: String,
}

impl ApiTokenInput {
    /// How long it works: 1 hour to 1 year.
    pub fn valid_for(&self) -> Result<Duration, ApiTokenFault> {
        let hours = self.hours.trim().parse().ok().filter(|hours| (1..=8784).contains(hours));
        let hours: u64 = hours.ok_or_else(|| ApiTokenFault::Hours(text::HOURS_FAULT.to_owned()))?;
        Ok(Duration::from_hours(hours))
    }
}

/// What is wrong with the form, with the reason and the way out in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiTokenFault {
    /// What it is for.
    Name(String),
    /// The hours.
    Hours(String),
}

/// The form for a bearer token.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "api_token_add.html")]
pub struct ApiTokenAdd {
    csrf: Csrf,
    name: Field,
    hours: Field,
}

impl HtmlSafe for ApiTokenAdd {}

impl ApiTokenAdd {
    /// The form with what is usual: a month.
    pub fn new(csrf: Csrf) -> Self {
        Self {
            csrf,
            name: Field::new(FieldKind::Text, "name", text::TOKEN_FOR)
                .hint(text::TOKEN_FOR_HINT)
                .focus(),
            hours: Field::new(FieldKind::Number, "hours", text::HOURS)
                .hint(text::TOKEN_HOURS_HINT)
                .value("720"),
        }
    }

    /// The form again, with what was typed and what is wrong with it.
    pub fn wrong(mut self, typed: &ApiTokenInput, fault: ApiTokenFault) -> Self {
        self.name = self.name.value(&typed.name).unfocused();
        self.hours = self.hours.value(&typed.hours);
        match fault {
            ApiTokenFault::Name(why) => self.name = self.name.error(why),
            ApiTokenFault::Hours(why) => self.hours = self.hours.error(why),
        }
        self
    }
}

impl Body for ApiTokenAdd {
    fn title(&self) -> String {
        text::ADD_TOKEN.to_owned()
    }
}

/// A bearer token that was just made, shown this one time.
#[derive(Clone, PartialEq, Eq, Template)]
#[template(path = "api_token_made.html")]
pub struct ApiTokenMade {
    /// What it is for.
    pub name: String,
    /// The token.
    pub token: String,
    /// When it ends.
    pub expires: Moment,
    /// The web address of the site.
    pub site: String,
}

impl HtmlSafe for ApiTokenMade {}

impl Body for ApiTokenMade {
    fn title(&self) -> String {
        text::TOKENS.to_owned()
    }
}

/// Asks before a bearer token is revoked.
pub fn revoke_api_token(id: &str, name: &str, csrf: Csrf) -> Confirm {
    Confirm {
        question: text::revoke_token(name),
        effects: text::revoke_token_effects(),
        csrf,
        action: url::ApiTokenRevoke(id.to_owned()).to_string(),
        word: text::REVOKE,
        danger: true,
        back: Link { href: url::ApiTokens.to_string(), word: text::CANCEL.to_owned() },
    }
}

/// An enrolment token that still enrols.
#[derive(Debug, Clone)]
pub struct EnrolmentTokenFacts {
    /// Its id.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// The group that its Jump Clients join; may be empty.
    pub group: String,
    /// How they keep in touch.
    pub mode: Mode,
    /// How many more it enrols.
    pub uses_left: u32,
    /// When it ends.
    pub expires: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct EnrolmentRow {
    name: String,
    group: String,
    mode: &'static str,
    uses_left: String,
    expires: Moment,
    revoke: String,
}

/// The list of enrolment tokens.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "enrolment_tokens.html")]
pub struct EnrolmentTokens {
    rows: Vec<EnrolmentRow>,
}

impl HtmlSafe for EnrolmentTokens {}

impl EnrolmentTokens {
    /// The list, in the order given.
    pub fn new(tokens: Vec<EnrolmentTokenFacts>) -> Self {
        let row = |token: EnrolmentTokenFacts| EnrolmentRow {
            mode: text::mode(token.mode),
            uses_left: count(token.uses_left as usize, "Jump Client", "Jump Clients"),
            expires: Moment::at(token.expires),
            revoke: url::EnrolmentTokenRevoke(token.id).to_string(),
            name: token.name,
            group: token.group,
        };
        Self { rows: tokens.into_iter().map(row).collect() }
    }
}

impl Body for EnrolmentTokens {
    fn title(&self) -> String {
        text::ENROLMENT_TOKENS.to_owned()
    }
}

/// Asks before an enrolment token is withdrawn.
pub fn withdraw_enrolment_token(id: &str, name: &str, csrf: Csrf) -> Confirm {
    Confirm {
        question: text::withdraw_enrolment(name),
        effects: text::withdraw_enrolment_effects(),
        csrf,
        action: url::EnrolmentTokenRevoke(id.to_owned()).to_string(),
        word: text::WITHDRAW,
        danger: true,
        back: Link { href: url::EnrolmentTokens.to_string(), word: text::CANCEL.to_owned() },
    }
}

impl Samples for ApiTokens {
    fn samples() -> Vec<(&'static str, Self)> {
        let token = |name: &str, operator: &str| ApiTokenFacts {
            id: "0193517c-9f1e".into(),
            name: name.into(),
            operator: operator.into(),
            created: samples::ago(86_400),
            expires: Timestamp::from_secs(samples::NOW.as_secs() + 86_400 * 29),
        };
        let name = samples::long_name();
        vec![
            ("empty", Self::new(vec![])),
            ("typical", Self::new(vec![token("backup script", "admin"), token("report", "ada")])),
            ("long", Self::new(vec![token(&name, &name)])),
        ]
    }
}

impl Samples for ApiTokenAdd {
    fn samples() -> Vec<(&'static str, Self)> {
        let form = || Self::new(Csrf("5f1d".into()));
        let typed = ApiTokenInput {
            name: "backup script".into(),
            hours: "for ever".into(),
            ..ApiTokenInput::default()
        };
        let fault = typed.valid_for().expect_err("no number");
        vec![("empty", form()), ("wrong", form().wrong(&typed, fault))]
    }
}

impl Samples for ApiTokenMade {
    fn samples() -> Vec<(&'static str, Self)> {
        let made = |name: &str| Self {
            name: name.into(),
            token: "9f31c2d4".repeat(8),
            expires: Moment::at(samples::NOW.plus(Duration::from_hours(720))),
            site: "support.example.com".into(),
        };
        vec![("typical", made("backup script")), ("long", made(&samples::long_name()))]
    }
}

impl Samples for EnrolmentTokens {
    fn samples() -> Vec<(&'static str, Self)> {
        let token = |name: &str, group: &str, uses_left| EnrolmentTokenFacts {
            id: "0193517c-9f1e".into(),
            name: name.into(),
            group: group.into(),
            mode: if group.is_empty() { Mode::Passive } else { Mode::Active },
            uses_left,
            expires: samples::NOW.plus(Duration::from_hours(20)),
        };
        let name = samples::long_name();
        vec![
            ("empty", Self::new(vec![])),
            ("typical", Self::new(vec![token("web servers", "Web", 12), token("kiosk", "", 1)])),
            ("long", Self::new(vec![token(&name, &name, 3)])),
        ]
    }
}
