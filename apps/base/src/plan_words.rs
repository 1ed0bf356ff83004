//! What is said of a plan: in the log, on the pages and to the command line.

use install::{PlanRun, PlanState, StepState};

use crate::installer::Walk;
use crate::log::Level;

/// What an attempt is about, and which step of a plan it is.
pub fn subject(course: &Walk) -> String {
    let Some(package) = course.install.package() else { return String::new() };
    let attempt = course.install.attempt().map(|attempt| attempt.id);
    let plan = course.plan.as_ref();
    let step = plan.and_then(|plan| Some((plan.step_of(attempt?)?, plan.steps.len())));
    match step {
        Some((step, of)) => format!("{package}, step {step} of {of}"),
        None => package.to_string(),
    }
}

/// Which step begins, as the beginning of a line.
pub fn step(plan: &PlanRun) -> String {
    let (step, of) = plan.place();
    format!("Step {step} of {of}. ")
}

/// How the plan ended; none while it goes on.
pub fn ended(plan: &PlanRun) -> Option<(Level, String)> {
    let (step, of) = plan.place();
    match &plan.state {
        PlanState::Running => None,
        PlanState::Finished => Some((
            Level::Info,
            format!("All {of} steps are installed: {}.", named(plan, StepState::Done)),
        )),
        PlanState::Stopped { .. } => {
            let tail = |names: String, words: &str| match names.as_str() {
                "" => names,
                _ => format!(" {names} {words}"),
            };
            let done = tail(named(plan, StepState::Done), "stays installed.");
            let waiting = tail(named(plan, StepState::Waiting), "was not begun.");
            let text = format!("The plan stopped at step {step} of {of}.{done}{waiting}");
            Some((Level::Error, text))
        }
    }
}

/// The packages of the steps that stand so.
fn named(plan: &PlanRun, wanted: StepState) -> String {
    let named = plan.standing().filter(|(_, state)| *state == wanted);
    named.map(|(package, _)| package.to_string()).collect::<Vec<_>>().join(", then ")
}

#[cfg(test)]
mod tests {
    use model::{AttemptId, PackageKind, Release};
    use release::{PackageRef, Sha256};

    use super::*;

    fn package(kind: PackageKind, minor: u64) -> PackageRef {
        let release = Release::new(1, minor, 0, 1);
        let (name, sha256) = (kind.to_string(), Sha256([0; 32]));
        PackageRef { kind, name, release, sha256, target: String::new() }
    }

    #[test]
    fn a_plan_that_stopped_says_what_stays_and_what_was_not_begun() {
        let steps = vec![
            package(PackageKind::Base, 1),
            package(PackageKind::Site, 1),
            package(PackageKind::Site, 2),
        ];
        let id = AttemptId::from_bytes([1; 16]);
        let mut plan = PlanRun::begin(steps, id).expect("three steps");
        assert_eq!((step(&plan).as_str(), ended(&plan)), ("Step 1 of 3. ", None));
        plan.attempts.push(AttemptId::from_bytes([2; 16]));
        plan.state = PlanState::Stopped { fault: install::Fault::host("the disk is full", "") };
        let (level, text) = ended(&plan).expect("it ended");
        assert_eq!(level, Level::Error);
        assert_eq!(
            text,
            "The plan stopped at step 2 of 3. base 1.1.0 (rev 1) stays installed. \
             site 1.2.0 (rev 1) was not begun."
        );
    }
}
