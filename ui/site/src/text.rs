//! The words that code composes, in one place, so that a second language is a second set here.

use std::fmt::Write as _;
use std::time::Duration;

use model::{ClientState, SessionOutcome, Timestamp};
use ui_kit::duration;

use crate::{Leg, Mode};

pub const CLIENTS: &str = "Jump Clients";
pub const SESSIONS: &str = "Sessions";
pub const RECORDINGS: &str = "Recordings";
pub const USERS: &str = "Users";
pub const ABOUT: &str = "About";
pub const MY_ACCOUNT: &str = "My Account";
pub const ACTIVE: &str = "Active";
pub const FIRST_PASSWORD: &str = "Has not signed in";
pub const DISABLED: &str = "Disabled";
pub const NAME: &str = "Name";
pub const NAME_HINT: &str = "What this person signs in with.";
pub const DISPLAY_NAME: &str = "Display name";
pub const DISPLAY_NAME_HINT: &str = "The person’s name.";
pub const ADMINISTRATOR: &str = "Administrator";
pub const ADMINISTRATOR_HINT: &str =
    "May administer this site: users, Jump Clients, all sessions and recordings.";
pub const ADD_USER: &str = "Add user";
pub const DISABLE: &str = "Disable";
pub const RESET: &str = "Reset password";
pub const CANCEL: &str = "Cancel";
pub const NONE: &str = "None";
pub const NOT_COUNTED: &str = "Not counted";
pub const COMPLETE: &str = "Complete";
pub const RECORDED_NOW: &str = "Being recorded";

pub const ADD_CLIENTS: &str = "Add Jump Clients";
pub const ENROLLED: &str = "Run this on the endpoint";
pub const TOKEN_NAME: &str = "What it is for";
pub const TOKEN_NAME_HINT: &str = "For you and the audit log, such as “web servers, rack 3”.";
pub const GROUP: &str = "Group";
pub const GROUP_HINT: &str = "The group that the Jump Clients join.";
pub const MODE: &str = "Keeps in touch";
pub const MODE_ACTIVE: &str = "Active";
pub const MODE_ACTIVE_HINT: &str = "Holds a connection, so that a session opens at once.";
pub const MODE_PASSIVE: &str = "Passive";
pub const MODE_PASSIVE_HINT: &str =
    "Only checks in now and then, for endpoints that must stay quiet.";
pub const USES: &str = "Number of Jump Clients";
pub const USES_HINT: &str = "How many endpoints the token enrols.";
pub const USES_FAULT: &str = "This is not a number of Jump Clients. Type a whole number from 1.";
pub const HOURS: &str = "Hours";
pub const HOURS_HINT: &str = "For how many hours from now the token works.";
pub const HOURS_FAULT: &str =
    "This is not a number of hours. Type a whole number from 1 to 8784, which is a year.";

pub fn role(admin: bool) -> &'static str {
    if admin { ADMINISTRATOR } else { "Operator" }
}

pub fn locked(left: Duration) -> String {
    format!("Locked for {}", duration(left))
}

pub fn disable_user(name: &str) -> String {
    format!("Disable the user {name}?")
}

pub fn disable_user_effects(name: &str) -> Vec<String> {
    vec![
        format!("{name} is signed out at once and cannot sign in until enabled again."),
        "Sessions and recordings of this user stay.".to_owned(),
    ]
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

pub fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Active => "Active: holds a connection",
        Mode::Passive => "Passive: checks in now and then",
    }
}

pub fn client_state(state: ClientState) -> &'static str {
    match state {
        ClientState::NeverConnected => "Never connected",
        ClientState::Online => "Online",
        ClientState::Offline => "Offline",
        ClientState::Lost => "Lost",
        ClientState::Disabled => "Disabled by its user",
        ClientState::Uninstalled => "Uninstalled",
        ClientState::UpgradePending => "Upgrade Pending",
        ClientState::Upgrading => "Upgrading",
        ClientState::UpgradeFailed => "Upgrade failed",
    }
}

pub fn upgrade_position(position: usize) -> String {
    format!("Position {position} in the upgrade queue")
}

pub fn upgrade_failed(reason: &str, next: Option<Timestamp>) -> String {
    let mut words =
        if reason.is_empty() { String::new() } else { format!("{}. ", sentence(reason)) };
    let _ = match next {
        Some(at) => {
            write!(words, "Next try at {}", at.to_string().replace('T', " ").replace('Z', " UTC"))
        }
        None => write!(words, "Not tried again by itself"),
    };
    words
}

/// The words with a capital letter first and no full stop.
fn sentence(words: &str) -> String {
    let words = words.trim().trim_end_matches('.');
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// What somebody who wants to reach this client has to know; `None` when nothing is in the way.
pub fn client_note(state: ClientState, detail: &str) -> Option<String> {
    let note = match state {
        ClientState::Online => return None,
        ClientState::NeverConnected => {
            "It was enrolled and has not connected yet. Check that its agent runs and may reach this site on TCP 443."
        }
        ClientState::Offline => "It has no connection now, so no session can be opened.",
        ClientState::Lost => {
            "It has had no connection for so long that it is not expected back. It still may return by itself."
        }
        ClientState::Disabled => "Its user switched it off. Only its user can switch it on again.",
        ClientState::Uninstalled => "Its agent was taken off the endpoint.",
        ClientState::UpgradePending => {
            "It is older than the site and waits to be upgraded; until then no session can be opened."
        }
        ClientState::Upgrading => "It is being upgraded; a session can be opened when it is done.",
        ClientState::UpgradeFailed => {
            "Its upgrade failed; until it works no session can be opened."
        }
    };
    Some(if detail.is_empty() { note.to_owned() } else { format!("{note} {detail}.") })
}

pub fn outcome(outcome: Option<&SessionOutcome>, over: bool) -> String {
    match outcome {
        None if over => "Ended".to_owned(),
        None => "Live".to_owned(),
        Some(SessionOutcome::Exited(status)) => format!("Exited with {status}"),
        Some(SessionOutcome::Signalled(signal)) => format!("Ended by signal {signal}"),
        Some(SessionOutcome::Closed) => "Closed by the operator".to_owned(),
        Some(SessionOutcome::Failed(reason)) => format!("Failed: {reason}"),
    }
}

pub fn resumed(times: u64, longest: &str) -> String {
    match times {
        1 => format!("Resumed once, after {longest}"),
        _ => format!("Resumed {times} times, longest stall {longest}"),
    }
}

pub fn session_title(operator: &str, endpoint: &str) -> String {
    format!("{operator} on {endpoint}")
}

pub fn bytes(from: &str, to: &str) -> String {
    format!("{from} from the endpoint, {to} to it")
}

pub fn leg(leg: Leg) -> &'static str {
    match leg {
        Leg::Agent => "Agent",
        Leg::Console => "Console",
    }
}

pub fn attached(resumed_from: Option<u64>) -> String {
    match resumed_from {
        None => "Opened".to_owned(),
        Some(offset) => format!("Resumed at byte {offset}"),
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: [u8; 32]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
