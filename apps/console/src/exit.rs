use std::process::ExitCode;

use link::LinkError;

/// Why a command failed, as a person reads it and as a program does.
#[derive(Debug)]
pub struct Problem {
    /// The thing and the reason.
    pub text: String,
    /// The way out, when there is one.
    pub remedy: Option<String>,
}

impl Problem {
    /// A problem with its way out.
    pub fn new(text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { text: text.into(), remedy: Some(remedy.into()) }
    }
}

impl From<anyhow::Error> for Problem {
    fn from(error: anyhow::Error) -> Self {
        Self { text: format!("{error:#}"), remedy: None }
    }
}

impl From<LinkError> for Problem {
    fn from(error: LinkError) -> Self {
        let remedy = match &error {
            LinkError::PeerIdentity { .. } => Some(
                "if the site was really set up anew, compare its identity with its administrator's and run `sluis login` again".to_owned(),
            ),
            LinkError::Network { .. } | LinkError::PeerSilent { .. } => {
                Some("check the address and that the site can be reached".to_owned())
            }
            _ => None,
        };
        Self { text: error.to_string(), remedy }
    }
}

/// The exit status of our own failures, as ssh has it: remote commands use 0 to 254.
pub const FAILED: u8 = 255;

/// Prints a problem and answers the exit status.
pub fn report(json: bool, problem: &Problem) -> ExitCode {
    if json {
        let body = serde_json::json!({ "error": problem.text, "remedy": problem.remedy });
        eprintln!("{body}");
    } else {
        eprintln!("sluis: {}", problem.text);
        if let Some(remedy) = &problem.remedy {
            eprintln!("       {remedy}");
        }
    }
    ExitCode::from(FAILED)
}
