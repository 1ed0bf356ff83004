use askama::Template;
use askama::filters::HtmlSafe;
use model::{PublicKey, Release, SiteId, Timestamp};
use ui_kit::{Badge, Body, Moment, Samples, Tone};

use crate::{samples, text};

/// What the site is licensed for.
#[derive(Debug, Clone)]
pub struct LicenseFacts {
    /// Operators who may work at the same time.
    pub users: u32,
    /// Endpoints that may be enrolled; none for any number.
    pub endpoints: Option<u32>,
    /// When it ends; none for never.
    pub expires: Option<Timestamp>,
    /// Whether it holds for this site now.
    pub holds: bool,
}

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
    /// Its license; none where none is installed.
    pub license: Option<LicenseFacts>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct License {
    words: String,
    expires: Option<Moment>,
    trouble: Option<Badge>,
}

impl License {
    fn new(facts: &LicenseFacts) -> Self {
        Self {
            words: text::seats(facts.users, facts.endpoints),
            expires: facts.expires.map(Moment::at),
            trouble: (!facts.holds).then(|| Badge::new(Tone::Bad, text::LICENSE_TROUBLE)),
        }
    }
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
    license: Option<License>,
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
            license: facts.license.as_ref().map(License::new),
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
            license: Some(LicenseFacts {
                users: 25,
                endpoints: Some(500),
                expires: Some(Timestamp::from_secs(1_830_297_600)),
                holds: true,
            }),
        };
        let ended = LicenseFacts {
            users: 1,
            endpoints: None,
            expires: Some(Timestamp::from_secs(1_790_000_000)),
            holds: false,
        };
        let ended = AboutFacts { license: Some(ended), ..facts.clone() };
        let long = AboutFacts {
            hostname: "a-department-with-a-long-name.".repeat(5) + "example.com",
            license: None,
            ..facts.clone()
        };
        vec![
            ("typical", Self::new(facts)),
            ("long", Self::new(long)),
            ("license-ended", Self::new(ended)),
        ]
    }
}
