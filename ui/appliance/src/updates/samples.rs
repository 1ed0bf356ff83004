//! Values that the samples of several pages share.

use std::time::Duration;

use model::{AttemptId, PackageKind, Release, SessionKind, Timestamp};

use super::{
    Blocked, CardFacts, CardStatus, Estimate, Finding, FindingLevel, ImpactFacts, Installed, Level,
    LogEntry, PlanStep, RunningSession, UpdatesFacts,
};

const NOW: Timestamp = Timestamp::from_secs(1_795_290_282);

const NOTES: &str = "Sessions move to the new version without a pause that one can feel.\n\
    An auditor sees each leg of a session.\n\
    Fixes a wrong clock being reported as an expired signature.";

/// An installable card of version 1.`minor`.0.
pub(super) fn card(kind: PackageKind, minor: u64) -> CardFacts {
    let release = Release::new(1, minor, 0, 2);
    CardFacts {
        target: format!("{kind}/{kind}-{}-r2-x86_64.pkg", release.version),
        kind,
        name: kind.to_string(),
        release,
        hostname: Some("support.example.com".into()),
        licenses: Some(25),
        expires: Some(Timestamp::from_secs(1_830_297_600)),
        notes: NOTES.into(),
        size: 28_400_000,
        requires: if kind == PackageKind::Site { vec!["base >=1.1".into()] } else { vec![] },
        status: CardStatus::Installable,
        way: 0,
    }
}

/// Three packages that lead to the newest site.
pub(super) fn plan_of_three() -> Vec<(CardFacts, String)> {
    let (base, mut middle, mut last) =
        (card(PackageKind::Base, 2), card(PackageKind::Site, 1), card(PackageKind::Site, 2));
    let waits = |missing: &str, text: &str| {
        CardStatus::Blocked(Blocked { missing: missing.into(), by: None, text: text.into() })
    };
    middle.status = waits("base >=1.2", "Site 1.1.0 (rev 2) needs base >=1.2.");
    last.status = waits("a step through 1.1", "Site 1.2.0 (rev 2) must be reached through 1.1.");
    vec![
        (base, "Install base 1.2.0 (rev 2), which site 1.1.0 (rev 2) needs.".into()),
        (middle, "Install site 1.1.0 (rev 2), which site 1.2.0 (rev 2) needs.".into()),
        (last, "Install site 1.2.0 (rev 2).".into()),
    ]
}

pub(super) fn updates() -> UpdatesFacts {
    let base = card(PackageKind::Base, 1);
    let mut site = card(PackageKind::Site, 1);
    site.status = CardStatus::Blocked(Blocked {
        missing: "base >=1.1".into(),
        by: Some(base.target.clone()),
        text: "Site software 1.1.0 (rev 2) needs base 1.1 or newer, and base 1.0.0 (rev 1) runs. \
               Install base software 1.1.0 (rev 2) first."
            .into(),
    });
    site.way = 2;
    let mut license = card(PackageKind::License, 0);
    license.expires = Some(Timestamp::from_secs(1_790_000_000));
    license.licenses = Some(1);
    license.status = CardStatus::Installed;
    license.notes = String::new();
    let mut running = card(PackageKind::Site, 0);
    running.status = CardStatus::Installed;
    let step = |card: &CardFacts, text: &str| PlanStep {
        target: card.target.clone(),
        text: text.to_owned(),
    };
    let plan = vec![
        step(&base, "Install base 1.1.0 (rev 2): site 1.1.0 (rev 2) requires base >=1.1."),
        step(&site, "Install site 1.1.0 (rev 2): the newest version."),
    ];
    let (old, new) = (Release::new(1, 0, 0, 1), Release::new(0, 9, 4, 31));
    UpdatesFacts {
        checked_at: Some(Timestamp::from_secs(1_795_290_282 - 185)),
        check_failed: None,
        installing: None,
        installed: vec![
            Installed { kind: PackageKind::Base, current: old.clone(), previous: None },
            Installed { kind: PackageKind::Site, current: old, previous: Some(new) },
        ],
        packages: vec![base, site, running, license],
        plan,
        now: NOW,
    }
}

pub(super) fn impact(kind: PackageKind) -> ImpactFacts {
    let session = |operator: &str, endpoint: &str, kind, ago: u64| RunningSession {
        operator: operator.into(),
        endpoint: endpoint.into(),
        kind,
        started: Timestamp::from_secs(1_795_290_282 - ago),
    };
    ImpactFacts {
        kind,
        operators: vec!["ada".into(), "grace".into()],
        sessions: vec![
            session("ada", "db-01", SessionKind::Shell, 4000),
            session("grace", "pump-controller-7", SessionKind::Command, 12),
        ],
        duration: Estimate { length: Duration::from_secs(75), past: 3 },
        stall: Estimate { length: Duration::from_millis(120), past: 1 },
        disk_free: 41_300_000_000,
        disk_needed: 96_000_000,
        findings: vec![
            Finding {
                level: FindingLevel::Fine,
                text: "The clock agrees with the update server.".into(),
                remedy: String::new(),
            },
            Finding {
                level: FindingLevel::Warning,
                text: "The web certificate expires in 9 days.".into(),
                remedy: "Renew it soon; the update goes on.".into(),
            },
        ],
        now: NOW,
    }
}

pub(super) fn impact_refused() -> ImpactFacts {
    let mut facts = impact(PackageKind::Site);
    facts.duration = Estimate { length: Duration::from_millis(3_400), past: 0 };
    facts.stall = Estimate { length: Duration::from_millis(242), past: 0 };
    facts.disk_free = 12_000_000;
    facts.findings.push(Finding {
        level: FindingLevel::Refusal,
        text: "12 MB are free in /var/lib/sluis, and 96 MB are needed.".into(),
        remedy: "Free 84 MB or more, for instance by moving old recordings away.".into(),
    });
    facts
}

/// One install that went well, one that was put back, and one that an administrator took back.
pub(super) fn log() -> Vec<LogEntry> {
    let entry = |attempt: u8, subject: &str, after: u64, phase: &str, level, text: &str| LogEntry {
        attempt: AttemptId::from_bytes([attempt; 16]),
        subject: subject.into(),
        at: Timestamp::from_secs(1_795_200_000 + after),
        phase: phase.into(),
        level,
        text: text.into(),
    };
    let base = |after, phase, text| {
        entry(1, "Install base 1.1.0 (rev 2)", after, phase, Level::Info, text)
    };
    let site = |after, phase, level, text| {
        entry(2, "Install site 1.1.0 (rev 2)", after, phase, level, text)
    };
    let back = |after, phase, text| entry(3, "site 1.0.0 (rev 1)", after, phase, Level::Info, text);
    vec![
        base(0, "planned", "Asked for by admin."),
        base(1, "fetching", "Downloaded 28 MB in 9 s."),
        base(11, "staged", "The preflight found nothing."),
        base(13, "switching-over", "The base went on as 1.1.0 (rev 2) with its sockets."),
        base(20, "contracted", "Installed."),
        site(100, "planned", Level::Info, "Asked for by admin."),
        site(109, "staged", Level::Warning, "The web certificate expires in 9 days."),
        site(117, "expanded", Level::Error, "The synthetic session got no answer within 10 s."),
        site(
            118,
            "rolled-back",
            Level::Warning,
            "site 1.0.0 (rev 1) goes on; 1.1.0 (rev 2) is not offered again by itself.",
        ),
        back(200, "expanded", "Starting site 1.0.0 (rev 1) beside the version that serves."),
        back(202, "switching-over", "site 1.0.0 (rev 1) is proven; it takes over."),
        back(203, "trial", "site 1.0.0 (rev 1) serves; watching it."),
        back(210, "contracted", "site 1.0.0 (rev 1) is installed."),
    ]
}
