use model::AttemptId;

use crate::plan::After;
use crate::{Effect, Event, Install, Now, PackageRef, PlanRun, Proof, Refused};

/// Where the installer stands, with the plan that it walks or walked last: what the journal holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Course<P> {
    /// The installer.
    pub install: Install<P>,
    /// The plan; none when the last attempt was asked for alone.
    pub plan: Option<PlanRun>,
}

/// The next course, to be saved first, and then what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved<P> {
    /// What to save.
    pub next: Course<P>,
    /// What to do once it is saved.
    pub effects: Vec<Effect<P>>,
}

impl<P> From<Install<P>> for Course<P> {
    fn from(install: Install<P>) -> Self {
        Self { install, plan: None }
    }
}

impl<P: Proof> Course<P> {
    /// Whether an administrator may begin something: between two steps of a plan nobody may.
    pub fn at_rest(&self) -> bool {
        self.install.at_rest() && !self.walks()
    }

    /// Whether a plan is under way.
    pub fn walks(&self) -> bool {
        self.plan.as_ref().is_some_and(PlanRun::is_running)
    }

    /// Decides what one event means now.
    ///
    /// # Errors
    /// When it does not belong here; also when something is to begin in the middle of a plan.
    pub fn on(&self, event: Event<P>, now: &Now) -> Result<Moved<P>, Refused> {
        let begins = matches!(event, Event::Chosen { .. } | Event::GoBack { .. });
        if begins && self.walks() {
            return Err(Refused { state: self.install.name() });
        }
        let moved = self.install.on(event, now)?;
        let plan = if begins { None } else { self.plan.clone() };
        Ok(Moved { next: Self { install: moved.next, plan }, effects: moved.effects })
    }

    /// Begins a plan with its first step; `from` is what runs of that kind.
    ///
    /// # Errors
    /// When something is under way, or the plan has less than two steps or too many.
    pub fn begin(
        &self,
        steps: Vec<PackageRef>,
        id: AttemptId,
        from: Option<PackageRef>,
        now: &Now,
    ) -> Result<Moved<P>, Refused> {
        let refused = || Refused { state: self.install.name() };
        let package = steps.first().cloned().ok_or_else(refused)?;
        let plan = PlanRun::begin(steps, id).ok_or_else(refused)?;
        let begun = self.on(Event::Chosen { id, package, from }, now)?;
        Ok(Moved { next: Self { plan: Some(plan), ..begun.next }, effects: begun.effects })
    }

    /// The package whose turn it is, when a step of the plan was committed and another one follows.
    pub fn next_step(&self) -> Option<PackageRef> {
        match self.after()? {
            After::Next(package) => Some(package),
            After::Over(_) => None,
        }
    }

    /// Goes on in the plan once the installer is at rest; none when there is nothing to go on with.
    ///
    /// `id` is that of the attempt that may begin, and `from` what runs of the kind of [`Course::next_step`].
    /// It depends on what is saved alone, so after a crash it decides the same.
    pub fn advance(&self, id: AttemptId, from: Option<PackageRef>, now: &Now) -> Option<Moved<P>> {
        let after = self.after()?;
        let mut plan = self.plan.clone()?;
        match after {
            After::Next(package) => {
                plan.attempts.push(id);
                let begun = self.install.on(Event::Chosen { id, package, from }, now).ok()?;
                let next = Self { install: begun.next, plan: Some(plan) };
                Some(Moved { next, effects: begun.effects })
            }
            After::Over(state) => {
                plan.state = state;
                let next = Self { install: self.install.clone(), plan: Some(plan) };
                Some(Moved { next, effects: vec![] })
            }
        }
    }

    fn after(&self) -> Option<After> {
        let plan = self.plan.as_ref().filter(|plan| plan.is_running())?;
        self.install.at_rest().then(|| plan.after(&self.install))
    }

    /// What is written to disk: the same with references in the place of proofs.
    pub fn saved(&self) -> Course<PackageRef> {
        Course { install: self.install.saved(), plan: self.plan.clone() }
    }
}
