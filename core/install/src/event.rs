use std::time::Duration;

use model::{AttemptId, PackageKind, Timestamp};

use crate::{Fault, Install, PackageRef, Subject};

/// How long a new version has to prove itself, and how often a restart of the base may interrupt that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From its start to the end of its checks beside the old version.
    pub prove: Duration,
    /// To take over.
    pub switch: Duration,
    /// From taking over to the commit.
    pub trial: Duration,
    /// Restarts of the base while the new version is on trial; one more means rollback.
    pub tries: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            prove: Duration::from_secs(45),
            switch: Duration::from_secs(15),
            trial: Duration::from_mins(1),
            tries: 3,
        }
    }
}

/// The moment of an event, and the limits that hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// When it happened.
    pub at: Timestamp,
    /// The limits that hold.
    pub limits: Limits,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant says it; the fields mean what their types say")]
pub enum Event<P> {
    /// An administrator chose a package.
    Chosen { id: AttemptId, package: PackageRef, from: Option<PackageRef> },
    /// An administrator wants the kept slot back.
    GoBack { id: AttemptId, to: PackageRef, from: PackageRef },
    /// Offer and signed metadata both name the package.
    Confirmed,
    /// Its bytes are here and verified.
    Fetched(P),
    /// It stands in its slot, on stable storage.
    Unpacked,
    /// The machine can take it.
    PreflightPassed,
    /// The database holds what it needs.
    Expanded,
    /// It runs beside the old version, healthy, and served a synthetic session.
    Proven,
    /// It serves; the old version is on standby.
    Switched,
    /// It kept serving, and the clients are back.
    TrialPassed,
    /// Pointers and ledger say so, and the old version was told to leave.
    Retired,
    /// The old version serves again.
    Reverted,
    /// The old version does not serve either.
    RevertFailed(String),
    /// What was under way cannot be done.
    Failed(Fault),
    /// An administrator called it off.
    Cancelled,
    /// The base came back; `died` says how the version on trial ended when it ended by itself.
    Restarted { died: Option<String> },
    /// A version that serves keeps failing, outside any attempt.
    NoneHealthy { kind: PackageKind, reason: String },
    /// A version serves again.
    Recovered,
    /// The moment of [`Install::deadline`] came.
    Tick,
}

/// What the shell must do. An effect names the wish; how it is done belongs to the host.
///
/// Every effect may be performed again after a crash.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant says it; the fields mean what their types say")]
pub enum Effect<P> {
    /// Ask the update server and the signed metadata; answer [`Event::Confirmed`].
    Confirm(PackageRef),
    /// Fetch and verify the bytes; answer [`Event::Fetched`].
    Fetch(PackageRef),
    /// Write its slot; answer [`Event::Unpacked`].
    Unpack(P),
    /// Look at disk, clock and requirements; answer [`Event::PreflightPassed`].
    Preflight { package: P, from: Option<PackageRef> },
    /// Expand the database; answer [`Event::Expanded`].
    Expand(P),
    /// Start it beside the old version and check it; answer [`Event::Proven`].
    Prove(Subject<P>),
    /// Let it take over, and keep the old version on standby; answer [`Event::Switched`].
    SwitchOver { subject: Subject<P>, from: Option<PackageRef> },
    /// Watch it serve; answer [`Event::TrialPassed`].
    Watch { subject: Subject<P>, from: Option<PackageRef> },
    /// Point `current` and `previous` at these slots.
    Point { current: PackageRef, previous: Option<PackageRef> },
    /// Write the commit into the ledger.
    RecordCommit { package: PackageRef },
    /// Tell the old version to leave when its last session has; answer [`Event::Retired`].
    Retire { package: PackageRef, from: Option<PackageRef> },
    /// Let the old version take over again, and end the new one; answer [`Event::Reverted`].
    Revert { failed: PackageRef, to: Option<PackageRef> },
    /// Write into the ledger that this package is bad.
    Pin { package: PackageRef, reason: String },
}

/// The next state, to be saved first, and then what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition<P> {
    /// The state to save.
    pub next: Install<P>,
    /// What to do once it is saved.
    pub effects: Vec<Effect<P>>,
}

/// The event does not belong in this state. The state is unchanged; the shell logs and goes on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the installer is {state}, where this does not belong")]
pub struct Refused {
    /// The name of the state.
    pub state: &'static str,
}
