use askama::Template;
use askama::filters::HtmlSafe;
use serde::Deserialize;

use crate::layout::{Body, Samples, Variant};
use crate::{Csrf, Field, FieldKind, Notice, Tone, text, url};

/// What the sign-in form posts.
#[derive(Clone, Deserialize)]
pub struct SignInInput {
    /// What the page's [`Csrf`] held.
    #[serde(default)]
    pub csrf: String,
    /// Name of the account.
    #[serde(default)]
    pub name: String,
    /// The password.
    #[serde(default)]
    pub password: String,
}

/// Why somebody was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignInRefused {
    /// No account that may sign in now has this name and password.
    ///
    /// Whether there is such an account, whether it is disabled or locked by wrong passwords, is not
    /// said: that would tell a stranger which names exist.
    Wrong,
    /// The sign-in is over by time or from elsewhere.
    Over,
    /// The form came without a token that belongs to this browser.
    Stale,
}

/// The sign-in form.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "account/sign_in.html")]
pub struct SignIn {
    variant: Variant,
    csrf: Csrf,
    name: Field,
    password: Field,
    notice: Option<Notice>,
}

impl HtmlSafe for SignIn {}

impl SignIn {
    /// An empty form of that interface.
    pub fn new(variant: Variant, csrf: Csrf) -> Self {
        Self {
            variant,
            csrf,
            name: Field::new(FieldKind::Username, "name", text::NAME).focus(),
            password: Field::new(FieldKind::CurrentPassword, "password", text::PASSWORD),
            notice: None,
        }
    }

    /// The form again, with the name that was typed and why it did not work.
    pub fn refused(mut self, name: &str, why: SignInRefused) -> Self {
        if !name.is_empty() {
            self.name = self.name.value(name).unfocused();
            self.password = self.password.focus();
        }
        self.notice = Some(match why {
            SignInRefused::Over => Notice::new(Tone::Idle, text::sign_in_refused(why)),
            _ => Notice::new(Tone::Bad, text::sign_in_refused(why)),
        });
        self
    }

    fn action(&self) -> String {
        match self.variant {
            Variant::Appliance => url::appliance::SignIn.to_string(),
            _ => url::site::SignIn.to_string(),
        }
    }

    fn accounts(&self) -> &'static str {
        text::accounts_of(self.variant)
    }
}

impl Body for SignIn {
    fn title(&self) -> String {
        text::SIGN_IN.to_owned()
    }
}

impl Samples for SignIn {
    fn samples() -> Vec<(&'static str, Self)> {
        let form = |variant| Self::new(variant, Csrf("5f1d".into()));
        vec![
            ("empty", form(Variant::Site)),
            ("appliance", form(Variant::Appliance)),
            ("wrong", form(Variant::Site).refused("ada", SignInRefused::Wrong)),
            ("over", form(Variant::Appliance).refused("", SignInRefused::Over)),
            (
                "long",
                form(Variant::Site).refused(&"\"><b>long-name".repeat(12), SignInRefused::Stale),
            ),
        ]
    }
}
