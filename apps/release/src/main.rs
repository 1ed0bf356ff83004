//! Makes keys, builds, signs and publishes packages.
//!
//! Maintainers run it; its output is a TUF repository, a folder that `sluis-update` or any web server
//! gives out. `docs/operate/releasing.md` shows its use.

mod all;
mod build;
mod files;
mod inspect;
mod keys;
mod package;
mod publish;
mod repo;
mod rotate;
mod when;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Makes keys, builds, signs and publishes packages of Sluis.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Signing keys.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Repositories.
    #[command(subcommand)]
    Repo(publish::RepoCommand),
    /// Build one package or program from files; the same input makes the same bytes.
    Build(Box<build::Build>),
    /// Add packages and programs to a repository, all at once.
    Publish(publish::Publish),
    /// Build and publish base, site, agent and console of one version in one go.
    Release(Box<all::ReleaseAll>),
    /// Add signatures to a metadata file.
    Sign(rotate::Sign),
    /// Publish the next root: new keys, new thresholds, or a later expiry.
    RotateRoot(rotate::RotateRoot),
    /// Sign the timestamp anew, so that it does not expire.
    Timestamp(publish::Refresh),
    /// Say what a file is.
    Inspect(inspect::Inspect),
    /// Check a whole repository as a client would.
    Verify(publish::Verify),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Keys(command) => command.run(),
        Command::Repo(command) => command.run(),
        Command::Build(build) => build.run(),
        Command::Publish(publish) => publish.run(),
        Command::Release(release) => release.run(),
        Command::Sign(sign) => sign.run(),
        Command::RotateRoot(rotate) => rotate.run(),
        Command::Timestamp(refresh) => refresh.run(),
        Command::Inspect(inspect) => inspect.run(),
        Command::Verify(verify) => verify.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sluis-release: {error:#}");
            ExitCode::FAILURE
        }
    }
}
