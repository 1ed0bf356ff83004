use askama::Template;
use askama::filters::HtmlSafe;

use crate::assets;
use crate::form::Csrf;
use crate::notice::Flash;
use crate::text::{self, Lang};
use crate::url;

/// What stands inside a page: its heading and everything below it.
///
/// Implemented by every page and fragment; being a template it escapes what it holds.
pub trait Body: Template + HtmlSafe {
    /// What the browser's title bar says before the name of the product.
    fn title(&self) -> String;

    /// Whether a browser looks again by itself; `None` for a page that stands still.
    fn refresh(&self) -> Option<Refresh> {
        None
    }
}

/// What a browser looks at again by itself, and after how many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresh {
    /// The whole page.
    Page(u32),
    /// With JavaScript only the parts marked `data-live`, without it the whole page.
    Parts(u32),
}

/// Examples of a page or fragment: empty, typical, long names, failure.
///
/// The golden tests render each of them, and they show at a glance how a page is filled.
pub trait Samples: Sized {
    /// Every example with its name.
    fn samples() -> Vec<(&'static str, Self)>;
}

/// Which of the interfaces a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// `/login`, served by the site.
    Site,
    /// `/appliance`, served by the base.
    Appliance,
    /// The update server.
    Update,
}

impl Variant {
    fn word(self) -> &'static str {
        match self {
            Self::Site => text::SITE,
            Self::Appliance => text::APPLIANCE,
            Self::Update => text::UPDATE_SERVER,
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Site => "site",
            Self::Appliance => "appliance",
            Self::Update => "update",
        }
    }

    fn home(self) -> String {
        match self {
            Self::Site => url::site::Home.to_string(),
            Self::Appliance => url::appliance::Home.to_string(),
            Self::Update => url::update::Home.to_string(),
        }
    }

    fn style(self) -> String {
        match self {
            Self::Site => versioned(url::site::Style),
            Self::Appliance => versioned(url::appliance::Style),
            Self::Update => versioned(url::update::Style),
        }
    }

    fn script(self) -> String {
        match self {
            Self::Site => versioned(url::site::Script),
            Self::Appliance => versioned(url::appliance::Script),
            Self::Update => versioned(url::update::Script),
        }
    }
}

/// The address of an asset, different for different bytes.
fn versioned(asset: impl std::fmt::Display) -> String {
    format!("{asset}?v={:08x}", assets::VERSION)
}

/// One tab of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tab {
    /// Its name.
    pub word: &'static str,
    /// Where it leads.
    pub href: String,
    /// Whether the page belongs to it.
    pub here: bool,
}

/// Who is signed in, and how they leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewer {
    /// Name of the account.
    pub name: String,
    /// Token for the form that signs out.
    pub csrf: Csrf,
    /// Where that form posts to.
    pub sign_out: String,
    /// Where the account's own page is.
    pub account: String,
}

/// What stands around a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Which interface.
    pub variant: Variant,
    /// Language of the page.
    pub lang: Lang,
    /// Name of the site, appliance or server, so that nobody works on the wrong one.
    pub host: String,
    /// The tabs; none before signing in.
    pub tabs: Vec<Tab>,
    /// Who is signed in; `None` before signing in.
    pub viewer: Option<Viewer>,
    /// What the last form did.
    pub flash: Option<Flash>,
}

impl Frame {
    /// A frame without tabs, as before signing in.
    pub fn bare(variant: Variant, host: impl Into<String>) -> Self {
        Self {
            variant,
            lang: Lang::default(),
            host: host.into(),
            tabs: Vec::new(),
            viewer: None,
            flash: None,
        }
    }
}

/// A whole page: a body in its frame. `Display` writes the HTML document.
#[derive(Template)]
#[template(path = "layout.html")]
pub struct Page<'a, B: Body> {
    frame: &'a Frame,
    body: &'a B,
    title: String,
    refresh: Option<Refresh>,
}

impl<'a, B: Body> Page<'a, B> {
    /// That body in that frame.
    pub fn new(frame: &'a Frame, body: &'a B) -> Self {
        Self { frame, body, title: body.title(), refresh: body.refresh() }
    }

    /// The HTML document, to be sent as `text/html; charset=utf-8`.
    pub fn html(&self) -> String {
        self.to_string()
    }

    fn notice(&self) -> Option<crate::Notice> {
        self.frame.flash.as_ref().map(Flash::notice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorPage;

    #[test]
    fn a_page_escapes_what_its_frame_and_body_hold() {
        let mut frame = Frame::bare(Variant::Appliance, "<h>&\"host");
        frame.flash = Some(Flash::failed("<img src=x onerror=alert(1)>"));
        frame.viewer = Some(Viewer {
            name: "<u>'".into(),
            csrf: Csrf("t".into()),
            sign_out: url::appliance::SignOut.to_string(),
            account: url::appliance::Password.to_string(),
        });
        let body = ErrorPage {
            thing: "<t>".into(),
            reason: "<r>".into(),
            way_out: "<w>".into(),
            link: None,
        };
        let html = Page::new(&frame, &body).html();
        for raw in ["<h>", "<img", "<u>", "<t>", "<r>", "<w>"] {
            assert!(!html.contains(raw), "{raw} stands unescaped in {html}");
        }
        assert!(html.contains("&#60;t&#62;") && html.contains("&#60;img src=x"), "{html}");
    }

    #[test]
    fn a_body_is_not_escaped_twice() {
        let (_, body) = ErrorPage::samples().remove(0);
        let fragment = body.to_string();
        let html = Page::new(&Frame::bare(Variant::Site, "h"), &body).html();
        assert!(html.contains(&fragment), "the page embeds its fragment byte for byte");
    }
}
