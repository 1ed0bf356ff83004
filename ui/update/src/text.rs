//! The words that code composes; words that never change stand in the templates.

pub const TITLE: &str = "Releases and appliances";
pub const OFFERED: &str = "offered";
pub const PROBLEM: &str = "Nothing can be offered.";

/// `blocked: it fills the disk`.
pub fn blocked(reason: &str) -> String {
    format!("blocked: {reason}")
}

/// Whose updates are held.
pub fn hold(scope: &str) -> String {
    match scope.split_once(':') {
        Some(("customer", name)) => format!("Updates of the customer {name} are held."),
        Some(("appliance", id)) => format!("Updates of the appliance {id} are held."),
        _ => "All updates are held.".to_owned(),
    }
}
