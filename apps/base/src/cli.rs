use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::paths::Paths;
use crate::{config, doctor, enrol, init, keeper, serve};

/// The base software of a Sluis appliance.
#[derive(Parser)]
#[command(name = "sluis-base", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Sets up a data directory: certificate, first account, first base package.
    Init(init::Args),
    /// Ties this appliance to its update server.
    Enrol(enrol::Args),
    /// Runs the appliance.
    Run(Data),
    /// The base itself, as `run` starts it.
    #[command(hide = true)]
    Serve(Data),
    /// What this keeper understands of the one before it, for that one.
    #[command(hide = true)]
    KeeperProtocol(Data),
    /// Looks at the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Looks at everything that an appliance needs and says what is wrong.
    Doctor(Data),
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Reads the configuration and says what is wrong with it.
    Check(Data),
}

#[derive(clap::Args)]
pub struct Data {
    /// The data directory.
    #[arg(long, env = "SLUIS_BASE_DATA", value_name = "DIR")]
    pub data: PathBuf,
}

impl Data {
    pub fn paths(&self) -> anyhow::Result<Paths> {
        Paths::open(&self.data)
    }
}

pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_env("SLUIS_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    // The only provider there is; it cannot be installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match run(cli.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("sluis-base: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Init(args) => init::run(&args)?,
        Command::Enrol(args) => block_on(enrol::run(&args))?,
        Command::Run(data) => return keeper::run(&data.paths()?),
        Command::Serve(data) => return serve::run(data.paths()?),
        Command::KeeperProtocol(data) => {
            config::Config::load(&data.paths()?)?;
            println!("{}", keeper::PROTOCOL);
        }
        Command::Config(ConfigCommand::Check(data)) => {
            let config = config::Config::load(&data.paths()?)?;
            println!("The configuration is fine: {} on {:?}.", config.hostname, config.listen);
        }
        Command::Doctor(data) => return Ok(doctor::run(&data.paths()?)),
    }
    Ok(ExitCode::SUCCESS)
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    runtime.block_on(work)
}
