//! The pages of /appliance as values.
//!
//! `sluis-base` fills them: each page has a `new` that takes what the base knows in terms of
//! `model` and turns it into words. What the forms post is a type beside its page, so that the
//! names of the fields cannot differ. The pages for signing in and for passwords are those of
//! `ui_kit::account`.

mod status;
mod text;
mod updates;
mod users;

use ui_kit::{Tabs, Variant, url::appliance as url};

pub use status::{LicenseFacts, LicenseStanding, SitePhase, Status, StatusFacts};
pub use updates::{
    Blocked, Card, CardFacts, CardStatus, Estimate, Finding, FindingLevel, Impact, ImpactFacts,
    InstallConfirm, InstallInput, Installed, Level, Log, LogEntry, LogLine, PlanFacts, PlanStep,
    Progress, ProgressFacts, RollBackConfirm, RollBackInput, RunningSession, StepState, Updates,
    UpdatesFacts, Wished,
};
pub use users::{UserAdd, UserAddInput, UserFacts, UserState, Users, remove_user, reset_user};

/// The tabs of `/appliance`; what has no function has no tab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tab {
    /// Status > Basics.
    Status,
    /// Accounts of this appliance.
    Users,
    /// Available updates and what became of them.
    Updates,
}

impl Tabs for Tab {
    const VARIANT: Variant = Variant::Appliance;
    const ALL: &'static [Self] = &[Self::Status, Self::Users, Self::Updates];

    fn word(self) -> &'static str {
        match self {
            Self::Status => text::STATUS,
            Self::Users => text::USERS,
            Self::Updates => text::UPDATES,
        }
    }

    fn href(self) -> String {
        match self {
            Self::Status => url::Status.to_string(),
            Self::Users => url::Users.to_string(),
            Self::Updates => url::Updates.to_string(),
        }
    }
}
