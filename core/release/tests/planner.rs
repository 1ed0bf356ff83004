//! What an administrator reads about what can be installed, and in which order it would be.
//!
//! The explanations are golden: `tests/snapshots`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use model::{PackageKind, Release, Timestamp};
use sluis_core_release::plan::{Available, Gate, Installed, Plan, Policy, Status, plan};
use sluis_core_release::{License, Manifest, Sha256, fixtures};

/// `site 1.2.0-9`, then what it asks for.
fn package(kind: PackageKind, release: &str, rules: &[&str]) -> Available {
    let (version, revision) = release.split_once('-').expect("version-revision");
    let text = format!("{version} (rev {revision})");
    let release: Release = text.parse().expect("a release");
    let mut manifest = fixtures::manifest(kind, release);
    for rule in rules {
        let (word, rest) = rule.split_once(' ').expect("a word and a rule");
        match word {
            "needs" => manifest.requires.push(rest.parse().expect("a requirement")),
            "not" => manifest.conflicts.push(rest.parse().expect("a conflict")),
            "through" => manifest.floors.push(rest.parse().expect("a floor")),
            _ => rest.clone_into(&mut manifest.notes),
        }
    }
    manifest.check().expect("a good manifest");
    available(manifest)
}

fn available(manifest: Manifest) -> Available {
    let mut sha256 = [manifest.kind as u8 + 1; 32];
    sha256[..8].copy_from_slice(&manifest.seq.to_be_bytes());
    let target = manifest.target_name();
    Available { target, length: 1_000_000, sha256: Sha256(sha256), manifest }
}

fn base(release: &str, rules: &[&str]) -> Available {
    package(PackageKind::Base, release, rules)
}

fn site(release: &str, rules: &[&str]) -> Available {
    package(PackageKind::Site, release, rules)
}

fn runs(packages: &[&Available]) -> Vec<Installed> {
    packages
        .iter()
        .map(|p| Installed {
            kind: p.manifest.kind,
            name: p.manifest.name.clone(),
            version: p.manifest.version.clone(),
            revision: p.manifest.revision,
            sha256: p.sha256,
        })
        .collect()
}

fn policy() -> Policy {
    Policy {
        arch: Some("x86_64".into()),
        hostname: Some("access.example.com".parse().expect("a hostname")),
        licenses: Some(25),
        expires: Some(Timestamp::from_secs(1_830_297_600)),
        ..Policy::default()
    }
}

/// The page as text.
fn page(plan: &Plan) -> String {
    let mut out = String::new();
    for card in &plan.cards {
        let status = format!("{:?}", card.status).to_lowercase();
        let _ = writeln!(out, "{} {}: {status}", card.name, card.release());
        if let Some(blocked) = &card.blocked {
            let by = blocked.by.as_deref().unwrap_or("nothing available");
            let _ =
                writeln!(out, "    missing: {}; by: {by}\n    {}", blocked.missing, blocked.text);
        }
        for (n, step) in card.way.iter().enumerate() {
            let _ = writeln!(out, "    {}. {}", n + 1, step.text);
        }
    }
    let _ = writeln!(out, "plan:");
    for (n, step) in plan.steps.iter().enumerate() {
        let _ = writeln!(out, "  {}. {}", n + 1, step.text);
    }
    out
}

#[test]
fn a_site_that_needs_a_newer_base_waits_for_it() {
    // req: UPD-04
    // req: UPD-05
    let (b1, s1) = (base("1.0.0-1", &[]), site("1.0.0-1", &["needs base >=1.0"]));
    let (b2, s2) = (base("1.1.0-2", &[]), site("1.1.0-2", &["needs base >=1.1"]));
    let all = [s2, b1.clone(), s1.clone(), b2];
    let plan = plan(&runs(&[&b1, &s1]), &all, &policy());
    insta::assert_snapshot!(page(&plan));
}

#[test]
fn several_hops_are_one_ordered_plan() {
    // req: UPD-04
    let (b1, s1) = (base("1.0.0-1", &[]), site("1.0.0-1", &[]));
    let all = [
        b1.clone(),
        s1.clone(),
        base("1.2.0-5", &[]),
        base("1.3.0-7", &["through 1.2"]),
        base("2.0.0-9", &["through 1.3", "needs site >=1.2"]),
        site("1.2.0-4", &["needs base >=1.2"]),
        site("2.0.0-9", &["needs base >=2.0", "through 1.2"]),
    ];
    let plan = plan(&runs(&[&b1, &s1]), &all, &policy());
    insta::assert_snapshot!(page(&plan));
}

#[test]
fn what_nobody_published_is_named() {
    // req: UPD-04
    let (b1, s1) = (base("1.0.0-1", &[]), site("1.0.0-1", &[]));
    let all = [
        b1.clone(),
        s1.clone(),
        base("1.3.0-7", &["through 1.2"]),
        site("1.3.0-7", &["needs base >=1.3"]),
        site("1.2.0-4", &["needs jumpoint >=1"]),
        site("1.1.0-3", &[]),
    ];
    let plan = plan(&runs(&[&b1, &s1]), &all, &policy());
    insta::assert_snapshot!(page(&plan));
}

#[test]
fn rules_that_chase_each_other_end_in_an_explanation() {
    let (b1, s1) = (base("1.0.0-1", &[]), site("1.0.0-1", &["needs base <2"]));
    let all = [
        b1.clone(),
        s1.clone(),
        base("2.0.0-1", &["needs site >=2"]),
        site("2.0.0-1", &["needs base >=2"]),
        site("1.5.0-1", &["not base <1.1"]),
    ];
    let plan = plan(&runs(&[&b1, &s1]), &all, &policy());
    insta::assert_snapshot!(page(&plan));
}

#[test]
fn a_base_that_would_break_the_running_site_waits_for_a_site_that_goes_along() {
    let (b1, s1) = (base("1.0.0-1", &[]), site("1.0.0-1", &["needs base <2"]));
    let all = [b1.clone(), s1.clone(), base("2.0.0-1", &[]), site("1.1.0-1", &["needs base >=1"])];
    let plan = plan(&runs(&[&b1, &s1]), &all, &policy());
    insta::assert_snapshot!(page(&plan));
}

#[test]
fn what_failed_or_was_withdrawn_is_not_offered_again_by_itself() {
    let (b1, s1) = (base("1.0.0-1", &[]), site("1.0.0-1", &[]));
    let (s2, s3, s4) = (site("1.1.0-2", &[]), site("1.2.0-3", &[]), site("1.3.0-4", &[]));
    let mut policy = policy();
    policy.bad = BTreeSet::from([s4.sha256]);
    policy.withdrawn = BTreeMap::from([(s3.sha256, "it fills the disk".to_owned())]);
    let all = [b1.clone(), s1.clone(), s2, s3, s4];
    let plan = plan(&runs(&[&b1, &s1]), &all, &policy);
    insta::assert_snapshot!(page(&plan));
}

#[test]
fn a_hold_and_an_ended_entitlement_say_so() {
    let (b1, s1) = (base("1.0.0-1", &[]), site("1.0.0-1", &[]));
    let all = [b1.clone(), s1.clone(), site("1.1.0-2", &[]), license("access.example.com", 40)];
    let mut text = String::new();
    let gates = [
        Gate::Held("maintenance of the data centre".into()),
        Gate::Ended(Timestamp::from_secs(1_767_225_600)),
        Gate::NotEntitled,
    ];
    for gate in gates {
        let policy = Policy { gate, ..policy() };
        text += &page(&plan(&runs(&[&b1, &s1]), &all, &policy));
    }
    insta::assert_snapshot!(text);
}

fn license(hostname: &str, users: u32) -> Available {
    let mut manifest = fixtures::manifest(PackageKind::License, Release::new(1, 0, 0, users));
    manifest.arch = "any".into();
    manifest.license = Some(License {
        hostname: hostname.parse().expect("a hostname"),
        users,
        endpoints: None,
        expires: None,
        maintenance_until: None,
    });
    available(manifest)
}

#[test]
fn a_license_is_shown_to_its_own_site_only_and_changes_no_software() {
    // req: UPD-06
    let (b1, s1) = (base("1.0.0-1", &[]), site("1.0.0-1", &[]));
    let all = [
        b1.clone(),
        s1.clone(),
        license("access.example.com", 40),
        license("other.example.com", 50),
    ];
    let plan = plan(&runs(&[&b1, &s1]), &all, &policy());
    let cards: Vec<_> = plan.cards.iter().filter(|c| c.kind == PackageKind::License).collect();
    assert_eq!(cards.len(), 1);
    assert_eq!((cards[0].status, cards[0].licenses), (Status::Installable, Some(40)));
    assert_eq!(plan.steps.len(), 1);
    assert_eq!(plan.steps[0].text, "Install license 1.0.0 (rev 40).");
}

#[test]
fn older_and_foreign_packages_are_no_news() {
    let (b1, s2) = (base("1.0.0-1", &[]), site("1.2.0-1", &[]));
    let mut foreign = fixtures::manifest(PackageKind::Site, Release::new(9, 0, 0, 1));
    foreign.arch = "aarch64".into();
    let unknown = fixtures::manifest(PackageKind::Unknown, Release::new(9, 0, 0, 1));
    let all =
        [b1.clone(), s2.clone(), site("1.1.0-9", &[]), available(foreign), available(unknown)];
    let plan = plan(&runs(&[&b1, &s2]), &all, &policy());
    let cards: Vec<_> = plan.cards.iter().map(|c| (c.target.as_str(), c.status)).collect();
    assert_eq!(
        cards,
        [
            ("base/base-1.0.0-r1-x86_64.pkg", Status::Installed),
            ("site/site-1.2.0-r1-x86_64.pkg", Status::Installed)
        ]
    );
    assert_eq!(plan.steps, []);
}

#[test]
fn an_empty_appliance_gets_the_newest_without_old_versions() {
    let all = [
        base("1.0.0-1", &[]),
        base("1.3.0-1", &["through 1.2"]),
        site("1.3.0-1", &["needs base >=1.3"]),
    ];
    let plan = plan(&[], &all, &policy());
    let targets: Vec<_> = plan.steps.iter().map(|s| s.target.as_str()).collect();
    assert_eq!(targets, ["base/base-1.3.0-r1-x86_64.pkg", "site/site-1.3.0-r1-x86_64.pkg"]);
}

/// A history of releases in which everything refers to everything, so that a naive search never ends.
#[test]
fn a_tangle_of_rules_costs_a_moment_only() {
    let mut all = Vec::new();
    for n in 0..60 {
        let (needs_site, needs_base) =
            (format!("needs site >=1.{}, <3", n + 1), format!("needs base >=1.{}, <3", n + 1));
        all.push(base(&format!("1.{n}.0-1"), &[&needs_site]));
        all.push(site(&format!("1.{n}.0-1"), &[&needs_base]));
    }
    let (b, s) = (all[0].clone(), all[1].clone());
    let plan = plan(&runs(&[&b, &s]), &all, &policy());
    assert_eq!(plan.steps, []);
    assert_eq!(plan.cards.iter().filter(|c| c.status == Status::Blocked).count(), 118);
}

mod random {
    use proptest::prelude::*;

    use super::*;

    fn rules() -> impl Strategy<Value = Vec<(u64, u64, u64, u8)>> {
        proptest::collection::vec((0u64..2, 0u64..6, 0u64..6, 0u8..4), 0..14)
    }

    fn build(rows: &[(u64, u64, u64, u8)]) -> Vec<Available> {
        rows.iter()
            .map(|&(kind, minor, other, rule)| {
                let release = format!("1.{minor}.0-1");
                let asks = match rule {
                    0 => vec![],
                    1 => vec![format!(
                        "needs {} >=1.{other}",
                        if kind == 0 { "site" } else { "base" }
                    )],
                    2 => {
                        vec![format!("not {} <1.{other}", if kind == 0 { "site" } else { "base" })]
                    }
                    _ => vec![format!("through 1.{}", other.min(minor))],
                };
                let asks: Vec<&str> = asks.iter().map(String::as_str).collect();
                if kind == 0 { base(&release, &asks) } else { site(&release, &asks) }
            })
            .collect()
    }

    proptest! {
        /// Every step of a plan may be installed when its turn comes, and none goes back.
        #[test]
        fn a_plan_can_be_carried_out(rows in rules()) {
            let (b, s) = (base("1.0.0-0", &[]), site("1.0.0-0", &[]));
            let all = build(&rows);
            let mut inventory = runs(&[&b, &s]);
            let whole = plan(&inventory, &all, &policy());
            for step in &whole.steps {
                let now = plan(&inventory, &all, &policy());
                let card = now.cards.iter().find(|card| card.target == step.target).expect("a card");
                prop_assert_eq!(card.status, Status::Installable, "{}", page(&now));
                let package = all.iter().find(|p| p.target == step.target).expect("a package");
                inventory.retain(|item| item.name != package.manifest.name);
                inventory.extend(runs(&[package]));
            }
        }

        /// The order in which packages were published changes nothing.
        #[test]
        fn the_same_packages_make_the_same_plan(rows in rules()) {
            let (b, s) = (base("1.0.0-0", &[]), site("1.0.0-0", &[]));
            let mut all = build(&rows);
            all.sort_by(|a, b| a.target.cmp(&b.target));
            all.dedup_by(|a, b| a.target == b.target);
            let forward = plan(&runs(&[&b, &s]), &all, &policy());
            all.reverse();
            prop_assert_eq!(forward, plan(&runs(&[&s, &b]), &all, &policy()));
        }
    }
}
