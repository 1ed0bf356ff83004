//! A keeper that was become stays on trial for a while: should it die then, the one before is started instead.
//!
//! The note that says so is written before the new program is become and taken away when it has kept long enough, so
//! whoever starts a keeper after a death finds it. A service manager starts it again some times, since it may have been
//! killed by anybody. The base ([`crate::revive`]) takes the one before at once: a new one that dies again would leave
//! neither keeper nor base.

use std::path::{Path, PathBuf};

use host::{Fs, RealFs};
use model::PackageKind;
use serde::{Deserialize, Serialize};

use crate::paths::Paths;

/// How often a program may begin to keep before it is given up.
const TRIES_MAX: u32 = 3;

/// A keeper that has not kept long enough yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// What was become.
    program: PathBuf,
    /// What it was before.
    before: PathBuf,
    /// How often it began to keep.
    tries: u32,
}

impl Trial {
    /// Notes that `program` is about to be become.
    pub fn begin(paths: &Paths, program: &Path, before: &Path) -> std::io::Result<()> {
        Self { program: program.to_owned(), before: before.to_owned(), tries: 1 }.save(paths)
    }

    fn save(&self, paths: &Paths) -> std::io::Result<()> {
        host::save_json(&RealFs, &paths.keeper_trial(), self)
    }

    /// The trial that is on, or that a keeper died in.
    pub fn open(paths: &Paths) -> Option<Self> {
        host::load_json(&RealFs, &paths.keeper_trial()).unwrap_or_else(|error| {
            // Without the note the keeper is that of the version that runs, as after a start of the machine.
            tracing::warn!(%error, "Note on the keeper's trial cannot be read");
            None
        })
    }

    /// Notes that it is over; says so when it cannot, and then each further start counts as a try.
    pub fn end(paths: &Paths) {
        if let Err(error) = RealFs.remove_file(&paths.keeper_trial()) {
            tracing::warn!(%error, "Note on the keeper's trial cannot be removed");
        }
    }

    /// Whether it is about that program.
    pub fn is_of(&self, program: &Path) -> bool {
        self.program == program
    }

    /// Whether that program died on trial and is not to be tried again.
    pub fn gave_up(&self, program: &Path) -> bool {
        self.is_of(program) && self.tries > TRIES_MAX
    }
}

/// The program of a keeper that a service manager or a person starts: that of the version that runs, unless it died on
/// trial too often. Counts the try.
pub fn program_to_be(paths: &Paths) -> PathBuf {
    program(paths, false)
}

/// The program of a keeper that the base starts: that of the version that runs, unless it died on trial.
pub fn program_to_start(paths: &Paths) -> PathBuf {
    program(paths, true)
}

/// Whether the keeper of the version that runs died on trial and is not to be tried again.
pub fn gave_up_current(paths: &Paths) -> bool {
    Trial::open(paths).is_some_and(|trial| trial.gave_up(&current(paths)))
}

fn current(paths: &Paths) -> PathBuf {
    let current = paths.pointer("current", PackageKind::Base).join("bin/sluis-base");
    current.canonicalize().unwrap_or(current)
}

fn program(paths: &Paths, give_up: bool) -> PathBuf {
    let current = current(paths);
    let Some(mut trial) = Trial::open(paths).filter(|trial| trial.is_of(&current)) else {
        return current;
    };
    if !trial.gave_up(&current) {
        trial.tries = if give_up { TRIES_MAX + 1 } else { trial.tries + 1 };
        if let Err(error) = trial.save(paths) {
            tracing::warn!(%error, "Note on the keeper's trial cannot be saved");
        }
    }
    if trial.gave_up(&current) && trial.before.exists() { trial.before } else { current }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An appliance whose slots 1, 2 and 3 have a base, and where 2 runs.
    fn appliance() -> (tempfile::TempDir, Paths, [PathBuf; 3]) {
        let data = tempfile::tempdir().unwrap();
        let paths = Paths { data: data.path().canonicalize().unwrap() };
        std::fs::create_dir(paths.run()).unwrap();
        std::fs::create_dir(paths.data.join("current")).unwrap();
        let programs = [1, 2, 3].map(|slot| {
            let bin = paths.data.join(slot.to_string()).join("bin");
            std::fs::create_dir_all(&bin).unwrap();
            std::fs::write(bin.join("sluis-base"), "").unwrap();
            bin.join("sluis-base")
        });
        std::os::unix::fs::symlink("../2", paths.pointer("current", PackageKind::Base)).unwrap();
        (data, paths, programs)
    }

    #[test]
    fn what_a_service_manager_starts_is_tried_three_times() {
        // req: UPD-08
        let (_data, paths, [one, two, _]) = appliance();
        assert_eq!(program_to_be(&paths), two);
        Trial::begin(&paths, &two, &one).unwrap();
        assert_eq!([program_to_be(&paths), program_to_be(&paths)], [two.clone(), two.clone()]);
        assert!(!Trial::open(&paths).unwrap().gave_up(&two), "the third may keep");
        assert_eq!([program_to_be(&paths), program_to_be(&paths)], [one.clone(), one.clone()]);
        assert!(Trial::open(&paths).unwrap().gave_up(&two));
        // With its slot gone there is no other.
        std::fs::remove_file(&one).unwrap();
        assert_eq!(program_to_be(&paths), two);
        Trial::end(&paths);
        assert_eq!(program_to_be(&paths), two);
    }

    #[test]
    fn what_the_base_starts_is_the_one_before() {
        // req: UPD-08
        let (_data, paths, [one, two, three]) = appliance();
        assert_eq!(program_to_start(&paths), two);
        Trial::begin(&paths, &two, &one).unwrap();
        assert_eq!(program_to_start(&paths), one);
        assert!(Trial::open(&paths).unwrap().gave_up(&two));
        // The trial of a version that was taken back since, or that another one has followed.
        Trial::begin(&paths, &three, &one).unwrap();
        assert_eq!([program_to_start(&paths), program_to_be(&paths)], [two.clone(), two]);
    }

    #[test]
    fn a_note_that_cannot_be_read_is_none() {
        let (_data, paths, [one, two, _]) = appliance();
        assert_eq!(Trial::open(&paths), None);
        Trial::begin(&paths, &two, &one).unwrap();
        assert!(Trial::open(&paths).is_some_and(|trial| trial.is_of(&two) && !trial.gave_up(&two)));
        std::fs::write(paths.keeper_trial(), b"{\"program\":").unwrap();
        assert_eq!((Trial::open(&paths), program_to_start(&paths)), (None, two));
        Trial::end(&paths);
        assert!(!paths.keeper_trial().exists());
        // Once more is the same.
        Trial::end(&paths);
    }
}
