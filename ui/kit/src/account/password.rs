use askama::Template;
use askama::filters::HtmlSafe;
use serde::Deserialize;

use crate::layout::{Body, Samples, Variant};
use crate::{Csrf, Field, FieldKind, text, url};

/// What the form for a new password posts.
#[derive(Clone, Deserialize)]
pub struct PasswordInput {
    /// What the page's [`Csrf`] held.
    #[serde(default)]
    pub csrf: String,
    /// The password up to now.
    #[serde(default)]
    pub old: String,
    /// The one that is wanted.
    #[serde(default)]
    pub new: String,
    /// The same again.
    #[serde(default)]
    pub again: String,
}

/// Why a password was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordFault {
    /// The old password is not that of the account.
    OldWrong,
    /// The new one is too short.
    TooShort,
    /// The new one is too long to be hashed; the most it may have, in bytes.
    TooLong(usize),
    /// The new one and its repetition differ.
    Differ,
    /// The new one is the old one.
    Same,
    /// The new one holds the name of the account.
    HoldsName,
}

/// The form for a new password, of free will or forced at the first sign-in.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "account/password.html")]
pub struct PasswordChange {
    variant: Variant,
    csrf: Csrf,
    name: String,
    forced: bool,
    chars_min: usize,
    old: Field,
    new: Field,
    again: Field,
}

impl HtmlSafe for PasswordChange {}

impl PasswordChange {
    /// The form of the account `name`, for a browser that keeps passwords; `chars_min` is the least
    /// number of characters that is taken.
    pub fn new(variant: Variant, name: &str, csrf: Csrf, chars_min: usize) -> Self {
        Self {
            variant,
            csrf,
            name: name.to_owned(),
            forced: false,
            chars_min,
            old: Field::new(FieldKind::CurrentPassword, "old", text::PASSWORD_OLD).focus(),
            new: Field::new(FieldKind::NewPassword, "new", text::PASSWORD_NEW)
                .hint(text::password_hint(chars_min)),
            again: Field::new(FieldKind::NewPassword, "again", text::PASSWORD_AGAIN),
        }
    }

    /// The form as it stands before everything else at the first sign-in.
    pub fn forced(mut self) -> Self {
        self.forced = true;
        self.old = self.old.hint(text::PASSWORD_GIVEN);
        self
    }

    /// The form again, with what was wrong beside the field that it concerns.
    pub fn wrong(mut self, fault: PasswordFault) -> Self {
        let error = text::password_fault(fault, self.chars_min);
        self.old = self.old.unfocused();
        match fault {
            PasswordFault::OldWrong => self.old = self.old.error(error),
            PasswordFault::Differ => self.again = self.again.error(error),
            _ => self.new = self.new.error(error),
        }
        self
    }

    fn action(&self) -> String {
        match self.variant {
            Variant::Appliance => url::appliance::Password.to_string(),
            _ => url::site::Password.to_string(),
        }
    }

    /// Where to go instead of changing anything; nowhere while it is forced.
    fn back(&self) -> Option<String> {
        let back = match self.variant {
            Variant::Appliance => url::appliance::Status.to_string(),
            _ => url::site::Account.to_string(),
        };
        (!self.forced).then_some(back)
    }

    fn heading(&self) -> &'static str {
        if self.forced { text::CHOOSE_PASSWORD } else { text::CHANGE_PASSWORD }
    }
}

impl Body for PasswordChange {
    fn title(&self) -> String {
        self.heading().to_owned()
    }
}

impl Samples for PasswordChange {
    fn samples() -> Vec<(&'static str, Self)> {
        let form = |variant| Self::new(variant, "ada", Csrf("5f1d".into()), 12);
        vec![
            ("forced", form(Variant::Site).forced()),
            ("appliance", form(Variant::Appliance).forced().wrong(PasswordFault::TooShort)),
            ("free", form(Variant::Site)),
            ("differ", form(Variant::Site).wrong(PasswordFault::Differ)),
            ("old-wrong", form(Variant::Appliance).wrong(PasswordFault::OldWrong)),
            ("same", form(Variant::Site).forced().wrong(PasswordFault::Same)),
            ("holds-name", form(Variant::Site).wrong(PasswordFault::HoldsName)),
            ("too-long", form(Variant::Site).wrong(PasswordFault::TooLong(1024))),
        ]
    }
}
