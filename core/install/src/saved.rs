use std::convert::Infallible;

use crate::{Fault, Install, PackageRef, Proof, Subject};

impl<P: Proof> Subject<P> {
    fn map<Q, E>(&self, f: impl FnOnce(&P) -> Result<Q, E>) -> Result<Subject<Q>, E> {
        Ok(match self {
            Self::Update(proof) => Subject::Update(f(proof)?),
            Self::Kept(package) => Subject::Kept(package.clone()),
        })
    }
}

impl<P: Proof> Install<P> {
    /// What is written to disk: the same state with references in the place of proofs.
    pub fn saved(&self) -> Install<PackageRef> {
        let Ok(saved) = self.map(|proof| Ok::<_, Infallible>(proof.reference()));
        saved
    }

    /// Turns a state read from disk into one that may be acted on, verifying its package again.
    ///
    /// A package that no longer verifies ends the attempt: abandoned before the preflight passed, rolled back after it.
    pub fn prove<Q: Proof>(&self, verify: impl FnMut(&P) -> Result<Q, Fault>) -> Install<Q> {
        match self.map(verify) {
            Ok(state) => state,
            Err(fault) => self.unproven(fault),
        }
    }

    fn unproven<Q: Proof>(&self, fault: Fault) -> Install<Q> {
        let (Some(attempt), Some(package)) = (self.attempt().cloned(), self.package()) else {
            return Install::Idle;
        };
        match self {
            Self::Verified { .. } | Self::Staged { .. } => {
                Install::Abandoned { attempt, package, fault }
            }
            _ => Install::RollingBack { attempt, package, fault },
        }
    }

    fn map<Q: Proof, E>(&self, mut f: impl FnMut(&P) -> Result<Q, E>) -> Result<Install<Q>, E> {
        Ok(match self.clone() {
            Self::Idle => Install::Idle,
            Self::Planned { attempt, package } => Install::Planned { attempt, package },
            Self::Fetching { attempt, package } => Install::Fetching { attempt, package },
            Self::Verified { attempt, package } => {
                Install::Verified { attempt, package: f(&package)? }
            }
            Self::Staged { attempt, package } => Install::Staged { attempt, package: f(&package)? },
            Self::Preflight { attempt, package } => {
                Install::Preflight { attempt, package: f(&package)? }
            }
            Self::Expanded { attempt, subject, tries, until } => {
                Install::Expanded { attempt, subject: subject.map(f)?, tries, until }
            }
            Self::SwitchingOver { attempt, subject, tries, until } => {
                Install::SwitchingOver { attempt, subject: subject.map(f)?, tries, until }
            }
            Self::Trial { attempt, subject, tries, until } => {
                Install::Trial { attempt, subject: subject.map(f)?, tries, until }
            }
            Self::Committed { attempt, package } => Install::Committed { attempt, package },
            Self::Contracted { attempt, package } => Install::Contracted { attempt, package },
            Self::Abandoned { attempt, package, fault } => {
                Install::Abandoned { attempt, package, fault }
            }
            Self::RollingBack { attempt, package, fault } => {
                Install::RollingBack { attempt, package, fault }
            }
            Self::RolledBack { attempt, package, fault } => {
                Install::RolledBack { attempt, package, fault }
            }
            Self::Rescue { kind, reason } => Install::Rescue { kind, reason },
        })
    }
}
