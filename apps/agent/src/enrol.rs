//! `sluis-agent enrol`: makes this endpoint a Jump Client of one site.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use link::{ClientKind, Dialer, LinkError};
use model::{AgentId, PublicKey, Release};
use session::{ControlStream, Message, RefusedCode, Uninstalled};

use crate::config::{self, CheckInConfig, Config, KeeperConfig};
use crate::keeper::ledger::Ledger;
use crate::os;
use crate::update::fetch;
use crate::update::rescue::RescueChannel;
use crate::update::slots::{Slot, Slots};

/// What the administrator says.
#[derive(Debug)]
pub struct Request {
    /// Host and port of the site.
    pub site: String,
    /// The site's identity.
    pub site_key: PublicKey,
    /// The token, good for one enrolment.
    pub token: String,
    /// What the endpoint is called; the host's name when absent.
    pub name: Option<String>,
    /// Only check in.
    pub passive: bool,
    /// The TUF root to trust; when absent that of the site, taken once over the proven link.
    pub root: Option<std::path::PathBuf>,
}

/// Shows the token to the site and keeps what follows from it in `data`.
///
/// The identity key is made first and stays when something fails, so it can be called again.
pub async fn enrol(data: &Path, request: Request, release: &Release) -> Result<Config> {
    config::check_address(&request.site)?;
    if config::path(data).exists() {
        let known = Config::load(data)?;
        bail!(
            "{} is enrolled with {} already; run `sluis-agent unenrol` first",
            data.display(),
            known.site
        );
    }
    os::create_private_folder(data)
        .with_context(|| format!("cannot make the folder {}", data.display()))?;
    if let Some(root) = &request.root {
        keep_root(data, root)?;
    }
    let key = link::load_or_create_key(&config::key_path(data))?;
    let name = request.name.unwrap_or_else(host_name);
    let dialer = Dialer {
        address: request.site.clone(),
        kind: if request.passive { ClientKind::PassiveAgent } else { ClientKind::Agent },
        key: Arc::new(key),
        pinned: vec![request.site_key],
        name: name.clone(),
        software: release.version.to_string(),
        revision: release.revision.0,
        token: Some(request.token),
        tls: link::client_config(),
    };
    let dialed = dialer.dial().await.context("the site did not accept this agent")?;
    if request.root.is_none() && !fetch::has_root(data) {
        let channel = RescueChannel::Link(dialed.link.handle());
        if let Err(error) = fetch::trust_first_root(data, channel).await {
            // The endpoint can be reached all the same; only its updates need a root.
            eprintln!("sluis-agent: {}", crate::error_text(&error));
            eprintln!(
                "sluis-agent: updates wait until a root is given: enrol again with --root FILE"
            );
        }
    }
    dialed.link.handle().close();
    let welcome = dialed.welcome;
    let agent = welcome.id.and_then(|id| <[u8; 16]>::try_from(id).ok()).map(AgentId::from_bytes);
    let config = Config {
        site: request.site,
        site_keys: vec![dialed.site_key],
        name: if welcome.name.is_empty() { name } else { welcome.name },
        agent,
        passive: request.passive,
        check_in: CheckInConfig::default(),
        keeper: KeeperConfig::default(),
    };
    fill_first_slot(data)?;
    config.save(data)?;
    Ok(config)
}

/// Where a TUF root that was given at enrolment is kept until the trusted store begins with it.
pub fn root_path(data: &Path) -> std::path::PathBuf {
    data.join("root.json")
}

fn keep_root(data: &Path, root: &Path) -> Result<()> {
    let bytes = std::fs::read(root).with_context(|| format!("cannot read {}", root.display()))?;
    tuf::read_root(&bytes)
        .with_context(|| format!("{} is no TUF root that can be trusted", root.display()))?;
    os::replace_file(&root_path(data), &bytes)?;
    Ok(())
}

/// Puts this very program into the first slot, so that the keeper has what to start.
fn fill_first_slot(data: &Path) -> Result<()> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let installed = Slots::new(data)
        .install(Slot::A, &program, None)
        .context("cannot copy this program into its slot")?;
    Ledger::new(Slot::A, installed).save(data).context("cannot write the state")?;
    Ok(())
}

/// How long the site may take to note that the agent is taken away.
const GOODBYE: Duration = Duration::from_secs(10);

/// Whether the site knows that the agent was taken off this endpoint.
#[derive(Debug)]
pub enum Goodbye {
    /// It does.
    Said,
    /// It could not be told; why.
    Unheard(anyhow::Error),
}

/// Tells the site, then takes everything away that enrolment made.
///
/// A site that cannot be reached does not keep an endpoint: then it hears nothing of it, and lists
/// this Jump Client as offline until an administrator removes it.
///
/// # Errors
/// When the agent runs, was never enrolled, or a file cannot be removed; it can be called again.
pub async fn unenrol(data: &Path, release: &Release) -> Result<Goodbye> {
    #[cfg(unix)]
    if crate::keeper::is_running(data) {
        bail!("the agent in {} is running; stop it first", data.display());
    }
    if !config::path(data).exists() {
        bail!("{} is not enrolled; there is nothing to undo", data.display());
    }
    let said = tokio::time::timeout(GOODBYE, say_goodbye(data, release)).await;
    let said = said.unwrap_or_else(|_| Err(anyhow!("it did not answer in time")));
    // The identity goes last: until then it can be done again.
    for name in ["state", "state.damaged", "root.json", "agent.sock", "lock", "config.toml"] {
        remove(std::fs::remove_file(data.join(name)), name)?;
    }
    for name in ["slots", "tuf", "downloads"] {
        remove(std::fs::remove_dir_all(data.join(name)), name)?;
    }
    remove(std::fs::remove_file(config::key_path(data)), "identity.key")?;
    Ok(said.map_or_else(Goodbye::Unheard, |()| Goodbye::Said))
}

/// Says it on a link of its own and waits until it is written down.
async fn say_goodbye(data: &Path, release: &Release) -> Result<()> {
    let config = Config::load(data)?;
    let key = link::load_or_create_key(&config::key_path(data))?;
    let dialed = match config.dialer(Arc::new(key), release).dial().await {
        // Removed there before, or told by a run of this that was cut short.
        Err(LinkError::Refused(refused)) if refused.reason() == RefusedCode::NotEnrolled => {
            return Ok(());
        }
        dialed => dialed?,
    };
    let mut link = dialed.link;
    let (mut reader, writer) = link.handle().open()?.split();
    // The streams of a link move while it is accepted from.
    let driving = tokio::spawn(async move { while link.accept().await.is_some() {} });
    writer.message(ControlStream {}).await?;
    writer.message(Uninstalled {}).await?;
    let noted = async {
        loop {
            if let Message::Bye(_) = reader.message().await? {
                return Ok::<_, LinkError>(());
            }
        }
    };
    noted.await.context("the site took no note of it")?;
    driving.abort();
    Ok(())
}

fn remove(result: std::io::Result<()>, name: &str) -> Result<()> {
    match result {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("cannot remove {name}"))
        }
        _ => Ok(()),
    }
}

fn host_name() -> String {
    #[cfg(unix)]
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    let name = std::env::var("COMPUTERNAME").unwrap_or_default();
    if name.is_empty() { "endpoint".to_owned() } else { name }
}
