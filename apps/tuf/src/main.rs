//! `sluis-tuf`: the TUF client on the command line, as conformance suites drive it.
//!
//! ```text
//!   sluis-tuf --metadata-dir D init ROOT.json
//!   sluis-tuf --metadata-url U --metadata-dir D refresh
//!   sluis-tuf --metadata-url U --metadata-dir D --target-name N --target-dir T --target-base-url B download
//! ```
//!
//! It exits with 0 when all is well and with 1 when not, and says why on standard error.
//! `D` then holds what is trusted, byte for byte, as `ROLE.json`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use model::Timestamp;
use tuf_client::{Client, Error, HttpRepository, Pace, StoreError, TrustedStore};

/// Follows a TUF repository.
#[derive(Debug, Parser)]
#[command(name = "sluis-tuf", version)]
struct Arguments {
    /// Directory of what is trusted.
    #[arg(long, value_name = "DIR")]
    metadata_dir: PathBuf,
    /// Address of the repository's metadata.
    #[arg(long, value_name = "URL")]
    metadata_url: Option<String>,
    /// Name of the target to download.
    #[arg(long, value_name = "NAME")]
    target_name: Option<String>,
    /// Directory to download into.
    #[arg(long, value_name = "DIR")]
    target_dir: Option<PathBuf>,
    /// Address of the repository's targets.
    #[arg(long, value_name = "URL")]
    target_base_url: Option<String>,
    /// Give up when hardly any bytes came for so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    stall_seconds: u64,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Trust a first root.
    Init {
        /// The root, got in a way that you trust.
        root: PathBuf,
    },
    /// Bring the metadata up to date.
    Refresh,
    /// Bring the metadata up to date and download a target.
    Download,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sluis-tuf: {error:#}");
            if let Some(remedy) = remedy(&error) {
                eprintln!("{remedy}");
            }
            ExitCode::FAILURE
        }
    }
}

fn remedy(error: &anyhow::Error) -> Option<&'static str> {
    error
        .downcast_ref::<Error>()
        .map(Error::remedy)
        .or_else(|| error.downcast_ref::<StoreError>().map(StoreError::remedy))
}

fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.command {
        Command::Init { root } => init(arguments, root),
        // One thread: what is done to the store is then done in one order.
        command => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("the runtime cannot start")?
            .block_on(follow(arguments, matches!(command, Command::Download))),
    }
}

fn init(arguments: &Arguments, root: &PathBuf) -> Result<()> {
    let bytes = std::fs::read(root).with_context(|| format!("{} is no root", root.display()))?;
    TrustedStore::init(&arguments.metadata_dir, &bytes)?;
    Ok(())
}

async fn follow(arguments: &Arguments, download: bool) -> Result<()> {
    let metadata = arguments.metadata_url.as_deref().context("--metadata-url is missing")?;
    let targets = arguments.target_base_url.as_deref();
    // A store that is no good is said before anything is asked of the repository.
    let store = TrustedStore::open(&arguments.metadata_dir)?;
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let repository = HttpRepository::new(metadata, targets.unwrap_or(metadata))
        .with_context(|| format!("{metadata} cannot be used"))?;
    let pace = Pace { window: Duration::from_secs(arguments.stall_seconds), ..Pace::default() };
    let mut client = Client::new(repository, store).with_pace(pace);
    client.refresh(now()).await?;
    if download {
        let name = arguments.target_name.as_deref().context("--target-name is missing")?;
        let directory = arguments.target_dir.as_deref().context("--target-dir is missing")?;
        targets.context("--target-base-url is missing")?;
        let target = client.target(name).await?;
        client.download(&target, directory, &mut |_| {}).await?;
    }
    Ok(())
}

/// The system's clock; a conformance suite moves it.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
