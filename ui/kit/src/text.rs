//! The words that code composes, in one place, so that a second language is a second arm here.
//! Words that never change stand in the templates.

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
