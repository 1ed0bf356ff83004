use model::AttemptId;
use serde::{Deserialize, Serialize};

use crate::{Fault, Install, PackageRef, Proof};

/// The most steps of one plan; an update server plans fewer.
pub const PLAN_STEPS_MAX: usize = 64;

/// Several packages that one wish of an administrator installs in order, each by an attempt of its own.
///
/// It is saved in the same record as the installer's state, so the two never disagree.
/// A step that was committed stays when a later one fails, and keeps its own way back.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PlanRun {
    /// What is installed, first to last.
    pub steps: Vec<PackageRef>,
    /// The attempts begun so far, one a step.
    /// INVARIANT: at least one, and never more than there are steps.
    pub attempts: Vec<AttemptId>,
    /// Whether it goes on.
    pub state: PlanState,
}

/// Whether a plan goes on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "plan", rename_all = "kebab-case")]
pub enum PlanState {
    /// The step of its last attempt is under way, or has just ended.
    Running,
    /// Every step is committed.
    Finished,
    /// The step of its last attempt failed; what comes after it is not begun.
    Stopped {
        /// Why.
        fault: Fault,
    },
}

/// How one step of a plan stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepState {
    /// It is committed.
    Done,
    /// It is under way.
    Running,
    /// It failed, and the plan ended with it.
    Failed,
    /// Its turn has not come, or never comes because an earlier one failed.
    Waiting,
}

impl PlanRun {
    /// A plan whose first step is begun as `first`; none for less than two steps or too many.
    pub fn begin(steps: Vec<PackageRef>, first: AttemptId) -> Option<Self> {
        let good = (2..=PLAN_STEPS_MAX).contains(&steps.len());
        good.then(|| Self { steps, attempts: vec![first], state: PlanState::Running })
    }

    /// Whether it goes on.
    pub fn is_running(&self) -> bool {
        self.state == PlanState::Running
    }

    /// The step that was begun last, from 1, and how many there are.
    pub fn place(&self) -> (usize, usize) {
        (self.attempts.len(), self.steps.len())
    }

    /// Whether it began that attempt.
    pub fn has(&self, attempt: AttemptId) -> bool {
        self.attempts.contains(&attempt)
    }

    /// The number of the step, from 1, that the attempt is for.
    pub fn step_of(&self, attempt: AttemptId) -> Option<usize> {
        self.attempts.iter().position(|begun| *begun == attempt).map(|at| at + 1)
    }

    /// Each step with how it stands, in order.
    pub fn standing(&self) -> impl Iterator<Item = (&PackageRef, StepState)> {
        let last = self.attempts.len().saturating_sub(1);
        let here = match self.state {
            PlanState::Running => StepState::Running,
            PlanState::Finished => StepState::Done,
            PlanState::Stopped { .. } => StepState::Failed,
        };
        self.steps.iter().enumerate().map(move |(at, step)| match at.cmp(&last) {
            std::cmp::Ordering::Less => (step, StepState::Done),
            std::cmp::Ordering::Equal => (step, here),
            std::cmp::Ordering::Greater => (step, StepState::Waiting),
        })
    }

    /// What the plan makes of an installer at rest.
    pub(crate) fn after<P: Proof>(&self, install: &Install<P>) -> After {
        let ours = install.attempt().map(|attempt| attempt.id);
        let ours = ours.is_some() && ours == self.attempts.last().copied();
        match install {
            Install::Contracted { .. } if ours => match self.steps.get(self.attempts.len()) {
                Some(next) => After::Next(next.clone()),
                None => After::Over(PlanState::Finished),
            },
            Install::Abandoned { fault, .. } | Install::RolledBack { fault, .. } if ours => {
                After::Over(PlanState::Stopped { fault: fault.clone() })
            }
            Install::Rescue { reason, .. } => {
                let fault = Fault::host(
                    reason.clone(),
                    "Roll back under Updates, or install a version that works.",
                );
                After::Over(PlanState::Stopped { fault })
            }
            _ => {
                let fault = Fault::host(
                    "the journal does not say how the step ended",
                    "Check for updates and install what is still offered.",
                );
                After::Over(PlanState::Stopped { fault })
            }
        }
    }
}

/// What follows when a step has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum After {
    /// The next step begins.
    Next(PackageRef),
    /// The plan has ended.
    Over(PlanState),
}
