//! What installs took on this appliance, by its own log: what the next one is estimated from.

use std::collections::HashMap;
use std::time::Duration;

use model::{AttemptId, PackageKind, Timestamp};

use crate::log::{Entry, Level};

/// Installs that are looked back at; older ones say little about the present versions and disk.
const LOOKED_AT: usize = 5;

/// What was measured where the appliance has no figures: a site update from plan to commit, and the longest that a session
/// stood still by one. See `docs/operate/performance.md`.
pub const MEASURED: (Duration, Duration) =
    (Duration::from_millis(3_400), Duration::from_millis(242));

/// What is being estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Installing a package, its download included.
    Install,
    /// Going back to the kept version.
    Back,
}

/// What the last ones took, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Past {
    /// From asking to the commit.
    pub took: Vec<Duration>,
    /// The longest that a session stood still, where there were sessions.
    pub stalls: Vec<Duration>,
}

impl Past {
    /// Reads it from the log.
    pub fn of(entries: &[Entry], kind: PackageKind, way: Way) -> Self {
        let mut attempts: Vec<AttemptId> = vec![];
        let mut seen: HashMap<AttemptId, Seen> = HashMap::new();
        for entry in entries {
            let Some(attempt) = entry.attempt else { continue };
            seen.entry(attempt).and_modify(|seen| seen.hear(entry)).or_insert_with(|| {
                attempts.push(attempt);
                Seen::first(entry)
            });
        }
        let good = attempts.iter().rev().filter_map(|attempt| seen.get(attempt));
        let good: Vec<&Seen> = good.filter(|seen| seen.is(kind, way)).take(LOOKED_AT).collect();
        Self {
            took: good.iter().map(|seen| seen.until.since(seen.from)).collect(),
            stalls: good.iter().filter_map(|seen| seen.stall).collect(),
        }
    }

    /// The middle of what they took, and of how many; none when there were none.
    pub fn length(&self) -> Option<(Duration, usize)> {
        let mut sorted = self.took.clone();
        sorted.sort_unstable();
        Some((*sorted.get(sorted.len() / 2)?, sorted.len()))
    }

    /// The longest that a session stood still, and in how many; none when there were none.
    pub fn stall(&self) -> Option<(Duration, usize)> {
        Some((*self.stalls.iter().max()?, self.stalls.len()))
    }
}

/// One attempt, as far as it was heard.
struct Seen {
    subject: String,
    begin: String,
    end: String,
    from: Timestamp,
    until: Timestamp,
    stall: Option<Duration>,
    interrupted: bool,
}

impl Seen {
    fn first(entry: &Entry) -> Self {
        let mut seen = Self {
            subject: entry.subject.clone(),
            begin: entry.phase.clone(),
            end: String::new(),
            from: entry.at,
            until: entry.at,
            stall: None,
            interrupted: false,
        };
        seen.hear(entry);
        seen
    }

    fn hear(&mut self, entry: &Entry) {
        self.until = entry.at;
        self.end.clone_from(&entry.phase);
        self.interrupted |= entry.level != Level::Info;
        self.stall = entry.stall_ms.map(Duration::from_millis).or(self.stall);
    }

    /// Whether it went well and was of that kind; the site's only when nothing came in between.
    fn is(&self, kind: PackageKind, way: Way) -> bool {
        let begin = match way {
            Way::Install => "planned",
            Way::Back => "expanded",
        };
        let named = self.subject.strip_prefix(&kind.to_string());
        // A base that replaces itself always is restarted.
        let undisturbed = !self.interrupted || kind == PackageKind::Base;
        self.begin == begin
            && self.end == "contracted"
            && named.is_some_and(|rest| rest.starts_with(' '))
            && undisturbed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An attempt with what it is about and its phases, each with its second.
    fn attempt(n: u8, subject: &str, phases: &[(&str, u64)], level: Level) -> Vec<Entry> {
        let entry = |(phase, second): &(&str, u64)| Entry {
            n: 0,
            at: Timestamp::from_secs(*second),
            attempt: Some(AttemptId::from_bytes([n; 16])),
            step: 0,
            subject: subject.to_owned(),
            phase: (*phase).to_owned(),
            level,
            text: String::new(),
            stall_ms: (*phase == "committed").then_some(u64::from(n) * 10),
        };
        phases.iter().map(entry).collect()
    }

    #[test]
    fn estimates_come_from_what_went_well_here() {
        let good = |n, subject: &str, from, until| {
            attempt(
                n,
                subject,
                &[("planned", from), ("committed", until), ("contracted", until)],
                Level::Info,
            )
        };
        let log = [
            good(1, "site 1.0.0 (rev 1)", 100, 110),
            good(2, "base 1.0.1 (rev 1)", 200, 204),
            good(3, "site 1.1.0 (rev 1), step 2 of 2", 300, 330),
            attempt(
                4,
                "site 1.2.0 (rev 1)",
                &[("planned", 400), ("rolled-back", 500)],
                Level::Error,
            ),
            attempt(
                5,
                "site 1.0.0 (rev 1)",
                &[("expanded", 600), ("contracted", 602)],
                Level::Info,
            ),
            attempt(
                6,
                "site 1.3.0 (rev 1)",
                &[("planned", 700), ("contracted", 9_999)],
                Level::Warning,
            ),
            good(7, "site 1.4.0 (rev 1)", 800, 812),
        ]
        .concat();
        let site = Past::of(&log, PackageKind::Site, Way::Install);
        assert_eq!(site.took, [12, 30, 10].map(Duration::from_secs));
        assert_eq!(site.length(), Some((Duration::from_secs(12), 3)));
        assert_eq!(site.stall(), Some((Duration::from_millis(70), 3)));
        let back = Past::of(&log, PackageKind::Site, Way::Back);
        assert_eq!((back.length(), back.stall()), (Some((Duration::from_secs(2), 1)), None));
        assert_eq!(Past::of(&log, PackageKind::License, Way::Install), Past::default());
    }
}
