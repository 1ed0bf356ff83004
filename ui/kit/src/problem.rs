use askama::Template;
use askama::filters::HtmlSafe;

use crate::layout::{Body, Refresh, Samples};
use crate::url;

/// Somewhere to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The address, made by a type of [`url`].
    pub href: String,
    /// What one reaches there.
    pub word: String,
}

/// A page for what went wrong: the thing, the reason and the way out.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "error.html")]
pub struct ErrorPage {
    /// The thing, as a heading: `The session 0192… was not found`.
    pub thing: String,
    /// Why, in a sentence or two.
    pub reason: String,
    /// What to do now.
    pub way_out: String,
    /// Where to do it, if that is a page.
    pub link: Option<Link>,
}

impl HtmlSafe for ErrorPage {}

impl Body for ErrorPage {
    fn title(&self) -> String {
        self.thing.clone()
    }
}

/// What everybody sees while no generation of the site serves.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "maintenance.html")]
pub struct Maintenance {
    /// The name of the site.
    pub hostname: String,
    /// Why the site does not serve, in a sentence; empty when it is simply starting.
    pub reason: String,
    /// After how many seconds the page looks again.
    pub retry_s: u32,
}

impl HtmlSafe for Maintenance {}

impl Body for Maintenance {
    fn title(&self) -> String {
        format!("{} is not ready", self.hostname)
    }

    fn refresh(&self) -> Option<Refresh> {
        Some(Refresh::Page(self.retry_s.max(1)))
    }
}

impl Samples for ErrorPage {
    fn samples() -> Vec<(&'static str, Self)> {
        let link =
            Link { href: url::site::Sessions.to_string(), word: "Go to Sessions".to_owned() };
        vec![
            (
                "typical",
                Self {
                    thing: "This session was not found".into(),
                    reason: "The site has no session with the id 0193517c-9f1e.".into(),
                    way_out: "It may have been removed. Look for it in the list of sessions."
                        .into(),
                    link: Some(link),
                },
            ),
            (
                "long",
                Self {
                    thing: format!(
                        "The file {}<script>.cast cannot be read",
                        "recording-".repeat(12)
                    ),
                    reason: "open: no space left on device (os error 28) & more".into(),
                    way_out: "Free disk space on the appliance, then load this page again.".into(),
                    link: None,
                },
            ),
        ]
    }
}

impl Samples for Maintenance {
    fn samples() -> Vec<(&'static str, Self)> {
        let sample = |reason: &str| Self {
            hostname: "support.example.com".into(),
            reason: reason.into(),
            retry_s: 5,
        };
        vec![
            ("starting", sample("")),
            (
                "rescue",
                sample(
                    "Neither version 1.1.0 (rev 2) nor 1.0.0 (rev 1) stayed up: the site exited with status 101 after 2 s.",
                ),
            ),
        ]
    }
}
