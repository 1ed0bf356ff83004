//! The pages of /login as values.
//!
//! `sluis-site` fills them: each page has a `new` that takes what the site knows in terms of
//! `model` and turns it into words. What the forms post is a type beside its page, so that the
//! names of the fields cannot differ. The pages for signing in and for passwords are those of
//! `ui_kit::account`.

mod about;
mod account;
mod audit;
mod client;
mod clients;
mod consoles;
mod enrol;
mod recordings;
mod samples;
mod session;
mod session_table;
mod sessions;
mod text;
mod tokens;
mod users;

use ui_kit::{Tabs, Variant, url::site as url};

pub use about::{About, AboutFacts, LicenseFacts};
pub use account::{Account, AccountFacts};
pub use audit::{Audit, AuditActor, AuditFacts, AuditFault, AuditInput};
pub use client::{Client, ClientEdit, ClientEditFault, ClientEditInput, remove_client};
pub use clients::{ClientFacts, Clients, Mode, UpgradeFacts};
pub use consoles::{ConsoleFacts, Consoles, revoke_console};
pub use enrol::{Command, Enrol, EnrolFault, EnrolInput, Enrolled, EnrolledFacts};
pub use recordings::{RecordingFacts, Recordings};
pub use session::{Leg, LegFacts, Session, end_session};
pub use session_table::{SessionFacts, SessionTable, Stalls};
pub use sessions::Sessions;
pub use tokens::{
    ApiTokenAdd, ApiTokenFacts, ApiTokenFault, ApiTokenInput, ApiTokenMade, ApiTokens,
    EnrolmentTokenFacts, EnrolmentTokens, revoke_api_token, withdraw_enrolment_token,
};
pub use users::{
    UserAdd, UserAddFault, UserAddInput, UserFacts, UserState, Users, disable_user, reset_user,
};

/// The tabs of `/login`; what has no function has no tab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tab {
    /// Jump Clients.
    Clients,
    /// Sessions, live and past.
    Sessions,
    /// Recordings.
    Recordings,
    /// Access consoles.
    Consoles,
    /// Bearer tokens of the API.
    Tokens,
    /// Operators and administrators of the site.
    Users,
    /// Who did what and when.
    Audit,
    /// Version and identity of the site.
    About,
}

impl Tabs for Tab {
    const VARIANT: Variant = Variant::Site;
    const ALL: &'static [Self] = &[
        Self::Clients,
        Self::Sessions,
        Self::Recordings,
        Self::Consoles,
        Self::Tokens,
        Self::Users,
        Self::Audit,
        Self::About,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Clients => text::CLIENTS,
            Self::Sessions => text::SESSIONS,
            Self::Recordings => text::RECORDINGS,
            Self::Consoles => text::CONSOLES,
            Self::Tokens => text::TOKENS,
            Self::Users => text::USERS,
            Self::Audit => text::AUDIT,
            Self::About => text::ABOUT,
        }
    }

    fn href(self) -> String {
        match self {
            Self::Clients => url::Clients.to_string(),
            Self::Sessions => url::Sessions.to_string(),
            Self::Recordings => url::Recordings.to_string(),
            Self::Consoles => url::Consoles.to_string(),
            Self::Tokens => url::ApiTokens.to_string(),
            Self::Users => url::Users.to_string(),
            Self::Audit => url::Audit.to_string(),
            Self::About => url::About.to_string(),
        }
    }

    fn is_for_everybody(self) -> bool {
        !matches!(self, Self::Users | Self::Audit)
    }
}
