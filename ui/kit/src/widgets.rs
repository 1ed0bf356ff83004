use std::fmt;

use askama::Template;
use askama::filters::HtmlSafe;
use model::Timestamp;

use crate::text;
use crate::words::duration;

/// How good or bad news is; each tone has its own colour and its own shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it should be: a filled circle.
    Good,
    /// Under way: a half circle.
    Busy,
    /// Wants attention: a triangle.
    Warn,
    /// Went wrong: a cross.
    Bad,
    /// Neither here nor there: an empty circle.
    Idle,
}

impl Tone {
    /// The class of this tone in the style sheet.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Busy => "busy",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Idle => "idle",
        }
    }
}

/// A state as word and shape, so that nobody has to see its colour.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "badge.html")]
pub struct Badge {
    /// Shape and colour.
    pub tone: Tone,
    /// The state.
    pub word: String,
}

impl HtmlSafe for Badge {}

impl Badge {
    /// A badge of that tone with that word.
    pub fn new(tone: Tone, word: impl Into<String>) -> Self {
        Self { tone, word: word.into() }
    }
}

/// How far something is.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "progress.html")]
pub struct Progress {
    /// 0 to 100.
    pub percent: u8,
    /// What is being done, in words; the label of the bar.
    pub text: String,
}

impl HtmlSafe for Progress {}

impl Progress {
    /// A bar at that percentage, at most 100.
    pub fn new(percent: u8, text: impl Into<String>) -> Self {
        Self { percent: percent.min(100), text: text.into() }
    }
}

/// A moment in words, with the exact time for machines and on hovering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    at: Timestamp,
    words: String,
}

impl Moment {
    /// `2026-11-21 19:44:42 UTC`.
    pub fn at(at: Timestamp) -> Self {
        Self { at, words: text::moment(&at.to_string()) }
    }

    /// `3 min ago`, seen from `now`; a moment in the future is `just now`.
    pub fn ago(at: Timestamp, now: Timestamp) -> Self {
        let length = now.since(at);
        let words = if length.as_secs() == 0 {
            text::JUST_NOW.to_owned()
        } else {
            text::ago(&duration(length))
        };
        Self { at, words }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Digits, letters and punctuation of our own: nothing here needs escaping.
        let iso = self.at.to_string();
        let exact = text::moment(&iso);
        write!(f, "<time datetime=\"{iso}\" title=\"{exact}\">{}</time>", self.words)
    }
}

impl askama::FastWritable for Moment {
    fn write_into(
        &self,
        dest: &mut dyn fmt::Write,
        _values: &dyn askama::Values,
    ) -> askama::Result<()> {
        write!(dest, "{self}").map_err(Into::into)
    }
}

impl HtmlSafe for Moment {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_badge_says_its_state_in_a_word_and_a_shape_and_escapes_it() {
        let html = Badge::new(Tone::Bad, "failed: <b>disk & \"dust\"</b>").to_string();
        assert!(
            html.contains("failed: &#60;b&#62;disk &#38; &#34;dust&#34;&#60;/b&#62;"),
            "{html}"
        );
        assert!(html.contains("<svg") && html.contains("class=\"badge bad\""), "{html}");
    }

    #[test]
    fn a_bar_never_passes_its_end() {
        let html = Progress::new(255, "Unpack").to_string();
        assert!(html.contains("value=\"100\"") && html.contains("100 %"), "{html}");
    }

    #[test]
    fn a_moment_has_words_and_the_exact_time() {
        let at = Timestamp::from_secs(1_795_290_282);
        assert_eq!(
            Moment::ago(at, Timestamp::from_secs(1_795_290_282 + 185)).to_string(),
            "<time datetime=\"2026-11-21T19:44:42Z\" title=\"2026-11-21 19:44:42 UTC\">3 min 5 s ago</time>"
        );
        assert!(Moment::ago(at, Timestamp::default()).to_string().contains(">just now<"));
        assert!(Moment::at(at).to_string().contains(">2026-11-21 19:44:42 UTC<"));
    }
}
