use std::time::Duration;

use askama::Template;
use askama::filters::HtmlSafe;
use model::Timestamp;
use serde::Deserialize;
use ui_kit::{
    Body, Choice, Choosable, Csrf, Field, FieldKind, Moment, Samples, count, url::site as url,
};

use crate::{Mode, samples, text};

/// What the form for an enrolment token posts.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct EnrolInput {
    /// What the page's [`Csrf`] held.
    #[serde(default)]
    pub csrf: String,
    /// What the token is for.
    #[serde(default)]
    pub name: String,
    /// The group that its Jump Clients join.
    #[serde(default)]
    pub group: String,
    /// How its Jump Clients keep in touch: `active` or `passive`.
    #[serde(default)]
    pub mode: String,
    /// How many Jump Clients it enrols, as typed.
    #[serde(default)]
    pub uses: String,
    /// For how many hours it works, as typed.
    #[serde(default)]
    pub hours: String,
}

impl EnrolInput {
    /// The mode that was chosen; active when none was.
    pub fn mode(&self) -> Mode {
        if self.mode == PASSIVE { Mode::Passive } else { Mode::Active }
    }

    /// The number of Jump Clients, at least 1.
    pub fn uses(&self) -> Result<u32, EnrolFault> {
        let number = self.uses.trim().parse().ok().filter(|number| *number > 0);
        number.ok_or_else(|| EnrolFault::Uses(text::USES_FAULT.to_owned()))
    }

    /// How long the token works: 1 hour to 1 year.
    pub fn valid_for(&self) -> Result<Duration, EnrolFault> {
        let hours = self.hours.trim().parse().ok().filter(|hours| (1..=8784).contains(hours));
        let hours: u64 = hours.ok_or_else(|| EnrolFault::Hours(text::HOURS_FAULT.to_owned()))?;
        Ok(Duration::from_hours(hours))
    }
}

/// What is wrong with the form, with the reason and the way out in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnrolFault {
    /// What the token is for.
    Name(String),
    /// The group.
    Group(String),
    /// The number of Jump Clients.
    Uses(String),
    /// The hours.
    Hours(String),
}

const ACTIVE: &str = "active";
const PASSIVE: &str = "passive";

const MODES: &[Choosable] = &[
    Choosable { value: ACTIVE, label: text::MODE_ACTIVE, hint: text::MODE_ACTIVE_HINT },
    Choosable { value: PASSIVE, label: text::MODE_PASSIVE, hint: text::MODE_PASSIVE_HINT },
];

/// The form for an enrolment token.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "enrol.html")]
pub struct Enrol {
    csrf: Csrf,
    name: Field,
    group: Field,
    uses: Field,
    hours: Field,
    mode: Choice,
}

impl HtmlSafe for Enrol {}

impl Enrol {
    /// The form with what is usual: one Jump Client within a day.
    pub fn new(csrf: Csrf) -> Self {
        let field = |kind, name, label, hint| Field::new(kind, name, label).hint(hint);
        Self {
            csrf,
            name: field(FieldKind::Text, "name", text::TOKEN_NAME, text::TOKEN_NAME_HINT).focus(),
            group: field(FieldKind::Text, "group", text::GROUP, text::GROUP_HINT).optional(),
            uses: field(FieldKind::Number, "uses", text::USES, text::USES_HINT).value("1"),
            hours: field(FieldKind::Number, "hours", text::HOURS, text::HOURS_HINT).value("24"),
            mode: Choice { name: "mode", label: text::MODE, options: MODES, chosen: ACTIVE },
        }
    }

    /// The form again, with what was typed and what is wrong with it.
    pub fn wrong(mut self, typed: &EnrolInput, fault: EnrolFault) -> Self {
        self.name = self.name.value(&typed.name).unfocused();
        self.group = self.group.value(&typed.group);
        self.uses = self.uses.value(&typed.uses);
        self.hours = self.hours.value(&typed.hours);
        self.mode.chosen = if typed.mode() == Mode::Passive { PASSIVE } else { ACTIVE };
        match fault {
            EnrolFault::Name(why) => self.name = self.name.error(why),
            EnrolFault::Group(why) => self.group = self.group.error(why),
            EnrolFault::Uses(why) => self.uses = self.uses.error(why),
            EnrolFault::Hours(why) => self.hours = self.hours.error(why),
        }
        self
    }
}

impl Body for Enrol {
    fn title(&self) -> String {
        text::ADD_CLIENTS.to_owned()
    }
}

/// A command to run on an endpoint.
#[derive(Clone, PartialEq, Eq)]
pub struct Command {
    /// For which systems it is, such as `Linux, x86_64`.
    pub system: String,
    /// The lines, holding the token.
    pub lines: String,
}

/// An enrolment token that was just made.
#[derive(Clone)]
pub struct EnrolledFacts {
    /// What it is for.
    pub name: String,
    /// The group; may be empty.
    pub group: String,
    /// How its Jump Clients keep in touch.
    pub mode: Mode,
    /// How many it enrols.
    pub uses: u32,
    /// When it ends.
    pub expires: Timestamp,
    /// What to run, for each system.
    pub commands: Vec<Command>,
}

/// The command that enrols, shown this one time: the token in it is kept nowhere.
#[derive(Clone, PartialEq, Eq, Template)]
#[template(path = "enrolled.html")]
pub struct Enrolled {
    name: String,
    group: String,
    mode: &'static str,
    uses: String,
    expires: Moment,
    commands: Vec<Command>,
}

impl HtmlSafe for Enrolled {}

impl Enrolled {
    /// The page in words.
    pub fn new(facts: EnrolledFacts) -> Self {
        Self {
            name: facts.name,
            group: facts.group,
            mode: text::mode(facts.mode),
            uses: count(facts.uses as usize, "Jump Client", "Jump Clients"),
            expires: Moment::at(facts.expires),
            commands: facts.commands,
        }
    }
}

impl Body for Enrolled {
    fn title(&self) -> String {
        text::ENROLLED.to_owned()
    }
}

impl Samples for Enrol {
    fn samples() -> Vec<(&'static str, Self)> {
        let form = || Self::new(Csrf("5f1d".into()));
        let typed = EnrolInput {
            name: "The web servers".into(),
            group: "Web".into(),
            mode: "passive".into(),
            uses: "none".into(),
            hours: "24".into(),
            ..EnrolInput::default()
        };
        let fault = typed.uses().expect_err("“none” is no number");
        vec![("empty", form()), ("wrong", form().wrong(&typed, fault))]
    }
}

impl Samples for Enrolled {
    fn samples() -> Vec<(&'static str, Self)> {
        let command = |system: &str, program: &str| Command {
            system: system.into(),
            lines: format!(
                "{program} enrol \"https://support.example.com#5a5a5a5a.{}\"",
                "9f31c2d4".repeat(8)
            ),
        };
        let facts = EnrolledFacts {
            name: "The web servers".into(),
            group: "Web".into(),
            mode: Mode::Active,
            uses: 12,
            expires: samples::NOW.plus(Duration::from_hours(24)),
            commands: vec![
                command("Linux, x86_64", "sudo ./sluis-agent"),
                command("Windows, x86_64", ".\\sluis-agent.exe"),
            ],
        };
        let long = EnrolledFacts {
            name: samples::long_name(),
            group: String::new(),
            uses: 1,
            mode: Mode::Passive,
            ..facts.clone()
        };
        vec![("typical", Self::new(facts)), ("long", Self::new(long))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_is_a_number_in_its_range_or_a_fault_with_a_way_out() {
        let typed = |uses: &str, hours: &str| EnrolInput {
            uses: uses.into(),
            hours: hours.into(),
            ..EnrolInput::default()
        };
        assert_eq!(typed(" 12 ", "1").uses(), Ok(12));
        for bad in ["", "0", "-1", "1.5", "many", "99999999999"] {
            assert!(matches!(typed(bad, "1").uses(), Err(EnrolFault::Uses(_))), "{bad}");
        }
        assert_eq!(typed("1", "24").valid_for(), Ok(Duration::from_hours(24)));
        for bad in ["", "0", "8785", "-3", "soon"] {
            assert!(matches!(typed("1", bad).valid_for(), Err(EnrolFault::Hours(_))), "{bad}");
        }
    }
}
