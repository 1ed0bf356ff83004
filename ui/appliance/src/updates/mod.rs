//! Updates: what is available, what an install would do, how far it is, and what became of it.

mod available;
mod card;
mod confirm;
mod impact;
mod log;
mod progress;
mod samples;

pub use available::{Installed, PlanStep, Updates, UpdatesFacts};
pub use card::{Blocked, Card, CardFacts, CardStatus};
pub use confirm::{InstallConfirm, InstallInput, RollBackConfirm, RollBackInput, Wished};
pub use impact::{Estimate, Finding, FindingLevel, Impact, ImpactFacts, RunningSession};
pub use log::{Level, Log, LogEntry, LogLine};
pub use progress::{PlanFacts, Progress, ProgressFacts, StepState};
