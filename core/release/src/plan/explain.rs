use model::Release;

use super::Available;
use crate::manifest::{Floor, Manifest, Requirement};

/// One thing that keeps a package from being installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unmet<'a> {
    /// A version that must be passed through.
    Floor { floor: &'a Floor, have: Release },
    /// Another package is missing or too old.
    Requirement { rule: &'a Requirement, have: Option<Release> },
    /// Another package must not be in that version.
    Conflict { rule: &'a Requirement, have: Release },
    /// A package that runs needs a version that the new one is not.
    Breaks { rule: &'a Requirement, other: String, have: Release },
}

impl Unmet<'_> {
    /// In a few words.
    pub fn missing(&self) -> String {
        match self {
            Self::Floor { floor, .. } => format!("a step through {floor}"),
            Self::Requirement { rule, .. } => rule.to_string(),
            Self::Conflict { rule, .. } => format!("{} outside {}", rule.name, rule.range),
            Self::Breaks { rule, other, .. } => format!("{other} that goes without {rule}"),
        }
    }

    /// As the beginning of a sentence.
    pub fn because(&self, target: &Available) -> String {
        let (label, name) = (target.manifest.label(), &target.manifest.name);
        match self {
            Self::Floor { floor, have } => {
                format!("{label} must be reached through {floor}, and {name} {have} is installed")
            }
            Self::Requirement { rule, have: Some(have) } => {
                format!("{label} needs {rule}, and {} {have} is installed", rule.name)
            }
            Self::Requirement { rule, have: None } => {
                format!("{label} needs {rule}, and no {} is installed", rule.name)
            }
            Self::Conflict { rule, have } => {
                format!("{label} does not go with {rule}, and {} {have} is installed", rule.name)
            }
            Self::Breaks { rule, other, have } => {
                format!(
                    "{other} {have}, which is installed, needs {rule}, and {label} is outside of that"
                )
            }
        }
    }

    /// Name of the packages that could meet it.
    pub fn helper_name<'b>(&'b self, target: &'b Available) -> &'b str {
        match self {
            Self::Floor { .. } => &target.manifest.name,
            Self::Requirement { rule, .. } | Self::Conflict { rule, .. } => &rule.name,
            Self::Breaks { other, .. } => other,
        }
    }
}

impl Manifest {
    /// Name and release as people read them: `site 1.4.2 (rev 57)`.
    pub fn label(&self) -> String {
        format!("{} {}", self.name, self.release())
    }
}

/// The text with a capital letter.
pub(super) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
