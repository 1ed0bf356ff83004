//! `sluis-agent`: the agent on an endpoint.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use model::PublicKey;
use sluis_agent::enrol::{self, Goodbye};
#[cfg(unix)]
use sluis_agent::keeper;
use sluis_agent::{config::Config, own_release};

/// Sluis agent: makes this machine a Jump Client of a site.
#[derive(Parser)]
#[command(name = "sluis-agent", disable_version_flag = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make this machine a Jump Client of a site
    Enrol(Enrol),
    /// Run: keep the agent of a data folder serving its site
    Run(Data),
    /// Serve the site; started by `run`
    #[command(hide = true)]
    Serve(Data),
    /// Say how the running agent stands
    Status {
        #[command(flatten)]
        data: Data,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Let a running agent check in with its site now
    Checkin(Data),
    /// Let versions that failed here be tried again
    Retry(Data),
    /// Forget the site and the identity on this machine
    Unenrol(Data),
    /// Say version and revision
    About,
}

#[derive(Args)]
struct Data {
    /// Folder that holds configuration, identity and versions
    #[arg(long = "data", value_name = "DIR", env = "SLUIS_AGENT_DATA", default_value = DEFAULT_DATA)]
    dir: PathBuf,
}

const DEFAULT_DATA: &str =
    if cfg!(windows) { r"C:\ProgramData\Sluis\agent" } else { "/var/lib/sluis-agent" };

#[derive(Args)]
struct Enrol {
    /// Address of the site
    #[arg(long, value_name = "HOST:PORT")]
    site: String,
    /// Identity of the site: 64 hexadecimal digits from its Jump Clients page
    #[arg(long, value_name = "HEX")]
    site_key: PublicKey,
    /// Enrolment token from the same page
    #[arg(long, value_name = "TOKEN")]
    token: String,
    #[command(flatten)]
    data: Data,
    /// Name of this endpoint; the host's name when absent
    #[arg(long)]
    name: Option<String>,
    /// Only check in instead of holding a connection
    #[arg(long)]
    passive: bool,
    /// TUF root to trust for updates; that of the site when absent
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match execute(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sluis-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> Result<()> {
    match command {
        Command::Enrol(arguments) => run_enrol(arguments),
        Command::Run(data) => run(&data.dir),
        Command::Serve(data) => serve(&data.dir),
        Command::Status { data, json } => status(&data.dir, json),
        Command::Checkin(data) => tell(&data.dir, "check in"),
        Command::Retry(data) => tell(&data.dir, "retry"),
        Command::Unenrol(data) => unenrol(&data.dir),
        Command::About => {
            println!("sluis-agent {}", own_release());
            Ok(())
        }
    }
}

fn run_enrol(arguments: Enrol) -> Result<()> {
    link::install_crypto();
    let request = enrol::Request {
        site: arguments.site,
        site_key: arguments.site_key,
        token: arguments.token,
        name: arguments.name,
        passive: arguments.passive,
        root: arguments.root,
    };
    let release = own_release();
    let enrolled = enrol::enrol(&arguments.data.dir, request, &release);
    let config = small_runtime()?.block_on(enrolled)?;
    println!("{} is a Jump Client of {} now", config.name, config.site);
    println!("Start it: sluis-agent run --data {}", arguments.data.dir.display());
    Ok(())
}

fn unenrol(data: &Path) -> Result<()> {
    link::install_crypto();
    let release = own_release();
    let goodbye = small_runtime()?.block_on(enrol::unenrol(data, &release))?;
    println!("{} is not enrolled any more", data.display());
    match goodbye {
        Goodbye::Said => println!("The site lists this Jump Client as uninstalled"),
        Goodbye::Unheard(why) => {
            eprintln!("sluis-agent: the site could not be told: {why:#}");
            eprintln!("sluis-agent: an administrator can remove it at /login > Jump Clients");
        }
    }
    Ok(())
}

/// One thread: the keeper must not fork beside threads, one-shot commands do little, and a session's
/// bytes should not wait for another thread to wake up.
fn small_runtime() -> Result<tokio::runtime::Runtime> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.context("cannot start the runtime")
}

#[cfg(unix)]
fn run(data: &Path) -> Result<()> {
    start_log();
    small_runtime()?.block_on(keeper::run(data))
}

#[cfg(windows)]
fn run(data: &Path) -> Result<()> {
    serve(data)
}

fn serve(data: &Path) -> Result<()> {
    start_log();
    link::install_crypto();
    let config = Config::load(data)?;
    small_runtime()?.block_on(sluis_agent::agent::serve(data, config, own_release()))
}

#[cfg(unix)]
fn status(data: &Path, json: bool) -> Result<()> {
    use keeper::control::{Answer, Ask, ask};
    let Answer::Status(status) = ask(data, &Ask::Status)? else {
        anyhow::bail!("the agent's answer cannot be read")
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&status)?);
        return Ok(());
    }
    println!("Version   {} in slot {:?}, {}", status.release, status.slot, status.phase);
    let site = Config::load(data)?.site;
    let connected = if status.serve.connected { "connected" } else { "not connected" };
    println!("Site      {site}, {connected} {}", status.serve.text);
    println!("Sessions  {}", status.serve.sessions);
    for bad in &status.bad {
        println!("Bad       {} was put back at {}: {}", bad.release, bad.at, bad.reason);
    }
    Ok(())
}

#[cfg(unix)]
fn tell(data: &Path, what: &str) -> Result<()> {
    use keeper::control::{Answer, Ask, ask};
    let question = if what == "retry" { Ask::Retry } else { Ask::CheckIn };
    match ask(data, &question)? {
        Answer::Failed(reason) => anyhow::bail!("the agent cannot {what} now: {reason}"),
        Answer::Done | Answer::Status(_) => Ok(()),
    }
}

#[cfg(windows)]
fn status(_: &Path, _: bool) -> Result<()> {
    anyhow::bail!("not supported on Windows yet; look into the agent's log")
}

#[cfg(windows)]
fn tell(_: &Path, what: &str) -> Result<()> {
    anyhow::bail!("“{what}” is not supported on Windows yet; restart the agent instead")
}

fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("SLUIS_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours);
    log.with_writer(std::io::stderr).init();
}
