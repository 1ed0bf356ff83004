//! What comes in from outside, held against `deny.toml`.
//!
//! The file is cargo-deny's. Its rules are checked here because that takes less than a second and
//! needs nothing installed, whereas cargo-deny itself takes minutes to build on a new machine.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use semver::{Version, VersionReq};
use serde::Deserialize;

use crate::command::Step;
use crate::workspace::Workspace;

/// `deny.toml`.
#[derive(Deserialize)]
pub struct Rules {
    graph: Graph,
    licenses: Licenses,
    bans: Bans,
}

#[derive(Deserialize)]
struct Graph {
    targets: Vec<String>,
}

#[derive(Deserialize)]
struct Licenses {
    allow: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Entry>,
    skip: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "crate")]
    spec: String,
    #[serde(default)]
    reason: String,
}

/// A crate that is really built for one of the targets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Crate {
    name: String,
    version: Version,
    license: String,
}

/// Everything that is wrong, a sentence each; empty when all is well.
pub fn problems(workspace: &Workspace) -> Result<Vec<String>> {
    let rules = std::fs::read_to_string(workspace.root.join("deny.toml"))?;
    let rules: Rules = toml::from_str(&rules).context("deny.toml")?;
    let mut args = vec!["tree", "--workspace", "--locked", "--quiet", "--prefix", "none"];
    args.extend(["--edges", "normal,build,dev", "--format", "{p}|{l}"]);
    args.extend(rules.graph.targets.iter().flat_map(|target| ["--target", target.as_str()]));
    let crates = parse_tree(&Step::cargo(workspace, &args).output()?)?;
    let lock = std::fs::read_to_string(workspace.root.join("Cargo.lock"))?;
    Ok([
        banned(&rules.bans, &crates),
        repeated(&rules.bans, &crates)?,
        unlicensed(&rules.licenses.allow, &crates),
        elsewhere(&lock),
    ]
    .concat())
}

/// Reads lines such as `syn v2.0.119 (proc-macro)|MIT OR Apache-2.0 (*)`.
fn parse_tree(text: &str) -> Result<BTreeSet<Crate>> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let parse = |line: &str| {
        let (package, license) = line.split_once('|')?;
        let mut words = package.split_whitespace();
        let name = words.next()?.to_owned();
        let version = Version::parse(words.next()?.strip_prefix('v')?).ok()?;
        let license = license.trim_end_matches(" (*)").trim().to_owned();
        Some(Crate { name, version, license })
    };
    lines
        .map(|line| parse(line).with_context(|| format!("`cargo tree` printed “{line}”")))
        .collect()
}

fn banned(bans: &Bans, crates: &BTreeSet<Crate>) -> Vec<String> {
    let names: BTreeSet<&str> = crates.iter().map(|it| it.name.as_str()).collect();
    let hit = bans.deny.iter().filter(|entry| names.contains(entry.spec.as_str()));
    hit.map(|entry| {
        format!(
            "The crate {0} is banned ({1}) and came in. `cargo tree --target all -i {0}` says by whom; \
             switch off the feature that brings it.",
            entry.spec, entry.reason
        )
    })
    .collect()
}

/// Crates in several versions that no skip explains, and skips that explain nothing.
fn repeated(bans: &Bans, crates: &BTreeSet<Crate>) -> Result<Vec<String>> {
    let mut versions: BTreeMap<&str, BTreeSet<&Version>> = BTreeMap::new();
    for it in crates {
        versions.entry(&it.name).or_default().insert(&it.version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    let mut found = vec![];
    for entry in &bans.skip {
        let (name, range) = entry.spec.split_once('@').unwrap_or((&entry.spec, "*"));
        let range = VersionReq::parse(range).with_context(|| {
            format!("deny.toml skips “{}”, which is no name@version", entry.spec)
        })?;
        if entry.reason.is_empty() {
            found.push(format!("deny.toml skips {} without a reason. Give one.", entry.spec));
        }
        let hits = versions.get_mut(name).map_or(0, |versions| {
            let before = versions.len();
            versions.retain(|version| !range.matches(version));
            before - versions.len()
        });
        if hits == 0 {
            found.push(format!(
                "deny.toml skips {}, which no longer comes in twice. Take the line out.",
                entry.spec
            ));
        }
    }
    for (name, versions) in versions.iter().filter(|(_, versions)| versions.len() > 1) {
        let list: Vec<String> = versions.iter().map(ToString::to_string).collect();
        found.push(format!(
            "The crate {name} came in as {}. Use one version, or skip the older one in deny.toml \
             and say who keeps it (`cargo tree -i {name}@{}`).",
            list.join(" and "),
            list[0]
        ));
    }
    Ok(found)
}

fn unlicensed(allow: &BTreeSet<String>, crates: &BTreeSet<Crate>) -> Vec<String> {
    let refused = crates.iter().filter(|it| !permits(&it.license, allow));
    refused
        .map(|it| {
            let license = if it.license.is_empty() { "no licence" } else { &it.license };
            format!(
                "The crate {} {} comes under {license}, which deny.toml does not allow. \
                 Use another crate, or allow the licence after reading it.",
                it.name, it.version
            )
        })
        .collect()
}

/// Whether the allowed licences satisfy an SPDX expression; the old `A/B` means `A OR B`.
fn permits(expression: &str, allow: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let ok = either(&mut words, allow);
    ok && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn either(words: &mut Words, allow: &BTreeSet<String>) -> bool {
    let mut ok = both(words, allow);
    while words.next_if_eq(&"OR").is_some() {
        ok |= both(words, allow);
    }
    ok
}

fn both(words: &mut Words, allow: &BTreeSet<String>) -> bool {
    let mut ok = one(words, allow);
    while words.next_if_eq(&"AND").is_some() {
        ok &= one(words, allow);
    }
    ok
}

fn one(words: &mut Words, allow: &BTreeSet<String>) -> bool {
    match words.next() {
        Some("(") => {
            let ok = either(words, allow);
            words.next() == Some(")") && ok
        }
        Some(name) if words.next_if_eq(&"WITH").is_some() => words
            .next()
            .is_some_and(|exception| allow.contains(&format!("{name} WITH {exception}"))),
        Some(name) => allow.contains(name),
        None => false,
    }
}

/// Sources in Cargo.lock that are not the crates registry.
fn elsewhere(lock: &str) -> Vec<String> {
    let sources = lock.lines().filter_map(|line| line.strip_prefix("source = "));
    let foreign: BTreeSet<&str> = sources
        .map(|source| source.trim_matches('"'))
        .filter(|source| !(source.starts_with("registry+") && source.ends_with("/crates.io-index")))
        .collect();
    let sentence = |source| {
        format!(
            "Cargo.lock takes a crate from {source}. Take every crate from the crates registry."
        )
    };
    foreign.into_iter().map(sentence).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> BTreeSet<Crate> {
        parse_tree(
            "sluis-base v1.0.0 (/w/apps/base)|Apache-2.0\n\
             ring v0.17.14|Apache-2.0 AND ISC\n\n\
             syn v2.0.119 (proc-macro)|MIT OR Apache-2.0\n\
             syn v3.0.9 (proc-macro)|MIT OR Apache-2.0 (*)\n\
             odd v1.0.0|GPL-3.0-only\n",
        )
        .expect("good lines")
    }

    fn bans(deny: &[&str], skip: &[&str]) -> Bans {
        let entry = |spec: &&str| Entry { spec: (*spec).to_owned(), reason: "because".to_owned() };
        Bans { deny: deny.iter().map(entry).collect(), skip: skip.iter().map(entry).collect() }
    }

    #[test]
    fn a_banned_crate_is_named_with_its_reason() {
        let found = banned(&bans(&["ring", "openssl"], &[]), &tree());
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("The crate ring is banned (because)"), "{found:?}");
    }

    #[test]
    fn a_second_version_needs_a_reason_and_a_reason_a_second_version() {
        let found = |skip: &[&str]| repeated(&bans(&[], skip), &tree()).expect("good skips");
        assert!(found(&[])[0].starts_with("The crate syn came in as 2.0.119 and 3.0.9."));
        assert_eq!(found(&["syn@2"]), Vec::<String>::new());
        assert_eq!(found(&["syn@2", "ring@0.17"]).len(), 1);
        assert!(found(&["syn@2", "syn@1"])[0].contains("skips syn@1, which no longer"));
        assert!(repeated(&bans(&[], &["syn@two"]), &tree()).is_err());
    }

    #[test]
    fn a_licence_expression_is_read_as_spdx_says() {
        let allow = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned).into();
        for (expression, ok) in [
            ("MIT", true),
            ("GPL-3.0-only", false),
            ("GPL-3.0-only OR MIT", true),
            ("GPL-3.0-only/MIT", true),
            ("MIT AND Apache-2.0", false),
            ("MIT AND (Apache-2.0 OR ISC)", true),
            ("(GPL-3.0-only AND MIT) OR BSL-1.0", false),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("Apache-2.0 WITH", false),
            ("(MIT", false),
            ("MIT ISC", false),
            ("", false),
        ] {
            assert_eq!(permits(expression, &allow), ok, "{expression}");
        }
        assert_eq!(unlicensed(&allow, &tree()).len(), 3);
    }

    #[test]
    fn only_the_crates_registry_is_a_source() {
        let lock = "source = \"registry+https://host/crates.io-index\"\n\
                    source = \"git+https://host/x#1\"\nsource = \"registry+https://host/other\"\n";
        let found = elsewhere(lock);
        assert_eq!(found.len(), 2);
        assert!(found[0].contains("git+https://host/x#1"));
    }
}
