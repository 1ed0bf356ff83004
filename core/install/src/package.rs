use std::fmt;
use std::hash::Hash;

pub use release::PackageRef;
use release::VerifiedPackage;

/// What stands for a package in a state: a proof of its verification while the base runs, a reference on disk.
pub trait Proof: Clone + PartialEq + Eq + Hash + fmt::Debug {
    /// The package that was proven.
    fn reference(&self) -> PackageRef;
}

impl Proof for PackageRef {
    fn reference(&self) -> PackageRef {
        self.clone()
    }
}

impl Proof for VerifiedPackage {
    fn reference(&self) -> PackageRef {
        Self::reference(self)
    }
}
