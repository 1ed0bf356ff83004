use askama::Template;
use askama::filters::HtmlSafe;
use model::Timestamp;
use serde::Deserialize;
use ui_kit::{
    Body, Choosable, Field, FieldKind, Moment, Notice, Samples, Select, Tone, url::site as url,
};

use crate::{samples, text};

/// What the form above the audit log asks for, as it stands in the address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct AuditInput {
    /// Who did it.
    #[serde(default)]
    pub actor: String,
    /// Part of what it was done to.
    #[serde(default)]
    pub about: String,
    /// How the action begins.
    #[serde(default)]
    pub action: String,
    /// The first day, as `2026-11-21`.
    #[serde(default)]
    pub from: String,
    /// The last day.
    #[serde(default)]
    pub until: String,
    /// The last line of the page before.
    #[serde(default)]
    pub before: String,
}

/// A day that was typed is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditFault {
    /// The first one.
    From,
    /// The last one.
    Until,
}

impl AuditInput {
    /// The moments that the days mean: from the first one's beginning to the last one's end.
    pub fn days(&self) -> Result<(Option<Timestamp>, Option<Timestamp>), AuditFault> {
        let from = day(&self.from).map_err(|()| AuditFault::From)?;
        let until = day(&self.until).map_err(|()| AuditFault::Until)?;
        Ok((from, until.map(|day| day.plus(std::time::Duration::from_hours(24)))))
    }

    fn is_empty(&self) -> bool {
        *self == Self { before: self.before.clone(), ..Self::default() }
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        vec![
            ("actor", self.actor.clone()),
            ("about", self.about.clone()),
            ("action", self.action.clone()),
            ("from", self.from.clone()),
            ("until", self.until.clone()),
        ]
    }

    fn address<A>(&self, of: A, more: (&'static str, String)) -> url::With<A> {
        let mut fields = self.fields();
        fields.push(more);
        url::With(of, fields)
    }
}

fn day(text: &str) -> Result<Option<Timestamp>, ()> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    Timestamp::parse_utc(&format!("{}T00:00:00Z", text.trim())).map(Some).ok_or(())
}

/// Who did what a line of the audit log says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditActor {
    /// The site itself.
    Site,
    /// Somebody who did not prove who they are.
    Unknown,
    /// The person or Jump Client of this name.
    Named(String),
}

/// A line of the audit log.
#[derive(Debug, Clone)]
pub struct AuditFacts {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: AuditActor,
    /// What was done, such as `session.opened`.
    pub action: String,
    /// To what: a name or an id.
    pub subject: String,
    /// More about it, in words.
    pub detail: String,
    /// The address it came from.
    pub peer: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    at: Moment,
    actor: String,
    action: String,
    subject: String,
    detail: String,
    peer: String,
}

const ACTIONS: &[Choosable] = &[
    Choosable { value: "", label: "Everything", hint: "" },
    Choosable { value: "operator.login", label: "Signing in", hint: "" },
    Choosable { value: "operator.", label: "Users", hint: "" },
    Choosable { value: "console.", label: "Consoles", hint: "" },
    Choosable { value: "api-token.", label: "API tokens", hint: "" },
    Choosable { value: "enrolment-token.", label: "Enrolment tokens", hint: "" },
    Choosable { value: "jump-client.", label: "Jump Clients", hint: "" },
    Choosable { value: "session.", label: "Sessions", hint: "" },
    Choosable { value: "recording.", label: "Recordings", hint: "" },
];

/// The audit log: who did what and when.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "audit.html")]
pub struct Audit {
    actor: Field,
    about: Field,
    action: Select,
    from: Field,
    until: Field,
    notice: Option<Notice>,
    rows: Vec<Row>,
    filtered: bool,
    newest: Option<String>,
    older: Option<String>,
    csv: String,
    json: String,
}

impl HtmlSafe for Audit {}

impl Audit {
    /// The lines that were asked for, newest first; `older` is the id of the last one shown when
    /// there are more.
    pub fn new(asked: &AuditInput, lines: Vec<AuditFacts>, older: Option<String>) -> Self {
        let text = |name, label, hint: &str, value: &str| {
            Field::new(FieldKind::Text, name, label).hint(hint).value(value).filter()
        };
        let day = |name, label, value: &str| {
            Field::new(FieldKind::Day, name, label).value(value).filter()
        };
        let chosen = asked.action.clone();
        let file =
            |format: &str| asked.address(url::AuditFile, ("format", format.to_owned())).to_string();
        let newest = asked.address(url::Audit, ("before", String::new())).to_string();
        Self {
            actor: text("actor", text::WHO, text::WHO_HINT, &asked.actor),
            about: text("about", text::ABOUT_WHAT, text::ABOUT_WHAT_HINT, &asked.about),
            action: Select { name: "action", label: text::DONE, options: ACTIONS, chosen },
            from: day("from", text::FIRST_DAY, &asked.from),
            until: day("until", text::LAST_DAY, &asked.until),
            notice: None,
            rows: lines.into_iter().map(row).collect(),
            filtered: !asked.is_empty(),
            newest: (!asked.before.is_empty()).then_some(newest),
            older: older.map(|id| asked.address(url::Audit, ("before", id)).to_string()),
            csv: file("csv"),
            json: file("json"),
        }
    }

    /// The form again, with a day in it that is none.
    pub fn wrong(asked: &AuditInput, fault: AuditFault) -> Self {
        let mut page = Self::new(asked, Vec::new(), None);
        match fault {
            AuditFault::From => page.from = page.from.error(text::DAY_FAULT),
            AuditFault::Until => page.until = page.until.error(text::DAY_FAULT),
        }
        page.notice = Some(Notice::new(Tone::Bad, text::DAY_FAULT));
        page
    }
}

fn row(line: AuditFacts) -> Row {
    Row {
        at: Moment::at(line.at),
        actor: match line.actor {
            AuditActor::Site => text::THE_SITE.to_owned(),
            AuditActor::Unknown => text::NOT_KNOWN.to_owned(),
            AuditActor::Named(name) => name,
        },
        action: text::audit_action(&line.action),
        subject: line.subject,
        detail: line.detail,
        peer: line.peer.unwrap_or_default(),
    }
}

impl Body for Audit {
    fn title(&self) -> String {
        text::AUDIT.to_owned()
    }
}

impl Samples for Audit {
    fn samples() -> Vec<(&'static str, Self)> {
        let line = |ago, actor: &str, action: &str, subject: &str, detail: &str| AuditFacts {
            at: samples::ago(ago),
            actor: match actor {
                "" => AuditActor::Site,
                "?" => AuditActor::Unknown,
                name => AuditActor::Named(name.into()),
            },
            action: action.into(),
            subject: subject.into(),
            detail: detail.into(),
            peer: (ago == 60).then(|| "192.0.2.17".to_owned()),
        };
        let lines = || {
            vec![
                line(60, "ada", "session.opened", "0193517c-9f1e", "endpoint db-01, kind shell"),
                line(90, "admin", "jump-client.removed", "kiosk-3", ""),
                line(900, "", "session.ended", "0193517b-0001", "outcome closed"),
                line(920, "ada", "session.terminated", "0193517b-0001", "endpoint db-01, of linus"),
                line(950, "?", "operator.login-failed", "linus", ""),
                line(1000, "web-01", "a-later.action", "something", ""),
            ]
        };
        let asked = AuditInput {
            actor: "a\"da".into(),
            about: "db & co".into(),
            action: "session.".into(),
            from: "2026-11-01".into(),
            until: "2026-11-21".into(),
            before: "0193517c".into(),
        };
        let wrong = AuditInput { from: "yesterday".into(), ..AuditInput::default() };
        let long = samples::long_name();
        let all = AuditInput::default();
        vec![
            ("empty", Self::new(&all, vec![], None)),
            ("typical", Self::new(&all, lines(), Some("0193517b".into()))),
            ("asked", Self::new(&asked, lines(), Some("0193517b".into()))),
            ("nothing", Self::new(&asked, vec![], None)),
            ("wrong", Self::wrong(&wrong, AuditFault::From)),
            ("long", Self::new(&all, vec![line(1, &long, "x.y", &long, &long)], None)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_mean_their_beginning_and_their_end() {
        let input = |from: &str, until: &str| AuditInput {
            from: from.into(),
            until: until.into(),
            ..AuditInput::default()
        };
        let at = |text: &str| Timestamp::parse_utc(text);
        assert_eq!(input("", " ").days(), Ok((None, None)));
        let day = (at("2026-11-21T00:00:00Z"), at("2026-11-22T00:00:00Z"));
        assert_eq!(input("2026-11-21", "2026-11-21").days(), Ok(day));
        assert_eq!(input("2026-02-30", "").days(), Err(AuditFault::From));
        assert_eq!(input("", "today").days(), Err(AuditFault::Until));
    }
}
