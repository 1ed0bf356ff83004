use askama::Template;
use askama::filters::HtmlSafe;

use crate::widgets::Tone;

/// A sentence or two in a box: what happened, or what to mind.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "notice.html")]
pub struct Notice {
    /// Shape and colour; a bad notice is read out at once.
    pub tone: Tone,
    /// What is said first, in bold; may be empty.
    pub title: String,
    /// The sentences.
    pub text: String,
}

impl HtmlSafe for Notice {}

impl Notice {
    /// A notice without a title.
    pub fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self { tone, title: String::new(), text: text.into() }
    }

    /// A notice with a title.
    pub fn titled(tone: Tone, title: impl Into<String>, text: impl Into<String>) -> Self {
        Self { tone, title: title.into(), text: text.into() }
    }
}

/// What the page after a form says once: it travels in a cookie over the redirect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flash {
    /// Whether the form did what it should.
    pub ok: bool,
    /// One or two sentences.
    pub text: String,
}

/// Longer texts are cut, so that the cookie stays within what browsers keep.
const TEXT_BYTES_MAX: usize = 800;

impl Flash {
    /// The form did what it should.
    pub fn done(text: impl Into<String>) -> Self {
        Self { ok: true, text: text.into() }
    }

    /// It did not; the text says why and what to do.
    pub fn failed(text: impl Into<String>) -> Self {
        Self { ok: false, text: text.into() }
    }

    /// The value of a cookie; letters, digits, `%`, `-`, `.`, `_` and `~` only.
    pub fn to_cookie(&self) -> String {
        let mut end = self.text.len().min(TEXT_BYTES_MAX);
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let mark = if self.ok { "ok." } else { "no." };
        format!("{mark}{}", crate::url::Segment(&self.text[..end]))
    }

    /// Reads such a value; `None` for anything else.
    pub fn from_cookie(value: &str) -> Option<Self> {
        let (mark, text) = value.split_once('.')?;
        let ok = match mark {
            "ok" => true,
            "no" => false,
            _ => return None,
        };
        Some(Self { ok, text: crate::url::decode(text)? })
    }

    pub(crate) fn notice(&self) -> Notice {
        Notice::new(if self.ok { Tone::Good } else { Tone::Bad }, &self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flash_survives_its_cookie() {
        for flash in [Flash::done("Added “Ünal”; 100 % done."), Flash::failed("a;b=c\r\n<x>")]
        {
            let cookie = flash.to_cookie();
            assert!(cookie.bytes().all(|b| b.is_ascii_alphanumeric() || b"%-._~".contains(&b)));
            assert_eq!(Flash::from_cookie(&cookie), Some(flash));
        }
        let long = Flash::done("é".repeat(2000)).to_cookie();
        assert!(long.len() < 4000, "{}", long.len());
        assert!(Flash::from_cookie(&long).is_some());
    }

    #[test]
    fn a_cookie_that_is_no_flash_says_nothing() {
        for bad in ["", "ok", "yes.a", "ok.%", "ok.%f", "ok.%zz", "ok.%ff"] {
            assert_eq!(Flash::from_cookie(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_notice_escapes_its_words() {
        let html = Notice::titled(Tone::Warn, "<i>", "a & b").to_string();
        assert!(html.contains("&#60;i&#62;") && html.contains("a &#38; b"), "{html}");
    }
}
