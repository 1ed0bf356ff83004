//! The words that code composes, in one place, so that a second language is a second set here.

use std::time::Duration;

use model::{PackageKind, Release, Timestamp};
use ui_kit::{duration, package_kind};

use crate::{Estimate, LicenseStanding, SitePhase, StepState};

pub const STATUS: &str = "Status";
pub const USERS: &str = "Users";
pub const UPDATES: &str = "Updates";
pub const NOT_INSTALLED: &str = "not installed";
pub const RESCUE: &str = "No version of the site stays up.";
pub const ACTIVE: &str = "Active";
pub const FIRST_PASSWORD: &str = "Has not signed in";
pub const NAME: &str = "Name";
pub const NAME_HINT: &str = "What this person signs in with.";
pub const ADD_USER: &str = "Add user";
pub const REMOVE: &str = "Remove";
pub const RESET: &str = "Reset password";
pub const CANCEL: &str = "Cancel";
pub const LOG: &str = "Log of installs";
pub const PROGRESS: &str = "Progress";

pub fn site_phase(phase: SitePhase) -> &'static str {
    match phase {
        SitePhase::Missing => "No site software is installed",
        SitePhase::Starting => "Starting",
        SitePhase::Serving => "Serving",
        SitePhase::HandingOver => "Serving; the old version is handing over its sessions",
        SitePhase::Rescue => "Down",
    }
}

pub fn rescue(why: &str) -> String {
    format!(
        "{why} Nothing is switched by itself any more. Install a newer site package under Updates, \
         or roll back to a version that worked. Data and recordings are untouched."
    )
}

pub fn disk(free: &str, total: Option<&str>) -> String {
    match total {
        Some(total) => format!("{free} free of {total}"),
        None => format!("{free} free"),
    }
}

pub fn locked(left: Duration) -> String {
    format!("Locked for {}", duration(left))
}

pub fn remove_user(name: &str) -> String {
    format!("Remove the user {name}?")
}

pub fn remove_user_effects(name: &str) -> Vec<String> {
    vec![format!(
        "{name} is signed out at once and can no longer administer this appliance. \
         What {name} did stays in the log."
    )]
}

pub fn reset_user(name: &str) -> String {
    format!("Reset the password of {name}?")
}

pub fn reset_user_effects(name: &str) -> Vec<String> {
    vec![
        format!("{name} is signed out at once, and the present password no longer works."),
        "The next page shows a new first password once. It has to be changed at the first sign-in."
            .to_owned(),
    ]
}

pub fn package(kind: PackageKind, release: &Release) -> String {
    format!("{} {release}", package_kind(kind))
}

/// Names the kind inside a sentence: `base software`.
pub fn package_in_sentence(kind: PackageKind, release: &Release) -> String {
    format!("{} {release}", package_kind(kind).to_lowercase())
}

/// What an install does to those who are at work.
pub fn interruption(kind: PackageKind, stall: Estimate) -> String {
    match kind {
        PackageKind::Base => "None. The site and its sessions do not notice a base update.".into(),
        PackageKind::License => "None. A license restarts nothing.".into(),
        PackageKind::Site | PackageKind::Unknown => format!(
            "No session is dropped. Each one moves to the other version and may stand still for a moment: {}.",
            match stall.past {
                0 => format!(
                    "no figures from this appliance yet; the project measured up to {}",
                    duration(stall.length)
                ),
                past => format!("up to {} in {}", duration(stall.length), last(past)),
            }
        ),
    }
}

pub fn about(estimate: Estimate) -> String {
    let length = duration(estimate.length);
    match estimate.past {
        0 => format!(
            "No figures from this appliance yet; the project measured {length} without the download"
        ),
        past => format!("About {length}, by {}", last(past)),
    }
}

fn last(past: usize) -> String {
    if past == 1 { "the last one here".to_owned() } else { format!("the last {past} here") }
}

pub fn check_failed(why: &str) -> String {
    format!("{why} What is shown below is the result of the last check that worked.")
}

pub const INSTALL_THIS: &str = "Install This Update";

pub fn install_in_steps(steps: usize) -> String {
    format!("Install in {steps} Steps")
}

pub fn install_all_steps(steps: usize) -> String {
    if steps == 1 { INSTALL_THIS.to_owned() } else { format!("Install All {steps} Steps") }
}

pub fn install_question(kind: PackageKind, release: &Release, steps: usize) -> String {
    let package = package_in_sentence(kind, release);
    if steps > 1 {
        format!("Install {package} in {steps} steps?")
    } else {
        format!("Install {package}?")
    }
}

pub fn install_all_question(steps: usize) -> String {
    if steps > 1 {
        format!("Install the newest of everything in {steps} steps?")
    } else {
        "Install the newest of everything?".to_owned()
    }
}

pub fn step_state(state: StepState) -> &'static str {
    match state {
        StepState::Done => "Installed",
        StepState::Running => "Under way",
        StepState::Failed => "Failed",
        StepState::Waiting => "Not begun",
    }
}

pub fn plan_place(step: usize, of: usize) -> String {
    format!("Step {step} of {of}")
}

pub fn roll_back_question(kind: PackageKind, release: &Release) -> String {
    format!("Roll back to {}?", package_in_sentence(kind, release))
}

/// Names a try that an administrator goes back with.
pub fn back_to(package: &str) -> String {
    format!("Roll back to {package}")
}

/// The steps of an install in the words of the pages; `None` for one that is not known here.
pub fn phase(phase: &str) -> Option<&'static str> {
    Some(match phase {
        "idle" => "Nothing to do",
        "planned" => "Plan",
        "fetching" => "Download",
        "verified" => "Unpack",
        "staged" => "Preflight",
        "preflight" => "Expand database",
        "expanded" => "Prove",
        "switching-over" => "Switch over",
        "trial" => "Trial",
        "committed" => "Commit",
        "contracted" => "Installed",
        "abandoned" => "Abandoned",
        "rolling-back" => "Going back",
        "rolled-back" => "Rolled back",
        "rescue" => "Rescue",
        _ => return None,
    })
}

pub const INSTALLED_TITLE: &str = "Installed.";
pub const INSTALLED_TEXT: &str = "The new version serves, and the trial went well.";
pub const ABANDONED_TITLE: &str = "Not installed.";
pub const ROLLED_BACK_TITLE: &str = "Rolled back.";
pub const RESCUE_TITLE: &str = "No version of the site stays up.";
pub const NOTHING_RUNS: &str = "No update was installed yet.";
pub const UNNAMED_ATTEMPT: &str = "Install";
pub const AVAILABLE: &str = "Available";
pub const INSTALLED: &str = "Installed";
pub const BLOCKED: &str = "Cannot be installed yet";
pub const BLOCKED_TITLE: &str = "This package cannot be installed yet.";
pub const CHECK_FAILED: &str = "The check did not work.";

pub const PUT_BACK: &str = "Put back";
pub const PUT_BACK_TITLE: &str = "This version failed here and was put back.";

pub fn put_back(at: Timestamp, reason: &str) -> String {
    format!(
        "On {at}: {reason}. It is not offered again by itself: wait for a newer version, or let it be \
         offered again when the cause is gone."
    )
}

pub fn blocked_by(missing: &str) -> String {
    format!("Missing: {missing}")
}

pub fn disk_needed(free: &str, needed_bytes: u64, needed: &str) -> String {
    if needed_bytes == 0 {
        format!("{free} free; none is needed")
    } else {
        format!("{free} free; {needed} needed")
    }
}

pub const LICENSE_TROUBLE: &str = "The license does not hold.";
pub const LICENSE_EXPIRED: &str = "Its time is over. Nobody is signed out, and sessions go on. \
    Ask your vendor for a new license and install it under Updates.";

pub fn license_other_site(hostname: &str) -> String {
    format!(
        "It is for {hostname}, and this appliance has another hostname. Nobody is signed out, and sessions go on. \
         Ask your vendor for a license for this hostname."
    )
}

pub fn license_standing(standing: LicenseStanding) -> &'static str {
    match standing {
        LicenseStanding::Valid => "Valid",
        LicenseStanding::Expired => "Expired",
        LicenseStanding::OtherSite => "For another site",
    }
}

pub fn seats(users: u32, endpoints: Option<u32>) -> String {
    let operators = if users == 1 { "operator" } else { "operators" };
    match endpoints {
        None => format!("{users} concurrent {operators}, any number of endpoints"),
        Some(1) => format!("{users} concurrent {operators}, 1 endpoint"),
        Some(endpoints) => format!("{users} concurrent {operators}, {endpoints} endpoints"),
    }
}
