use model::{AttemptId, PackageKind, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Effect, PackageRef, Proof};

/// One try at installing one package or at going back to one kept slot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attempt {
    /// Its id, as the log and the update server know it.
    pub id: AttemptId,
    /// What ran when it began and what it falls back to; `None` on a first installation.
    pub from: Option<PackageRef>,
}

/// What an attempt brings into service.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject<P> {
    /// A package that was verified against its signatures.
    Update(P),
    /// A slot that served before; its files are compared with its manifest before they run.
    Kept(PackageRef),
}

impl<P: Proof> Subject<P> {
    /// The package that it is.
    pub fn reference(&self) -> PackageRef {
        match self {
            Self::Update(proof) => proof.reference(),
            Self::Kept(package) => package.clone(),
        }
    }
}

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Blame {
    /// The new version: it is not tried again by itself.
    Package,
    /// The machine, the network or an administrator's wish: trying again may help.
    Host,
}

/// Why an attempt did not go on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fault {
    /// Whose fault it is.
    pub blame: Blame,
    /// What happened, for a person: the thing and the reason.
    pub text: String,
    /// The way out, for a person.
    pub remedy: String,
}

impl Fault {
    /// A fault of the new version.
    pub fn package(text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { blame: Blame::Package, text: text.into(), remedy: remedy.into() }
    }

    /// A fault of the machine around it.
    pub fn host(text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { blame: Blame::Host, text: text.into(), remedy: remedy.into() }
    }
}

/// Where the installer stands. Each state holds exactly what that state needs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "each variant says it; the fields mean what their types say")]
pub enum Install<P> {
    /// Nothing was ever installed by this installer, or a rescue is over.
    Idle,
    /// An administrator chose a package; the update server and the signed metadata are asked whether both name it.
    Planned { attempt: Attempt, package: PackageRef },
    /// Both name it; its bytes are being fetched.
    Fetching { attempt: Attempt, package: PackageRef },
    /// Its bytes are here and are what was signed; they are being unpacked.
    Verified { attempt: Attempt, package: P },
    /// It stands in its slot; the preflight looks at the machine.
    Staged { attempt: Attempt, package: P },
    /// The machine can take it; the database is being expanded.
    Preflight { attempt: Attempt, package: P },
    /// The new version can start; it is started beside the old one and has to prove itself by `until`.
    Expanded { attempt: Attempt, subject: Subject<P>, tries: u32, until: Timestamp },
    /// It is proven; it takes over, and the old version is kept on standby.
    SwitchingOver { attempt: Attempt, subject: Subject<P>, tries: u32, until: Timestamp },
    /// It serves; it has to keep doing so, with the clients back, by `until`.
    Trial { attempt: Attempt, subject: Subject<P>, tries: u32, until: Timestamp },
    /// It is the version from now on; pointers and ledger follow, and the old one is let go.
    Committed { attempt: Attempt, package: PackageRef },
    /// At rest: the last attempt succeeded.
    Contracted { attempt: Attempt, package: PackageRef },
    /// At rest: the last attempt ended before it touched anything that runs.
    Abandoned { attempt: Attempt, package: PackageRef, fault: Fault },
    /// The old version takes over again.
    RollingBack { attempt: Attempt, package: PackageRef, fault: Fault },
    /// At rest: the old version serves; the new one is pinned bad when the fault was its own.
    RolledBack { attempt: Attempt, package: PackageRef, fault: Fault },
    /// No version is healthy: nothing is switched any more; the base stays up and says so.
    Rescue { kind: PackageKind, reason: String },
}

impl<P: Proof> Install<P> {
    /// Lists the effects that a state is waiting on, for its first entry and after every restart.
    pub fn resume(&self) -> Vec<Effect<P>> {
        match self {
            Self::Idle | Self::Contracted { .. } | Self::Abandoned { .. } | Self::Rescue { .. } => {
                vec![]
            }
            Self::Planned { package, .. } => vec![Effect::Confirm(package.clone())],
            Self::Fetching { package, .. } => vec![Effect::Fetch(package.clone())],
            Self::Verified { package, .. } => vec![Effect::Unpack(package.clone())],
            Self::Staged { attempt, package } => {
                vec![Effect::Preflight { package: package.clone(), from: attempt.from.clone() }]
            }
            Self::Preflight { package, .. } => vec![Effect::Expand(package.clone())],
            Self::Expanded { subject, .. } => vec![Effect::Prove(subject.clone())],
            Self::SwitchingOver { attempt, subject, .. } => {
                vec![Effect::SwitchOver { subject: subject.clone(), from: attempt.from.clone() }]
            }
            Self::Trial { attempt, subject, .. } => {
                vec![Effect::Watch { subject: subject.clone(), from: attempt.from.clone() }]
            }
            Self::Committed { attempt, package } => {
                let from = attempt.from.clone();
                vec![
                    Effect::Point { current: package.clone(), previous: from.clone() },
                    Effect::RecordCommit { package: package.clone() },
                    Effect::Retire { package: package.clone(), from },
                ]
            }
            Self::RollingBack { attempt, package, .. } => {
                vec![Effect::Revert { failed: package.clone(), to: attempt.from.clone() }]
            }
            Self::RolledBack { package, fault, .. } => match fault.blame {
                Blame::Package => {
                    vec![Effect::Pin { package: package.clone(), reason: fault.text.clone() }]
                }
                Blame::Host => vec![],
            },
        }
    }

    /// Says when the shell should send the next [`crate::Event::Tick`].
    pub fn deadline(&self) -> Option<Timestamp> {
        match self {
            Self::Expanded { until, .. }
            | Self::SwitchingOver { until, .. }
            | Self::Trial { until, .. } => Some(*until),
            _ => None,
        }
    }

    /// Whether a new attempt may begin.
    pub fn at_rest(&self) -> bool {
        matches!(
            self,
            Self::Idle
                | Self::Contracted { .. }
                | Self::Abandoned { .. }
                | Self::RolledBack { .. }
                | Self::Rescue { .. }
        )
    }

    /// The attempt under way or the last one.
    pub fn attempt(&self) -> Option<&Attempt> {
        match self {
            Self::Idle | Self::Rescue { .. } => None,
            Self::Planned { attempt, .. }
            | Self::Fetching { attempt, .. }
            | Self::Verified { attempt, .. }
            | Self::Staged { attempt, .. }
            | Self::Preflight { attempt, .. }
            | Self::Expanded { attempt, .. }
            | Self::SwitchingOver { attempt, .. }
            | Self::Trial { attempt, .. }
            | Self::Committed { attempt, .. }
            | Self::Contracted { attempt, .. }
            | Self::Abandoned { attempt, .. }
            | Self::RollingBack { attempt, .. }
            | Self::RolledBack { attempt, .. } => Some(attempt),
        }
    }

    /// The package that the attempt is about.
    pub fn package(&self) -> Option<PackageRef> {
        match self {
            Self::Idle | Self::Rescue { .. } => None,
            Self::Planned { package, .. }
            | Self::Fetching { package, .. }
            | Self::Committed { package, .. }
            | Self::Contracted { package, .. }
            | Self::Abandoned { package, .. }
            | Self::RollingBack { package, .. }
            | Self::RolledBack { package, .. } => Some(package.clone()),
            Self::Verified { package, .. }
            | Self::Staged { package, .. }
            | Self::Preflight { package, .. } => Some(package.reference()),
            Self::Expanded { subject, .. }
            | Self::SwitchingOver { subject, .. }
            | Self::Trial { subject, .. } => Some(subject.reference()),
        }
    }

    /// The slot that must stay startable whatever happens in this state.
    pub fn safe(&self) -> Option<&PackageRef> {
        match self {
            Self::Committed { package, .. } | Self::Contracted { package, .. } => Some(package),
            other => other.attempt().and_then(|attempt| attempt.from.as_ref()),
        }
    }

    /// The state's name, as the log and the pages say it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Planned { .. } => "planned",
            Self::Fetching { .. } => "fetching",
            Self::Verified { .. } => "verified",
            Self::Staged { .. } => "staged",
            Self::Preflight { .. } => "preflight",
            Self::Expanded { .. } => "expanded",
            Self::SwitchingOver { .. } => "switching-over",
            Self::Trial { .. } => "trial",
            Self::Committed { .. } => "committed",
            Self::Contracted { .. } => "contracted",
            Self::Abandoned { .. } => "abandoned",
            Self::RollingBack { .. } => "rolling-back",
            Self::RolledBack { .. } => "rolled-back",
            Self::Rescue { .. } => "rescue",
        }
    }
}
