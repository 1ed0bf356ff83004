use std::time::Duration;

use askama::Template;
use askama::filters::HtmlSafe;
use model::{Release, Timestamp};
use ui_kit::{Badge, Body, Moment, Notice, Samples, Tone, duration, size, url::appliance as url};

use crate::text;

/// What the base knows about its site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SitePhase {
    /// No site software is installed yet.
    Missing,
    /// A generation is starting, and none serves.
    Starting,
    /// One generation serves.
    Serving,
    /// A new generation serves, and the old one still has sessions or links.
    HandingOver,
    /// No version stays up; the base switches no more by itself.
    Rescue,
}

/// Whether a license holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LicenseStanding {
    /// It does.
    Valid,
    /// Its time is over.
    Expired,
    /// It is for another hostname.
    OtherSite,
}

/// The license that is installed.
#[derive(Debug, Clone)]
pub struct LicenseFacts {
    /// The license package's release.
    pub release: Release,
    /// The site that it is for.
    pub hostname: String,
    /// Operators who may work at the same time.
    pub users: u32,
    /// Endpoints that may be enrolled; none for any number.
    pub endpoints: Option<u32>,
    /// When it ends; none for never.
    pub expires: Option<Timestamp>,
    /// Until when new releases are offered; none for as long as the license.
    pub maintenance_until: Option<Timestamp>,
    /// Whether it holds.
    pub standing: LicenseStanding,
}

/// What Status > Basics shows.
#[derive(Debug, Clone)]
pub struct StatusFacts<'a> {
    /// Name of the appliance.
    pub hostname: &'a str,
    /// The base that runs.
    pub base: &'a Release,
    /// The site that runs or last ran.
    pub site: Option<&'a Release>,
    /// The appliance's clock.
    pub now: Timestamp,
    /// Time since the base started to hold its sockets; a self-update does not end it.
    pub uptime: Duration,
    /// Bytes free where the data is.
    pub disk_free: u64,
    /// Bytes there are in all, if known.
    pub disk_total: Option<u64>,
    /// How the site stands.
    pub site_phase: SitePhase,
    /// Why no version of the site stays up.
    pub rescue: Option<&'a str>,
    /// What an install that runs is doing, in words.
    pub installing: Option<&'a str>,
    /// The license that is installed.
    pub license: Option<&'a LicenseFacts>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct License {
    badge: Badge,
    seats: String,
    hostname: String,
    release: String,
    expires: Option<Moment>,
    maintenance: Option<Moment>,
    notice: Option<Notice>,
}

impl License {
    fn new(facts: &LicenseFacts) -> Self {
        let (tone, notice) = match facts.standing {
            LicenseStanding::Valid => (Tone::Good, None),
            LicenseStanding::Expired => (Tone::Bad, Some(text::LICENSE_EXPIRED.to_owned())),
            LicenseStanding::OtherSite => {
                (Tone::Bad, Some(text::license_other_site(&facts.hostname)))
            }
        };
        Self {
            badge: Badge::new(tone, text::license_standing(facts.standing)),
            seats: text::seats(facts.users, facts.endpoints),
            hostname: facts.hostname.clone(),
            release: facts.release.to_string(),
            expires: facts.expires.map(Moment::at),
            maintenance: facts.maintenance_until.map(Moment::at),
            notice: notice.map(|text| Notice::titled(Tone::Bad, text::LICENSE_TROUBLE, text)),
        }
    }
}

/// Status > Basics.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "status.html")]
pub struct Status {
    hostname: String,
    base: String,
    site: String,
    site_phase: Badge,
    uptime: String,
    disk: String,
    time: Moment,
    rescue: Option<Notice>,
    installing: Option<String>,
    license: Option<License>,
}

impl HtmlSafe for Status {}

impl Status {
    /// The page in words.
    pub fn new(facts: &StatusFacts<'_>) -> Self {
        Self {
            hostname: facts.hostname.to_owned(),
            base: facts.base.to_string(),
            site: facts.site.map_or_else(|| text::NOT_INSTALLED.to_owned(), ToString::to_string),
            site_phase: phase(facts.site_phase),
            uptime: duration(facts.uptime),
            disk: text::disk(&size(facts.disk_free), facts.disk_total.map(size).as_deref()),
            time: Moment::at(facts.now),
            rescue: facts
                .rescue
                .map(|why| Notice::titled(Tone::Bad, text::RESCUE, text::rescue(why))),
            installing: facts.installing.map(str::to_owned),
            license: facts.license.map(License::new),
        }
    }
}

fn phase(phase: SitePhase) -> Badge {
    let tone = match phase {
        SitePhase::Missing => Tone::Idle,
        SitePhase::Starting | SitePhase::HandingOver => Tone::Busy,
        SitePhase::Serving => Tone::Good,
        SitePhase::Rescue => Tone::Bad,
    };
    Badge::new(tone, text::site_phase(phase))
}

impl Body for Status {
    fn title(&self) -> String {
        text::STATUS.to_owned()
    }
}

impl Samples for Status {
    fn samples() -> Vec<(&'static str, Self)> {
        let (base, site) = (Release::new(1, 0, 0, 1), Release::new(1, 1, 0, 2));
        let license = LicenseFacts {
            release: Release::new(1, 0, 0, 25),
            hostname: "support.example.com".into(),
            users: 25,
            endpoints: Some(500),
            expires: Some(Timestamp::from_secs(1_830_297_600)),
            maintenance_until: Some(Timestamp::from_secs(1_814_400_000)),
            standing: LicenseStanding::Valid,
        };
        let typical = StatusFacts {
            hostname: "support.example.com",
            base: &base,
            site: Some(&site),
            now: Timestamp::from_secs(1_795_290_282),
            uptime: Duration::from_hours(293),
            disk_free: 41_300_000_000,
            disk_total: Some(120_000_000_000),
            site_phase: SitePhase::Serving,
            rescue: None,
            installing: None,
            license: Some(&license),
        };
        let ended = LicenseFacts { standing: LicenseStanding::Expired, ..license.clone() };
        let expired = StatusFacts { license: Some(&ended), ..typical.clone() };
        let foreign = LicenseFacts {
            hostname: "old-name.example.com".into(),
            endpoints: None,
            expires: None,
            maintenance_until: None,
            standing: LicenseStanding::OtherSite,
            ..license.clone()
        };
        let foreign = StatusFacts { license: Some(&foreign), ..typical.clone() };
        let empty = StatusFacts {
            site: None,
            license: None,
            site_phase: SitePhase::Missing,
            disk_total: None,
            uptime: Duration::from_secs(4),
            ..typical.clone()
        };
        let handing_over = StatusFacts {
            site_phase: SitePhase::HandingOver,
            installing: Some("site 1.1.0 (rev 2): watching the new version"),
            ..typical.clone()
        };
        let host = "a-department-with-a-long-name.".repeat(5) + "example.com";
        let long =
            StatusFacts { hostname: &host, site_phase: SitePhase::Starting, ..typical.clone() };
        let rescue = StatusFacts {
            site_phase: SitePhase::Rescue,
            rescue: Some(
                "site 1.1.0 (rev 2) exited with status 101 three times within 30 s, and so did 1.0.0 (rev 1).",
            ),
            ..typical.clone()
        };
        vec![
            ("empty", Self::new(&empty)),
            ("typical", Self::new(&typical)),
            ("handing-over", Self::new(&handing_over)),
            ("long", Self::new(&long)),
            ("rescue", Self::new(&rescue)),
            ("license-expired", Self::new(&expired)),
            ("license-of-another-site", Self::new(&foreign)),
        ]
    }
}
