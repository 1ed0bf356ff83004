use std::convert::Infallible;
use std::time::Duration;

use link::{ClientKind, Current, Dialer, Event, Keeper, LinkError};
use model::PublicKey;
use tokio::sync::watch;

use crate::exit::Problem;
use crate::profile::{Profile, Site};
use crate::{update, version};

/// How long a first connection is tried: a site that restarts is back well before, and a new version that
/// hangs is noticed and taken back.
const PATIENCE: Duration = Duration::from_secs(20);

/// After so long it is said what is waited for.
const QUIET: Duration = Duration::from_secs(2);

/// A link to the site, kept up.
pub struct Connection {
    /// The link that new streams go to.
    pub newest: watch::Receiver<Option<Current>>,
    /// The link as it was made.
    pub first: Current,
    _events: tokio::task::JoinHandle<()>,
}

/// Dials the site of the profile.
pub async fn connect(profile: &Profile) -> Result<Connection, Problem> {
    let site = profile.site()?;
    let connection = connect_to(profile, &site.address, vec![site.key]).await?;
    if !connection.first.welcome.known {
        let text =
            format!("{} does not know this console, or its sign-in has expired", site.address);
        return Err(Problem::new(text, format!("run `sluis login {}`", site.address)));
    }
    update::follow(profile, &connection.first).await;
    Ok(connection)
}

/// Dials a site that must have one of the identities; none means any.
pub async fn connect_to(
    profile: &Profile,
    address: &str,
    pinned: Vec<PublicKey>,
) -> Result<Connection, Problem> {
    let mut keeper = Keeper::start(dialer(profile, address, pinned)?);
    let newest = keeper.newest();
    let first = tokio::time::timeout(PATIENCE, async {
        tokio::select! {
            first = first_link(&mut keeper) => first,
            never = say_that_it_waits(address) => match never {},
        }
    });
    let first = first.await;
    let first = match first {
        Ok(Ok(first)) => first,
        Ok(Err(problem)) => return Err(problem),
        Err(_) => {
            let text = format!("{address} could not be reached within {} s", PATIENCE.as_secs());
            return Err(Problem::new(text, "check the address and that the site runs"));
        }
    };
    let events = tokio::spawn(async move { while keeper.next().await.is_some() {} });
    Ok(Connection { newest, first, _events: events })
}

async fn say_that_it_waits(address: &str) -> Infallible {
    tokio::time::sleep(QUIET).await;
    eprintln!("sluis: {address} does not answer yet; still trying …");
    std::future::pending().await
}

async fn first_link(keeper: &mut Keeper) -> Result<Current, Problem> {
    let mut last = None;
    loop {
        match keeper.next().await {
            Some(Event::Up(current)) => return Ok(*current),
            Some(Event::Down(error)) if !error.is_passing() => {
                return Err(match std::sync::Arc::try_unwrap(error) {
                    Ok(error) => error.into(),
                    Err(shared) => Problem { text: shared.to_string(), remedy: None },
                });
            }
            Some(Event::Down(error)) => last = Some(error),
            Some(_) => {}
            None => {
                let text =
                    last.map_or_else(|| LinkError::Closed.to_string(), |error| error.to_string());
                return Err(Problem { text, remedy: None });
            }
        }
    }
}

fn dialer(profile: &Profile, address: &str, pinned: Vec<PublicKey>) -> Result<Dialer, Problem> {
    let release = version::release();
    Ok(Dialer {
        address: with_port(address),
        kind: ClientKind::Console,
        key: profile.key()?,
        pinned,
        name: host_name(),
        software: release.version.to_string(),
        revision: release.revision.0,
        token: None,
        tls: link::client_config(),
    })
}

/// Adds the usual port where none is named.
pub fn with_port(address: &str) -> String {
    let address = address.trim_start_matches("https://").trim_end_matches('/');
    let has_port = address.rsplit_once(':').is_some_and(|(host, port)| {
        port.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']'))
    });
    if has_port { address.to_owned() } else { format!("{address}:443") }
}

/// The name of this machine.
pub fn host_name() -> String {
    crate::os::host_name().unwrap_or_else(|| "console".to_owned())
}

impl Site {
    /// The address as it was typed, with its port.
    pub fn normal(address: &str, key: PublicKey, user: &str) -> Self {
        Self { address: with_port(address), key, user: user.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_added_only_where_none_is() {
        for (typed, meant) in [
            ("site.example", "site.example:443"),
            ("https://site.example/", "site.example:443"),
            ("site.example:8443", "site.example:8443"),
            ("[::1]:8443", "[::1]:8443"),
            ("[::1]", "[::1]:443"),
        ] {
            assert_eq!(with_port(typed), meant);
        }
    }
}
