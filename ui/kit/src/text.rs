//! The words that code composes, in one place, so that a second language is a second arm here.
//! Words that never change stand in the templates.

use model::{PackageKind, SessionKind};

use crate::account::{PasswordFault, SignInRefused};
use crate::layout::Variant;

/// Language of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lang {
    /// English.
    #[default]
    En,
}

impl Lang {
    /// The tag of the language as HTML and HTTP write it.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
        }
    }
}

pub const SITE: &str = "Site";
pub const APPLIANCE: &str = "Appliance";
pub const UPDATE_SERVER: &str = "Update server";

/// Units of time from days down to seconds, each with its length in seconds.
pub const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
pub const MILLISECONDS: &str = "ms";
pub const JUST_NOW: &str = "just now";

/// `3 min ago`.
pub fn ago(duration: &str) -> String {
    format!("{duration} ago")
}

/// `2026-11-21 19:44:42 UTC`, out of `2026-11-21T19:44:42Z`.
pub fn moment(iso: &str) -> String {
    iso.replace('T', " ").replace('Z', " UTC")
}

pub const SIGN_IN: &str = "Sign in";
pub const NAME: &str = "Name";
pub const PASSWORD: &str = "Password";
pub const PASSWORD_OLD: &str = "Current password";
pub const PASSWORD_GIVEN: &str = "The one that you just signed in with.";
pub const PASSWORD_NEW: &str = "New password";
pub const PASSWORD_AGAIN: &str = "New password again";
pub const CHOOSE_PASSWORD: &str = "Choose your password";
pub const CHANGE_PASSWORD: &str = "Change password";
pub const CANCEL: &str = "Cancel";

/// Whose accounts the sign-in form takes: those of the two interfaces are separate.
pub fn accounts_of(variant: Variant) -> &'static str {
    match variant {
        Variant::Site => "With an account of this site. Accounts of /appliance are separate.",
        Variant::Appliance => "With an account of this appliance. Accounts of /login are separate.",
        Variant::Update => "With an account of this update server.",
    }
}

pub fn sign_in_refused(why: SignInRefused) -> String {
    match why {
        SignInRefused::Wrong => {
            "No account has this name and password. Check both, and that Caps Lock is off. After several wrong passwords an account takes none for some minutes; an administrator can reset it.".into()
        }
        SignInRefused::Over => "You are signed out. Sign in to go on.".into(),
        SignInRefused::Stale => {
            "This form was too old, or the browser keeps no cookies. Allow cookies for this site and sign in again.".into()
        }
    }
}

pub fn password_hint(chars_min: usize) -> String {
    format!("At least {chars_min} characters. A few words in a row are easy to remember.")
}

pub fn password_fault(fault: PasswordFault, chars_min: usize) -> String {
    match fault {
        PasswordFault::OldWrong => {
            "This is not the current password of this account. Type it again.".into()
        }
        PasswordFault::TooShort => {
            format!("This password is too short. Choose one of at least {chars_min} characters.")
        }
        PasswordFault::TooLong(most) => {
            format!("This password is too long. Choose one of at most {most} bytes.")
        }
        PasswordFault::Differ => "The two new passwords differ. Type the new one twice.".into(),
        PasswordFault::Same => "This is the current password. Choose another one.".into(),
        PasswordFault::HoldsName => {
            "This password holds the name of the account. Choose one without it.".into()
        }
    }
}

pub fn first_password_of(name: &str) -> String {
    format!("First password of {name}")
}

/// What kind of session it is.
pub fn session_kind(kind: SessionKind) -> &'static str {
    match kind {
        SessionKind::Shell => "Shell",
        SessionKind::Command => "Command",
    }
}

/// `base`, `site` or `license` at the head of a card.
pub fn package_kind(kind: PackageKind) -> &'static str {
    match kind {
        PackageKind::Base => "Base software",
        PackageKind::Site => "Site software",
        PackageKind::License => "License",
        PackageKind::Unknown => "Package",
    }
}
