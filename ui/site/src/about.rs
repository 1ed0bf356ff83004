use askama::Template;
use askama::filters::HtmlSafe;
use model::{PublicKey, Release, SiteId};
use ui_kit::{Body, Samples};

use crate::{samples, text};

/// What a site says about itself.
#[derive(Debug, Clone)]
pub struct AboutFacts {
    /// Its primary hostname.
    pub hostname: String,
    /// The site software that serves this page.
    pub release: Release,
    /// Its id.
    pub site: SiteId,
    /// Its identity, which agents and consoles pin.
    pub identity: PublicKey,
}

/// Version and identity of the site.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "about.html")]
pub struct About {
    hostname: String,
    release: String,
    fingerprint: String,
    identity: String,
    site: String,
}

impl HtmlSafe for About {}

impl About {
    /// The page in words.
    pub fn new(facts: AboutFacts) -> Self {
        Self {
            hostname: facts.hostname,
            release: facts.release.to_string(),
            fingerprint: facts.identity.fingerprint(),
            identity: facts.identity.to_string(),
            site: facts.site.to_string(),
        }
    }
}

impl Body for About {
    fn title(&self) -> String {
        text::ABOUT.to_owned()
    }
}

impl Samples for About {
    fn samples() -> Vec<(&'static str, Self)> {
        let facts = AboutFacts {
            hostname: "support.example.com".into(),
            release: Release::new(1, 1, 0, 2),
            site: SiteId::from_bytes([3; 16]),
            identity: samples::key(),
        };
        let long = AboutFacts {
            hostname: "a-department-with-a-long-name.".repeat(5) + "example.com",
            ..facts.clone()
        };
        vec![("typical", Self::new(facts)), ("long", Self::new(long))]
    }
}
