use askama::Template;
use askama::filters::HtmlSafe;
use model::Timestamp;
use serde::Deserialize;
use ui_kit::{
    Badge, Body, Confirm, Csrf, Field, FieldKind, Link, Moment, Samples, Tone,
    url::appliance as url,
};

use crate::text;

/// How an account stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserState {
    /// Can sign in.
    Active,
    /// Has a first password that was not changed yet.
    FirstPassword,
    /// Had too many wrong passwords, until then.
    Locked(Timestamp),
}

/// One account of this appliance.
#[derive(Debug, Clone)]
pub struct UserFacts {
    /// Its name.
    pub name: String,
    /// How it stands.
    pub state: UserState,
    /// When it last signed in.
    pub last_sign_in: Option<Timestamp>,
    /// Whether it is the one that looks at the page; it cannot remove itself.
    pub is_viewer: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct UserRow {
    name: String,
    state: Badge,
    last_sign_in: Option<Moment>,
    is_viewer: bool,
    remove: String,
    reset: String,
}

/// The list of accounts.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "users.html")]
pub struct Users {
    rows: Vec<UserRow>,
}

impl HtmlSafe for Users {}

impl Users {
    /// The list, in the order given; `now` is what "ago" counts from.
    pub fn new(users: Vec<UserFacts>, now: Timestamp) -> Self {
        Self { rows: users.into_iter().map(|user| row(user, now)).collect() }
    }
}

fn row(user: UserFacts, now: Timestamp) -> UserRow {
    UserRow {
        state: match user.state {
            UserState::Active => Badge::new(Tone::Good, text::ACTIVE),
            UserState::FirstPassword => Badge::new(Tone::Idle, text::FIRST_PASSWORD),
            UserState::Locked(until) => Badge::new(Tone::Warn, text::locked(until.since(now))),
        },
        last_sign_in: user.last_sign_in.map(|at| Moment::ago(at, now)),
        is_viewer: user.is_viewer,
        remove: url::UserRemove(user.name.clone()).to_string(),
        reset: url::UserReset(user.name.clone()).to_string(),
        name: user.name,
    }
}

impl Body for Users {
    fn title(&self) -> String {
        text::USERS.to_owned()
    }
}

/// What the form for a new account posts.
#[derive(Debug, Clone, Deserialize)]
pub struct UserAddInput {
    /// What the page's [`Csrf`] held.
    #[serde(default)]
    pub csrf: String,
    /// Name of the new account.
    #[serde(default)]
    pub name: String,
}

/// The form for a new account.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "user_add.html")]
pub struct UserAdd {
    csrf: Csrf,
    name: Field,
}

impl HtmlSafe for UserAdd {}

impl UserAdd {
    /// An empty form.
    pub fn new(csrf: Csrf) -> Self {
        let name =
            Field::new(FieldKind::Username, "name", text::NAME).hint(text::NAME_HINT).focus();
        Self { csrf, name }
    }

    /// The form again, with what is wrong with the name.
    pub fn wrong(mut self, name: &str, why: impl Into<String>) -> Self {
        self.name = self.name.value(name).error(why);
        self
    }
}

impl Body for UserAdd {
    fn title(&self) -> String {
        text::ADD_USER.to_owned()
    }
}

/// Asks before an account is removed.
pub fn remove_user(name: &str, csrf: Csrf) -> Confirm {
    Confirm {
        question: text::remove_user(name),
        effects: text::remove_user_effects(name),
        csrf,
        action: url::UserRemove(name.to_owned()).to_string(),
        word: text::REMOVE,
        danger: true,
        back: back(),
    }
}

/// Asks before an account gets a new first password.
pub fn reset_user(name: &str, csrf: Csrf) -> Confirm {
    Confirm {
        question: text::reset_user(name),
        effects: text::reset_user_effects(name),
        csrf,
        action: url::UserReset(name.to_owned()).to_string(),
        word: text::RESET,
        danger: false,
        back: back(),
    }
}

fn back() -> Link {
    Link { href: url::Users.to_string(), word: text::CANCEL.to_owned() }
}

impl Samples for Users {
    fn samples() -> Vec<(&'static str, Self)> {
        let now = Timestamp::from_secs(1_795_290_282);
        let user = |name: &str, state, ago: Option<u64>, is_viewer| UserFacts {
            name: name.to_owned(),
            state,
            last_sign_in: ago.map(|s| Timestamp::from_secs(1_795_290_282 - s)),
            is_viewer,
        };
        let locked = UserState::Locked(Timestamp::from_secs(1_795_290_282 + 840));
        vec![
            ("empty", Self::new(vec![user("admin", UserState::Active, Some(30), true)], now)),
            (
                "typical",
                Self::new(
                    vec![
                        user("admin", UserState::Active, Some(95), true),
                        user("grace", UserState::FirstPassword, None, false),
                        user("linus", locked, Some(86_400 * 3), false),
                    ],
                    now,
                ),
            ),
            (
                "long",
                Self::new(
                    vec![
                        user("admin", UserState::Active, Some(0), true),
                        user(&"very/long <name> ".repeat(8), locked, Some(86_400 * 900), false),
                    ],
                    now,
                ),
            ),
        ]
    }
}

impl Samples for UserAdd {
    fn samples() -> Vec<(&'static str, Self)> {
        let form = || Self::new(Csrf("5f1d".into()));
        vec![
            ("empty", form()),
            (
                "taken",
                form()
                    .wrong("admin", "An account with the name admin exists. Choose another name."),
            ),
        ]
    }
}
