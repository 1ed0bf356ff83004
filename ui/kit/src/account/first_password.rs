use askama::Template;
use askama::filters::HtmlSafe;

use crate::layout::{Body, Samples};
use crate::{Link, text, url};

/// The first password of an account, shown this one time to who made it.
#[derive(Clone, PartialEq, Eq, Template)]
#[template(path = "account/first_password.html")]
pub struct FirstPassword {
    /// Name of the account.
    pub name: String,
    /// The password; it has to be changed at the first sign-in.
    pub password: String,
    /// Where to go on.
    pub done: Link,
}

impl HtmlSafe for FirstPassword {}

impl Body for FirstPassword {
    fn title(&self) -> String {
        text::first_password_of(&self.name)
    }
}

impl Samples for FirstPassword {
    fn samples() -> Vec<(&'static str, Self)> {
        let sample = |name: &str| Self {
            name: name.to_owned(),
            password: "tidal-copper-hinge-4471".to_owned(),
            done: Link { href: url::site::Users.to_string(), word: "Back to Users".to_owned() },
        };
        vec![("typical", sample("grace")), ("long", sample(&"a-very-<long>-name.".repeat(10)))]
    }
}
