use model::Timestamp;
use ui_kit::Samples;

use super::{PlanFacts, Progress, ProgressFacts, StepState};
use crate::updates::{Level, samples};

type Entries = [(Timestamp, String, Level, String)];

type Named = (&'static str, Progress);

impl Samples for Progress {
    fn samples() -> Vec<Named> {
        let entries: Vec<_> = samples::log()
            .into_iter()
            .map(|entry| (entry.at, entry.phase, entry.level, entry.text))
            .collect();
        let mut all = vec![("nothing", Self::nothing())];
        all.extend(under_way(&entries));
        all.extend(over(&entries));
        all.extend(of_a_plan(&entries));
        all
    }
}

fn fetching(entries: &Entries) -> ProgressFacts<'_> {
    ProgressFacts {
        plan: None,
        subject: "Install site 1.1.0 (rev 2)",
        phase: "fetching",
        percent: 42,
        text: "Downloading site-1.1.0-r2-x86_64.pkg: 12 MB of 28 MB",
        next: "Then the package is verified against its signatures and unpacked.",
        done: false,
        entries: &entries[..2],
    }
}

fn installed(entries: &Entries) -> ProgressFacts<'_> {
    ProgressFacts {
        phase: "contracted",
        percent: 100,
        text: "",
        next: "",
        done: true,
        entries,
        ..fetching(entries)
    }
}

fn rolled_back(entries: &Entries) -> ProgressFacts<'_> {
    ProgressFacts {
        phase: "rolled-back",
        text: "site 1.1.0 (rev 2) was put back: its synthetic session got no answer within 10 s. No session was lost.",
        next: "This version is not tried again by itself. Install a newer one when it is available.",
        ..installed(entries)
    }
}

fn under_way(entries: &Entries) -> Vec<Named> {
    let switching = ProgressFacts {
        phase: "switching-over",
        percent: 80,
        text: "",
        next: "",
        entries: &entries[..4],
        ..fetching(entries)
    };
    let back = ProgressFacts {
        phase: "rolling-back",
        percent: 90,
        text: "Going back to site 1.0.0 (rev 1)",
        ..switching.clone()
    };
    let went_back = ProgressFacts {
        subject: "site 1.0.0 (rev 1)",
        phase: "trial",
        percent: 90,
        text: "site 1.0.0 (rev 1) serves; watching it.",
        entries: &entries[entries.len() - 4..entries.len() - 1],
        ..switching.clone()
    };
    let later = ProgressFacts { phase: "phase-of-a-later-release", text: "", ..fetching(entries) };
    vec![
        ("fetching", Progress::new(&fetching(entries))),
        ("switching-over", Progress::new(&switching)),
        ("rolling-back", Progress::new(&back)),
        ("back-on-request", Progress::new(&went_back)),
        ("later", Progress::new(&later)),
    ]
}

fn over(entries: &Entries) -> Vec<Named> {
    let abandoned = ProgressFacts {
        phase: "abandoned",
        text: "The download of site-1.1.0-r2-x86_64.pkg stopped: no byte came for 60 s.",
        next: "Check the way to the update server and install again; what is here already is kept.",
        ..installed(entries)
    };
    let rescue = ProgressFacts {
        phase: "rescue",
        text: "Neither version starts: <status 101>.",
        next: "",
        ..installed(entries)
    };
    vec![
        ("installed", Progress::new(&installed(entries))),
        ("rolled-back", Progress::new(&rolled_back(entries))),
        ("abandoned", Progress::new(&abandoned)),
        ("rescue", Progress::new(&rescue)),
    ]
}

fn of_a_plan(entries: &Entries) -> Vec<Named> {
    use StepState::{Done, Failed, Running, Waiting};
    let midway = ProgressFacts {
        plan: Some(&plan([Done, Running, Waiting])),
        subject: "site 1.1.0 (rev 2), step 2 of 3",
        ..fetching(entries)
    };
    let midway = Progress::new(&midway);
    let stopped = ProgressFacts {
        plan: Some(&plan([Done, Failed, Waiting])),
        subject: "site 1.1.0 (rev 2), step 2 of 3",
        text: "site 1.1.0 (rev 2) was put back: its synthetic session got no answer within 10 s. \
               The plan stopped at step 2 of 3. base 1.2.0 (rev 2) stays installed. \
               site 1.2.0 (rev 2) was not begun.",
        ..rolled_back(entries)
    };
    let stopped = Progress::new(&stopped);
    let finished = ProgressFacts {
        plan: Some(&plan([Done; 3])),
        subject: "site 1.2.0 (rev 2), step 3 of 3",
        ..installed(entries)
    };
    let finished = Progress::new(&finished);
    vec![("step", midway), ("plan-stopped", stopped), ("plan-finished", finished)]
}

fn plan(states: [StepState; 3]) -> PlanFacts {
    let names = ["base 1.2.0 (rev 2)", "site 1.1.0 (rev 2)", "site 1.2.0 (rev 2)"];
    let step = states.iter().rposition(|state| *state != StepState::Waiting);
    let steps = names.map(str::to_owned).into_iter().zip(states).collect();
    PlanFacts { step: step.unwrap_or_default() + 1, steps }
}
