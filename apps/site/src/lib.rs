//! The site software: operators, Jump Clients, sessions, recordings.
//!
//! The base starts it as a generation; systemd can too, as an ordinary service.
//! A library for one reason: `tests/e2e` makes versions of it that fail, and the shipped program has
//! no switch for that.

mod clock;
mod control;
mod drain;
mod front;
mod health;
mod housekeeping;
mod hub;
mod links;
mod listen;
mod memory;
mod neighbours;
mod notes;
mod patience;
mod selftest;
mod serve;
mod sessions;
mod settings;
mod upgrades;
mod web;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::settings::Settings;

#[derive(Parser)]
#[command(
    name = "sluis-site",
    about = "The site of a Sluis appliance: operators, Jump Clients, sessions, recordings"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a generation of the site on the inherited sockets
    Serve,
    /// Expand the database to a schema level and leave; running it again does nothing
    Migrate {
        /// The level to expand to; the package's own when left out
        #[arg(long)]
        to: Option<u32>,
    },
}

/// The program `sluis-site`: does what its arguments say and its environment allows.
///
/// # Errors
/// When the generation cannot start or the migration fails; the text says what is wrong and what to do.
pub fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let filter =
        EnvFilter::try_from_env("SLUIS_LOG").unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    link::install_crypto();
    // Before any thread starts: the inherited descriptors are read once.
    let inherited = listen::inherited()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the async runtime does not start")?;
    let settings = Settings::from_env()?;
    match arguments.command {
        Command::Serve => {
            let descriptors = listen::raise_descriptor_limit();
            tracing::debug!(?descriptors, "Descriptors that this generation may have");
            let served = runtime.block_on(serve::run(settings, inherited));
            if let Err(error) = &served {
                listen::notify(&format!("FAILED={error:#}"));
            }
            served
        }
        Command::Migrate { to } => {
            runtime.block_on(migrate(&settings, to.unwrap_or(settings.schema)))
        }
    }
}

async fn migrate(settings: &Settings, level: u32) -> Result<()> {
    std::fs::create_dir_all(&settings.data)
        .with_context(|| format!("cannot make {}", settings.data.display()))?;
    let migrated = store::migrate(&settings.database(), level, clock::now()).await?;
    println!("{migrated:?}");
    Ok(())
}
