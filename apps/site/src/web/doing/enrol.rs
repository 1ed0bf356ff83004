use std::time::Duration;

use store::{Acting, AgentMode, EnrolmentToken, NewEnrolmentToken, TokenHash};

use crate::web::problem::Problem;
use crate::web::rescue::Client;
use crate::web::{WebState, secrets};

/// What an enrolment token is to be.
pub struct Wanted<'a> {
    /// What it is for.
    pub name: &'a str,
    /// The group; may be empty.
    pub group: &'a str,
    /// How its Jump Clients keep in touch.
    pub mode: AgentMode,
    /// How many it enrols.
    pub uses: u32,
    /// How long it works.
    pub valid_for: Duration,
}

/// A token that was just made; its text is kept nowhere else.
pub struct Made {
    /// What is kept of it.
    pub token: EnrolmentToken,
    /// What opens.
    pub secret: String,
    /// Host and port of the site.
    pub site: String,
    /// How its Jump Clients keep in touch.
    pub mode: AgentMode,
}

/// Makes an enrolment token for agents that reach the site as `host`.
pub async fn make(
    state: &WebState,
    acting: &Acting,
    wanted: Wanted<'_>,
    host: &str,
) -> Result<Made, Problem> {
    let secret = secrets::token();
    let now = state.now();
    let new = NewEnrolmentToken {
        token: TokenHash::of(&secret),
        name: wanted.name.to_owned(),
        group: wanted.group.to_owned(),
        mode: wanted.mode,
        uses: wanted.uses,
        expires: now.plus(wanted.valid_for),
    };
    let token = acting.enrolment_tokens().create(new, now).await?;
    Ok(Made { token, secret, site: with_port(host), mode: wanted.mode })
}

/// The lines to run on an endpoint: fetch the agent, compare its hash, enrol.
///
/// The hash came over the administrator's sign-in, so the fetch itself may come over any certificate.
pub fn commands(state: &WebState, made: &Made) -> Vec<(String, String)> {
    let passive = if made.mode == AgentMode::Passive { " --passive" } else { "" };
    let enrol = format!(
        "enrol --site {} --site-key {} --token {}{passive}",
        made.site, state.identity, made.secret
    );
    let agents = state.clients().agents();
    if agents.is_empty() {
        return vec![("Linux".to_owned(), format!("sudo ./sluis-agent {enrol}"))];
    }
    let command = |client: &&Client| {
        let system = system_of(&client.name);
        let lines = if system.starts_with("Windows") {
            windows(&made.site, client, &enrol)
        } else {
            unix(&made.site, client, &enrol)
        };
        (system, lines)
    };
    agents.iter().map(command).collect()
}

fn unix(site: &str, Client { sha256, name, .. }: &Client, enrol: &str) -> String {
    format!(
        "curl --insecure --fail --output sluis-agent https://{site}/rescue/v1/targets/{sha256}.{name} &&\n\
         echo '{sha256}  sluis-agent' | sha256sum --check && chmod +x sluis-agent &&\n\
         sudo ./sluis-agent {enrol} &&\n\
         sudo ./sluis-agent run"
    )
}

fn windows(site: &str, Client { sha256, name, .. }: &Client, enrol: &str) -> String {
    format!(
        "curl.exe --insecure --fail --output sluis-agent.exe https://{site}/rescue/v1/targets/{sha256}.{name}\n\
         if ((Get-FileHash sluis-agent.exe).Hash -ne '{sha256}') {{ throw 'not the agent of this site' }}\n\
         .\\sluis-agent.exe {enrol}\n\
         .\\sluis-agent.exe run"
    )
}

/// The host with its port; that of HTTPS when it names none.
fn with_port(host: &str) -> String {
    let port = host.rsplit_once(':').map(|(_, port)| port);
    let named =
        port.is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()) && !port.is_empty());
    if named { host.to_owned() } else { format!("{host}:443") }
}

/// `Linux, x86_64` for `agent-1.1.0-r2-x86_64-linux`.
fn system_of(name: &str) -> String {
    let mut parts = name.rsplit('-');
    let system = match parts.next() {
        Some("linux") => "Linux",
        Some(windows) if windows.starts_with("windows") => "Windows",
        other => other.unwrap_or_default(),
    };
    let arch = parts.next().unwrap_or_default();
    format!("{system}, {arch}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_read_from_the_name() {
        assert_eq!(system_of("agent-1.1.0-r2-x86_64-linux"), "Linux, x86_64");
        assert_eq!(system_of("agent-1.1.0-r2-x86_64-windows.exe"), "Windows, x86_64");
    }

    #[test]
    fn an_address_has_a_port() {
        assert_eq!(with_port("site.example"), "site.example:443");
        assert_eq!(with_port("site.example:8443"), "site.example:8443");
        assert_eq!(with_port("[::1]"), "[::1]:443");
    }
}
