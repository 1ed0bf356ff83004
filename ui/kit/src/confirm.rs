use askama::Template;
use askama::filters::HtmlSafe;

use crate::layout::{Body, Samples};
use crate::{Csrf, Link, url};

/// Asks before something is done that cannot be taken back with one click.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "confirm.html")]
pub struct Confirm {
    /// The question: `Disable the user ada?`
    pub question: String,
    /// What it brings about, a paragraph each.
    pub effects: Vec<String>,
    /// The form's token.
    pub csrf: Csrf,
    /// Where the form posts to.
    pub action: String,
    /// The word on the button.
    pub word: &'static str,
    /// Whether something is lost by it.
    pub danger: bool,
    /// Where to go instead.
    pub back: Link,
}

impl HtmlSafe for Confirm {}

impl Body for Confirm {
    fn title(&self) -> String {
        self.question.clone()
    }
}

impl Samples for Confirm {
    fn samples() -> Vec<(&'static str, Self)> {
        let sample = |name: &str, danger| Self {
            question: format!("Disable the user {name}?"),
            effects: vec![
                format!("{name} is signed out at once and cannot sign in until enabled again."),
                "Sessions that run go on until they end.".to_owned(),
            ],
            csrf: Csrf("5f1d".into()),
            action: "/login/users/0193/disable".to_owned(),
            word: "Disable",
            danger,
            back: Link { href: url::site::Users.to_string(), word: "Cancel".to_owned() },
        };
        vec![("typical", sample("ada", true)), ("long", sample(&"<i>".repeat(40), false))]
    }
}
