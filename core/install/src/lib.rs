//! One appliance's installer as a pure state machine, with its journal's record format.
//!
//! ```text
//!  Idle ─▶ Planned ─▶ Fetching ─▶ Verified ─▶ Staged ─▶ Preflight ─▶ Expanded ─▶ SwitchingOver ─▶ Trial ─▶ Committed ─▶ Contracted
//!             │          │           │          │           │           │              │            │
//!             └──────────┴───────────┴──────────┘           └───────────┴──────┬───────┴────────────┘
//!                           ▼                                                  ▼
//!                       Abandoned                                         RollingBack ─▶ RolledBack (pinned bad)
//!                                                                              └───────▶ Rescue ─▶ Idle
//! ```
//!
//! An administrator's way back to a kept slot enters at `Expanded`: the kept slot was proven once and its
//! schema is there already, so nothing is fetched and nothing migrates.
//!
//! Each state says what has been reached; [`Install::resume`] lists what must be done to leave it.
//! The program around it (`apps/base`) feeds an [`Event`] in, appends [`Transition::next`] to the journal,
//! and only then performs [`Transition::effects`].
//! After a crash it reads the last [`Record`], lets [`recover`] compare it with what is on disk, and performs
//! [`Install::resume`]: every effect may be repeated.
//!
//! Several packages that one wish installs in order are a [`PlanRun`]; a [`Course`] is the installer with its plan.
//! When a step is committed, [`Course::advance`] begins the next one, and when one fails, the plan stops there.
//!
//! A state holds proof `P` that the package was verified. Only [`PackageRef`]s are saved; whoever loads a state
//! verifies again with [`Install::prove`].

mod course;
mod crc;
mod event;
mod ledger;
mod machine;
mod package;
mod plan;
mod record;
mod recover;
mod saved;
mod state;

pub use course::{Course, Moved};
pub use event::{Effect, Event, Limits, Now, Refused, Transition};
pub use ledger::{Bad, Floor, Ledger};
pub use package::{PackageRef, Proof};
pub use plan::{PLAN_STEPS_MAX, PlanRun, PlanState, StepState};
pub use record::{JournalDamaged, Read, Record, read, write};
pub use recover::{Disk, Kept, recover};
pub use state::{Attempt, Blame, Fault, Install, Subject};
