//! The update server: who may have which release, in signed offers; and the repository as static files.
//!
//! Its operator administers it with the same program on the same data directory.
//! `docs/operate/releasing.md` shows its use; what it says to appliances stands in `release::offer`.

mod admin;
mod clock;
mod data;
mod http;
mod repository;
mod serve;
mod store;
mod tls;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

/// The update server of Sluis.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// Folder of the server's own data.
    #[arg(long, global = true, env = "SLUIS_UPDATE_DATA", default_value = "sluis-update-data")]
    data: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve appliances, the repository and the page.
    Serve(serve::Serve),
    #[command(flatten)]
    Admin(admin::Command),
}

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .init();
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sluis-update: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    let data = data::Data::open(&cli.data)?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start")?;
    match cli.command {
        Command::Serve(serve) => runtime.block_on(serve.run(&data)),
        Command::Admin(command) => runtime.block_on(command.run(&data)),
    }
}
