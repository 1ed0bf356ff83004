use askama::Template;
use askama::filters::HtmlSafe;
use model::{OperatorId, Timestamp};
use serde::Deserialize;
use ui_kit::{
    Badge, Body, Check, Confirm, Csrf, Field, FieldKind, Link, Moment, Samples, Tone,
    url::site as url,
};

use crate::{samples, text};

/// How an account stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserState {
    /// Can sign in.
    Active,
    /// Has a first password that was not changed yet.
    FirstPassword,
    /// Had too many wrong passwords, until then.
    Locked(Timestamp),
    /// An administrator disabled it.
    Disabled,
}

/// One account of the site.
#[derive(Debug, Clone)]
pub struct UserFacts {
    /// Its id.
    pub id: OperatorId,
    /// What it signs in with.
    pub name: String,
    /// The person's name; may be empty.
    pub display_name: String,
    /// Whether it administers the site.
    pub admin: bool,
    /// How it stands.
    pub state: UserState,
    /// When it last signed in.
    pub last_sign_in: Option<Timestamp>,
    /// Whether it is the one that looks at the page; it cannot disable itself.
    pub is_viewer: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    name: String,
    display_name: String,
    role: &'static str,
    state: Badge,
    disabled: bool,
    last_sign_in: Option<Moment>,
    is_viewer: bool,
    disable: String,
    enable: String,
    reset: String,
}

/// The list of operators and administrators.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "users.html")]
pub struct Users {
    csrf: Csrf,
    rows: Vec<Row>,
}

impl HtmlSafe for Users {}

impl Users {
    /// The list, in the order given.
    pub fn new(users: Vec<UserFacts>, csrf: Csrf, now: Timestamp) -> Self {
        Self { csrf, rows: users.into_iter().map(|user| row(user, now)).collect() }
    }
}

fn row(user: UserFacts, now: Timestamp) -> Row {
    Row {
        state: match user.state {
            UserState::Active => Badge::new(Tone::Good, text::ACTIVE),
            UserState::FirstPassword => Badge::new(Tone::Idle, text::FIRST_PASSWORD),
            UserState::Locked(until) => Badge::new(Tone::Warn, text::locked(until.since(now))),
            UserState::Disabled => Badge::new(Tone::Idle, text::DISABLED),
        },
        disabled: user.state == UserState::Disabled,
        role: text::role(user.admin),
        last_sign_in: user.last_sign_in.map(|at| Moment::ago(at, now)),
        is_viewer: user.is_viewer,
        disable: url::UserDisable(user.id).to_string(),
        enable: url::UserEnable(user.id).to_string(),
        reset: url::UserReset(user.id).to_string(),
        name: user.name,
        display_name: user.display_name,
    }
}

impl Body for Users {
    fn title(&self) -> String {
        text::USERS.to_owned()
    }
}

/// What the form for a new account posts.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct UserAddInput {
    /// What the page's [`Csrf`] held.
    #[serde(default)]
    pub csrf: String,
    /// What the account signs in with.
    #[serde(default)]
    pub name: String,
    /// The person's name.
    #[serde(default)]
    pub display_name: String,
    /// Present when the box is ticked.
    #[serde(default)]
    pub admin: Option<String>,
}

impl UserAddInput {
    /// Whether the account is to administer the site.
    pub fn is_admin(&self) -> bool {
        self.admin.is_some()
    }
}

/// What is wrong with the form, with the reason and the way out in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserAddFault {
    /// The name to sign in with.
    Name(String),
    /// The person's name.
    DisplayName(String),
}

/// The form for a new account.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "user_add.html")]
pub struct UserAdd {
    csrf: Csrf,
    name: Field,
    display_name: Field,
    admin: Check,
}

impl HtmlSafe for UserAdd {}

impl UserAdd {
    /// An empty form.
    pub fn new(csrf: Csrf) -> Self {
        Self {
            csrf,
            name: Field::new(FieldKind::Username, "name", text::NAME).hint(text::NAME_HINT).focus(),
            display_name: Field::new(FieldKind::Text, "display_name", text::DISPLAY_NAME)
                .hint(text::DISPLAY_NAME_HINT)
                .optional(),
            admin: Check {
                name: "admin",
                label: text::ADMINISTRATOR,
                hint: text::ADMINISTRATOR_HINT,
                ticked: false,
            },
        }
    }

    /// The form again, with what was typed and what is wrong with it.
    pub fn wrong(mut self, typed: &UserAddInput, fault: UserAddFault) -> Self {
        self.name = self.name.value(&typed.name).unfocused();
        self.display_name = self.display_name.value(&typed.display_name);
        self.admin.ticked = typed.is_admin();
        match fault {
            UserAddFault::Name(why) => self.name = self.name.error(why),
            UserAddFault::DisplayName(why) => {
                self.display_name = self.display_name.error(why);
            }
        }
        self
    }
}

impl Body for UserAdd {
    fn title(&self) -> String {
        text::ADD_USER.to_owned()
    }
}

/// Asks before an account is disabled.
pub fn disable_user(id: OperatorId, name: &str, csrf: Csrf) -> Confirm {
    Confirm {
        question: text::disable_user(name),
        effects: text::disable_user_effects(name),
        csrf,
        action: url::UserDisable(id).to_string(),
        word: text::DISABLE,
        danger: true,
        back: back(),
    }
}

/// Asks before an account gets a new first password.
pub fn reset_user(id: OperatorId, name: &str, csrf: Csrf) -> Confirm {
    Confirm {
        question: text::reset_user(name),
        effects: text::reset_user_effects(name),
        csrf,
        action: url::UserReset(id).to_string(),
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
        let user = |n, name: &str, display_name: &str, state| UserFacts {
            id: samples::operator_id(n),
            name: name.into(),
            display_name: display_name.into(),
            admin: n == 1,
            state,
            last_sign_in: (state != UserState::FirstPassword)
                .then(|| samples::ago(86_400 * u64::from(n))),
            is_viewer: n == 1,
        };
        let locked = UserState::Locked(Timestamp::from_secs(samples::NOW.as_secs() + 840));
        let admin = || user(1, "admin", "", UserState::Active);
        let typical = vec![
            admin(),
            user(2, "ada", "Ada Lovelace", UserState::Active),
            user(3, "grace", "Grace Hopper", UserState::FirstPassword),
            user(4, "linus", "Linus", locked),
            user(5, "retired", "Somebody Else", UserState::Disabled),
        ];
        let name = samples::long_name();
        let long = vec![admin(), user(2, &name, &name, locked)];
        let page = |users| Self::new(users, Csrf("5f1d".into()), samples::NOW);
        vec![("empty", page(vec![admin()])), ("typical", page(typical)), ("long", page(long))]
    }
}

impl Samples for UserAdd {
    fn samples() -> Vec<(&'static str, Self)> {
        let form = || Self::new(Csrf("5f1d".into()));
        let typed = UserAddInput {
            name: "ada".into(),
            display_name: "Ada Lovelace".into(),
            admin: Some("on".into()),
            ..UserAddInput::default()
        };
        let taken =
            UserAddFault::Name("A user with the name ada exists. Choose another name.".into());
        vec![("empty", form()), ("taken", form().wrong(&typed, taken))]
    }
}
