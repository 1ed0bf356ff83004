use model::{PackageKind, Timestamp};

use crate::{
    Attempt, Effect, Event, Fault, Install, Limits, Now, Proof, Refused, Subject, Transition,
};

impl<P: Proof> Install<P> {
    /// Decides what one event means now.
    pub fn on(&self, event: Event<P>, now: &Now) -> Result<Transition<P>, Refused> {
        let next = self.next(event, now).ok_or(Refused { state: self.name() })?;
        // A tick or a restart that changes nothing is not a new state: what was begun goes on.
        let effects = if &next == self { vec![] } else { next.resume() };
        Ok(Transition { next, effects })
    }

    fn next(&self, event: Event<P>, now: &Now) -> Option<Self> {
        let Now { at, limits } = *now;
        Some(match (self, event) {
            (state, Event::Chosen { id, package, from }) if state.at_rest() => {
                Self::Planned { attempt: Attempt { id, from }, package }
            }
            (state, Event::GoBack { id, to, from }) if state.at_rest() && to != from => {
                Self::Expanded {
                    attempt: Attempt { id, from: Some(from) },
                    subject: Subject::Kept(to),
                    tries: 0,
                    until: at.plus(limits.prove),
                }
            }
            (Self::Planned { attempt, package }, Event::Confirmed) => {
                Self::Fetching { attempt: attempt.clone(), package: package.clone() }
            }
            (Self::Fetching { attempt, package }, Event::Fetched(proof))
                if proof.reference() == *package =>
            {
                Self::Verified { attempt: attempt.clone(), package: proof }
            }
            (Self::Verified { attempt, package }, Event::Unpacked) => {
                Self::Staged { attempt: attempt.clone(), package: package.clone() }
            }
            (Self::Staged { attempt, package }, Event::PreflightPassed) => {
                after_preflight(attempt, package)
            }
            (Self::Preflight { attempt, package }, Event::Expanded) => Self::Expanded {
                attempt: attempt.clone(),
                subject: Subject::Update(package.clone()),
                tries: 0,
                until: at.plus(limits.prove),
            },
            (Self::Expanded { attempt, subject, tries, .. }, Event::Proven) => {
                Self::SwitchingOver {
                    attempt: attempt.clone(),
                    subject: subject.clone(),
                    tries: *tries,
                    until: at.plus(limits.switch),
                }
            }
            (Self::SwitchingOver { attempt, subject, tries, .. }, Event::Switched) => Self::Trial {
                attempt: attempt.clone(),
                subject: subject.clone(),
                tries: *tries,
                until: at.plus(limits.trial),
            },
            (Self::Trial { attempt, subject, .. }, Event::TrialPassed) => {
                Self::Committed { attempt: attempt.clone(), package: subject.reference() }
            }
            (Self::Committed { attempt, package }, Event::Retired) => {
                Self::Contracted { attempt: attempt.clone(), package: package.clone() }
            }
            (Self::RollingBack { attempt, package, fault }, Event::Reverted) => Self::RolledBack {
                attempt: attempt.clone(),
                package: package.clone(),
                fault: fault.clone(),
            },
            (Self::RollingBack { package, fault, .. }, Event::RevertFailed(reason)) => {
                Self::Rescue { kind: package.kind, reason: format!("{}; {reason}", fault.text) }
            }
            (Self::Rescue { .. }, Event::Recovered) => Self::Idle,
            (state, Event::NoneHealthy { kind, reason }) if state.at_rest() => {
                Self::Rescue { kind, reason }
            }
            (state, Event::Failed(fault)) => state.failed(fault)?,
            (state, Event::Cancelled) => state.failed(Fault::host(
                "called off by an administrator",
                "Choose Install This Update to begin again.",
            ))?,
            (state, Event::Restarted { died }) => state.restarted(died, at, &limits),
            (state, Event::Tick) => state.ticked(at)?,
            _ => return None,
        })
    }

    /// Where a failure leads: away quietly before the preflight passed, back to the old version after it.
    fn failed(&self, fault: Fault) -> Option<Self> {
        let attempt = self.attempt()?.clone();
        let package = self.package()?;
        match self {
            Self::Planned { .. }
            | Self::Fetching { .. }
            | Self::Verified { .. }
            | Self::Staged { .. } => Some(Self::Abandoned { attempt, package, fault }),
            Self::Preflight { .. }
            | Self::Expanded { .. }
            | Self::SwitchingOver { .. }
            | Self::Trial { .. } => Some(Self::RollingBack { attempt, package, fault }),
            _ => None,
        }
    }

    /// A restart costs a try while a version is on trial, and nothing elsewhere.
    fn restarted(&self, died: Option<String>, at: Timestamp, limits: &Limits) -> Self {
        let mut next = self.clone();
        let (tries, until, length) = match &mut next {
            Self::Expanded { tries, until, .. } => (tries, until, limits.prove),
            Self::SwitchingOver { tries, until, .. } => (tries, until, limits.switch),
            Self::Trial { tries, until, .. } => (tries, until, limits.trial),
            _ => return next,
        };
        *tries += 1;
        *until = at.plus(length);
        let fault = match died {
            Some(how) => Some(format!("the new version died: {how}")),
            None if *tries > limits.tries => {
                Some(format!("the base was restarted {tries} times during the trial"))
            }
            None => None,
        };
        let Some(text) = fault else { return next };
        let fault = Fault::package(text, "Wait for a newer version; this one is not tried again.");
        self.failed(fault).unwrap_or(next)
    }

    /// Silence past the deadline is failure.
    fn ticked(&self, at: Timestamp) -> Option<Self> {
        if self.deadline()? > at {
            return Some(self.clone());
        }
        let what = match self {
            Self::Expanded { .. } => "it was not ready, healthy and serving a session in time",
            Self::SwitchingOver { .. } => "it did not take over in time",
            _ => "it did not keep serving with its clients back in time",
        };
        self.failed(Fault::package(
            format!("the deadline passed: {what}"),
            "Wait for a newer version; this one is not tried again.",
        ))
    }

    /// The same state as entered now, with the effects to perform: what the shell does after a restart.
    pub fn enter(self) -> Transition<P> {
        let effects: Vec<Effect<P>> = self.resume();
        Transition { next: self, effects }
    }
}

/// A license changes no software: what is left is to commit it.
fn after_preflight<P: Proof>(attempt: &Attempt, package: &P) -> Install<P> {
    let reference = package.reference();
    if reference.kind == PackageKind::License {
        Install::Committed { attempt: attempt.clone(), package: reference }
    } else {
        Install::Preflight { attempt: attempt.clone(), package: package.clone() }
    }
}
