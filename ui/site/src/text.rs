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

pub const CONSOLES: &str = "Consoles";
pub const TOKENS: &str = "API tokens";
pub const AUDIT: &str = "Audit log";
pub const ENROLMENT_TOKENS: &str = "Enrolment tokens";
pub const EDIT_CLIENT: &str = "Edit Jump Client";
pub const REMOVE: &str = "Remove";
pub const REVOKE: &str = "Revoke";
pub const WITHDRAW: &str = "Withdraw";
pub const END_SESSION: &str = "End session";
pub const CLIENT_NAME_HINT: &str = "What people type: sluis jump NAME.";
pub const GROUP_OF_CLIENT_HINT: &str = "For finding it among many.";
pub const WHO: &str = "Who";
pub const WHO_HINT: &str = "A name, in full.";
pub const ABOUT_WHAT: &str = "About";
pub const ABOUT_WHAT_HINT: &str = "Part of a name or id.";
pub const DONE: &str = "What";
pub const FIRST_DAY: &str = "First day (UTC)";
pub const LAST_DAY: &str = "Last day (UTC)";
pub const DAY_FAULT: &str = "This is not a day. Type it as 2026-11-21.";
pub const NOT_KNOWN: &str = "Not known";
pub const THE_SITE: &str = "The site";
pub const VALID: &str = "Valid";
pub const EXPIRED: &str = "Expired";
pub const REVOKED: &str = "Revoked";
pub const ADD_TOKEN: &str = "Create API token";
pub const TOKEN_FOR: &str = "What it is for";
pub const TOKEN_FOR_HINT: &str = "For you and the audit log, such as “backup script”.";
pub const TOKEN_HOURS_HINT: &str = "For how many hours from now it works; 8784 is a year.";

/// `3rd of 17 in the upgrade queue`.
pub fn upgrade_position((position, of): (usize, usize)) -> String {
    format!("{} of {of} in the upgrade queue", ordinal(position))
}

/// `1st`, `2nd`, `3rd`, `11th`.
fn ordinal(number: usize) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

pub fn remove_client(name: &str) -> String {
    format!("Remove the Jump Client {name}?")
}

pub fn remove_client_effects(name: &str) -> Vec<String> {
    vec![
        format!("{name} leaves the list, its connection ends, and its agent can no longer connect. To bring it back, enrol the agent anew."),
        "Its sessions, recordings and lines of the audit log stay. The agent itself stays on the endpoint: take it off there with sluis-agent unenrol.".to_owned(),
        "This cannot be undone.".to_owned(),
    ]
}

pub fn revoke_console(name: &str, operator: &str) -> String {
    format!("Revoke the console “{name}” of {operator}?")
}

pub fn revoke_console_effects(operator: &str) -> Vec<String> {
    vec![
        "It is disconnected at once, and opens no session any more.".to_owned(),
        format!(
            "{operator} can register it again with sluis login. Sessions that run on it end when they are closed."
        ),
    ]
}

pub fn revoke_token(name: &str) -> String {
    format!("Revoke the API token “{name}”?")
}

pub fn revoke_token_effects() -> Vec<String> {
    vec!["Whatever uses it is refused from now on. This cannot be undone; create another one instead.".to_owned()]
}

pub fn withdraw_enrolment(name: &str) -> String {
    format!("Withdraw the enrolment token “{name}”?")
}

pub fn withdraw_enrolment_effects() -> Vec<String> {
    vec![
        "No Jump Client can enrol with it any more.".to_owned(),
        "Those that did so already stay.".to_owned(),
    ]
}

pub fn end_session(title: &str) -> String {
    format!("End the session of {title}?")
}

pub fn end_session_effects() -> Vec<String> {
    vec![
        "Its remote process is ended. Work that was not saved on the endpoint may be lost."
            .to_owned(),
        "Its recording stays.".to_owned(),
    ]
}

pub fn console_state(revoked: bool, over: bool) -> &'static str {
    match (revoked, over) {
        (true, _) => REVOKED,
        (false, true) => EXPIRED,
        (false, false) => VALID,
    }
}

/// What was done, in words; the name of the action itself when it is that of a later version.
pub fn audit_action(action: &str) -> String {
    let words = match action {
        "operator.created" => "Added a user",
        "operator.changed" => "Changed a user",
        "operator.disabled" => "Disabled a user",
        "operator.enabled" => "Enabled a user",
        "operator.password" => "Set a password",
        "operator.login" => "Signed in",
        "operator.login-failed" => "Wrong password",
        "console.registered" => "Registered a console",
        "console.revoked" => "Revoked a console",
        "api-token.created" => "Created an API token",
        "api-token.revoked" => "Revoked an API token",
        "enrolment-token.created" => "Created an enrolment token",
        "enrolment-token.revoked" => "Withdrew an enrolment token",
        "jump-client.enrolled" => "Enrolled",
        "jump-client.changed" => "Edited a Jump Client",
        "jump-client.removed" => "Removed a Jump Client",
        "jump-client.uninstalled" => "Was uninstalled",
        "session.opened" => "Opened a session",
        "session.ended" => "Session ended",
        "session.terminated" => "Ended a session",
        "recording.read" => "Downloaded a recording",
        other => other,
    };
    words.to_owned()
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

pub const LICENSE_TROUBLE: &str = "does not hold any more: see Status at /appliance";

pub fn seats(users: u32, endpoints: Option<u32>) -> String {
    let operators = if users == 1 { "operator" } else { "operators" };
    match endpoints {
        None => format!("{users} concurrent {operators}, any number of endpoints"),
        Some(1) => format!("{users} concurrent {operators}, 1 endpoint"),
        Some(endpoints) => format!("{users} concurrent {operators}, {endpoints} endpoints"),
    }
}
