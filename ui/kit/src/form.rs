use askama::Template;
use askama::filters::HtmlSafe;
use serde::Deserialize;

/// The token that shows that a form came from our own page; every form that posts holds it.
///
/// Written as a hidden field of the name `csrf`.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(source = r#"<input type="hidden" name="csrf" value="{{ self.0 }}">"#, ext = "html")]
pub struct Csrf(pub String);

impl HtmlSafe for Csrf {}

/// A form that carries nothing but the token.
#[derive(Debug, Clone, Deserialize)]
pub struct CsrfInput {
    /// What the page's [`Csrf`] held.
    #[serde(default)]
    pub csrf: String,
}

/// What a field takes, and how a browser helps with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// A line of text.
    Text,
    /// The name of an account.
    Username,
    /// A password that exists; never filled in by us.
    CurrentPassword,
    /// A password that is being chosen; never filled in by us.
    NewPassword,
    /// A whole number.
    Number,
    /// A day; the form posts it as `2026-11-21`.
    Day,
}

impl FieldKind {
    fn input_type(self) -> &'static str {
        match self {
            // A number too: a browser throws away what is no number, and then nobody sees it.
            Self::Text | Self::Username | Self::Number => "text",
            Self::CurrentPassword | Self::NewPassword => "password",
            Self::Day => "date",
        }
    }

    fn autocomplete(self) -> &'static str {
        match self {
            Self::Text | Self::Number | Self::Day => "off",
            Self::Username => "username",
            Self::CurrentPassword => "current-password",
            Self::NewPassword => "new-password",
        }
    }
}

/// One labelled field of a form with its hint and what is wrong with what was typed.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "field.html")]
pub struct Field {
    kind: FieldKind,
    name: &'static str,
    label: &'static str,
    value: String,
    hint: String,
    error: Option<String>,
    empty: Empty,
    focus: bool,
}

/// Whether a field may stay empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Empty {
    /// It has to be filled in.
    Refused,
    /// It may, and the page says so.
    Allowed,
    /// It mostly does, and nobody needs to be told.
    Usual,
}

impl HtmlSafe for Field {}

impl Field {
    /// A required, empty field; `name` is what the form posts and must be unique on its page.
    pub fn new(kind: FieldKind, name: &'static str, label: &'static str) -> Self {
        Self {
            kind,
            name,
            label,
            value: String::new(),
            hint: String::new(),
            error: None,
            empty: Empty::Refused,
            focus: false,
        }
    }

    /// With what was typed before; a password is never sent back and stays empty.
    pub fn value(mut self, value: impl Into<String>) -> Self {
        if self.kind.input_type() != "password" {
            self.value = value.into();
        }
        self
    }

    /// With a sentence under the label that says what to type.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// With what is wrong and how to put it right, and with the cursor in it.
    pub fn error(mut self, error: impl Into<String>) -> Self {
        self.error = Some(error.into());
        self.focus = true;
        self
    }

    /// May stay empty.
    pub fn optional(mut self) -> Self {
        self.empty = Empty::Allowed;
        self
    }

    /// Narrows what a page shows: empty until somebody looks for something.
    pub fn filter(mut self) -> Self {
        self.empty = Empty::Usual;
        self
    }

    /// Has the cursor when the page opens; at most one field of a page.
    pub fn focus(mut self) -> Self {
        self.focus = true;
        self
    }

    /// Without the cursor, because another field has it.
    pub fn unfocused(mut self) -> Self {
        self.focus = false;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_ties_label_hint_and_error_together() {
        let html = Field::new(FieldKind::Text, "group", "Group")
            .value("\"><script>")
            .hint("One word.")
            .error("The group “<x>” has a space; use one word.")
            .to_string();
        assert!(html.contains("<label for=\"field-group\">Group</label>"), "{html}");
        assert!(html.contains("aria-describedby=\"hint-group error-group\""), "{html}");
        assert!(html.contains("aria-invalid=\"true\""), "{html}");
        assert!(html.contains("value=\"&#34;&#62;&#60;script&#62;\""), "{html}");
        assert!(html.contains("“&#60;x&#62;” has a space"), "{html}");
    }

    #[test]
    fn a_password_is_never_sent_back() {
        let html =
            Field::new(FieldKind::NewPassword, "new", "New password").value("hunter2").to_string();
        assert!(!html.contains("hunter2"), "{html}");
        assert!(html.contains("autocomplete=\"new-password\""), "{html}");
    }

    #[test]
    fn a_token_is_a_hidden_field() {
        assert_eq!(
            Csrf("a\"b".into()).to_string(),
            "<input type=\"hidden\" name=\"csrf\" value=\"a&#34;b\">"
        );
    }
}
