//! What an administrator's wish leads to: one package, or several in order.

use axum::http::StatusCode;
use install::{Event, PackageRef};
use model::{AttemptId, PackageKind};
use release::Requirement;
use release::plan::{Card, Status, Step};

use crate::api::Problem;
use crate::base::{Base, Shared};
use crate::installer::{attempt_id, count_attempt};
use crate::last_check::Checked;

/// What is wished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// That one package, with what it needs first.
    Package(String),
    /// The newest of everything.
    Newest,
}

/// Packages to install, first to last.
#[derive(Debug, Clone)]
pub struct Way {
    /// Their cards, as the last check showed them. INVARIANT: at least one.
    pub cards: Vec<Card>,
    /// What is done in each step and why.
    pub texts: Vec<String>,
}

impl Way {
    /// The way by what the last check said.
    ///
    /// # Errors
    /// When it is not offered, runs, or cannot be had.
    pub fn find(checked: &Checked, wish: &Wish) -> Result<Self, Problem> {
        let steps = match wish {
            Wish::Package(target) => {
                let card = card(checked, target).ok_or_else(|| {
                    Problem::new(
                        StatusCode::NOT_FOUND,
                        format!("“{target}” is not offered to this appliance."),
                        "Check for updates and choose from what is offered.",
                    )
                })?;
                if card.status == Status::Installable {
                    let texts = vec![format!("Install {} {}.", card.name, card.release())];
                    return Ok(Self { cards: vec![card.clone()], texts });
                }
                if card.way.is_empty() {
                    return Err(not_installable(card));
                }
                &card.way
            }
            Wish::Newest if checked.plan.is_empty() => {
                return Err(Problem::conflict(
                    "There is nothing newer to install.",
                    "Check for updates again later.",
                ));
            }
            Wish::Newest => &checked.plan,
        };
        Self::along(checked, steps)
    }

    fn along(checked: &Checked, steps: &[Step]) -> Result<Self, Problem> {
        let cards: Option<Vec<Card>> =
            steps.iter().map(|step| card(checked, &step.target).cloned()).collect();
        let cards = cards.filter(|cards| !cards.is_empty()).ok_or_else(stale)?;
        match &cards[0] {
            first if first.status == Status::Installable => {
                Ok(Self { cards, texts: steps.iter().map(|step| step.text.clone()).collect() })
            }
            first if first.status == Status::Installed => Err(stale()),
            first => Err(not_installable(first)),
        }
    }

    /// The target of each step.
    pub fn targets(&self) -> impl Iterator<Item = &str> {
        self.cards.iter().map(|card| card.target.as_str())
    }

    /// Refuses when somebody agreed to other steps than these.
    ///
    /// # Errors
    /// When the steps differ.
    pub fn agreed(&self, steps: &[String]) -> Result<(), Problem> {
        if self.targets().eq(steps.iter().map(String::as_str)) {
            return Ok(());
        }
        Err(Problem::conflict(
            "What has to be installed for it is not what you were shown: a check came in between.",
            "Look at the steps again, and confirm those.",
        ))
    }

    /// Begins to install it; answers the first attempt.
    ///
    /// # Errors
    /// When something is under way, or the journal cannot be written.
    pub async fn begin(self, base: &Shared) -> Result<AttemptId, Problem> {
        let id = attempt_id();
        let mut packages: Vec<PackageRef> = self.cards.iter().map(package).collect();
        let begun = if packages.len() == 1 {
            let package = packages.remove(0);
            let from = base.installed(package.kind);
            base.installer.ask(Event::Chosen { id, package, from }).await
        } else {
            base.installer.ask_plan(packages, id).await
        };
        begun.map_err(|_| refused(base))?;
        count_attempt(base);
        Ok(id)
    }
}

/// What runs of that kind and the kept version to go back to: `(to, from)`.
///
/// # Errors
/// When nothing is kept, or what else runs does not go with the kept version.
pub fn back(base: &Base, kind: PackageKind) -> Result<(PackageRef, PackageRef), Problem> {
    if !matches!(kind, PackageKind::Base | PackageKind::Site) {
        return Err(Problem::conflict(
            "Only base and site software is rolled back.",
            "Install the license that you want under Updates.",
        ));
    }
    let (Some(to), Some(from)) = (base.kept(kind), base.installed(kind)) else {
        return Err(Problem::conflict(
            format!("There is no kept version of the {kind} to go back to."),
            "Install another version from Updates.",
        ));
    };
    let others = [PackageKind::Base, PackageKind::Site].into_iter().filter(|other| *other != kind);
    for other in others.filter_map(|other| base.installed(other)) {
        // A slot that cannot be read is found when it is started.
        let rules = |package: &PackageRef| base.slots.manifest(package.sha256).map(|m| m.requires);
        let (theirs, ours) = (rules(&other).unwrap_or_default(), rules(&to).unwrap_or_default());
        let unmet = |rule: &&Requirement, of: &PackageRef| {
            rule.name == of.name && !rule.range.contains(&of.release.version)
        };
        if let Some(rule) = theirs.iter().find(|rule| unmet(rule, &to)) {
            return Err(Problem::conflict(
                format!("{other} needs {rule}, and the kept version is {to}."),
                format!("Roll back the {} first.", other.kind),
            ));
        }
        if let Some(rule) = ours.iter().find(|rule| unmet(rule, &other)) {
            return Err(Problem::conflict(
                format!("{to} needs {rule}, and {other} runs."),
                format!("Roll back the {} first.", other.kind),
            ));
        }
    }
    Ok((to, from))
}

/// Why the installer takes nothing now.
pub fn refused(base: &Shared) -> Problem {
    match &*base.installer.state() {
        // At rest and still refused: there is no journal to write the attempt into.
        install::Install::Rescue { reason, .. } => Problem::conflict(
            reason.clone(),
            "Stop the appliance, put this right, and start it again.",
        ),
        _ => busy(),
    }
}

/// Something is under way.
pub fn busy() -> Problem {
    Problem::conflict("Another install is running.", "Wait until it has ended, then try again.")
}

fn stale() -> Problem {
    Problem::conflict(
        "The last check does not know all of the steps any more.",
        "Check for updates again and choose from what is offered.",
    )
}

fn card<'a>(checked: &'a Checked, target: &str) -> Option<&'a Card> {
    checked.packages.iter().find(|card| card.target == target)
}

fn package(card: &Card) -> PackageRef {
    PackageRef {
        kind: card.kind,
        name: card.name.clone(),
        release: card.release(),
        sha256: card.sha256,
        target: card.target.clone(),
    }
}

fn not_installable(card: &Card) -> Problem {
    match (&card.status, &card.blocked) {
        (Status::Installed, _) => {
            Problem::conflict(format!("{} {} is installed.", card.name, card.release()), "")
        }
        (_, Some(blocked)) => {
            let first = blocked.by.as_ref().map(|by| format!("Install {by} first."));
            Problem::conflict(blocked.text.clone(), first.unwrap_or_default())
        }
        _ => Problem::conflict("It cannot be installed.", "Check for updates again."),
    }
}
