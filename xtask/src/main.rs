//! The commands of the workspace: `cargo xtask <command>`.
//!
//! Everything that a person or a pipeline runs goes through here, so that there is one list of
//! what is needed ([`needs`]), one place that installs it ([`setup`]) and one order of checks
//! ([`check`]).

mod check;
mod command;
mod deps;
mod fuzz;
mod layers;
mod needs;
mod programs;
mod setup;
mod workspace;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use crate::command::{Step, Steps};
use crate::needs::Purpose;
use crate::programs::{Programs, Speed};
use crate::workspace::Workspace;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The commands of the workspace")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build everything, start a small world, update it under live sessions.
    Demo {
        /// Handed on to the demo; `--exit` ends it instead of staying up.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Install what the tests need, then run them all.
    Test {
        /// Handed on to the test runner, for example the name of a test.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Everything that needs no test run: format, layers, dependencies, clippy, Windows.
    Check,
    /// What CI runs: check, then test.
    Ci,
    /// Measure the product against its anchors and print ratios.
    Bench {
        /// Handed on to the benchmark.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Let libFuzzer look for inputs that break a decoder of `tests/fuzz`.
    Fuzz {
        /// Name of the decoder, such as `frame`.
        decoder: String,
        /// How long to look.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Install what builds, tests and checks need from the package registries.
    Setup,
    /// Who uses whom, and whether ARCHITECTURE.md names every crate.
    Layers,
    /// Outside dependencies against deny.toml.
    Deps,
    /// Format all code.
    Fmt,
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    let workspace = Workspace::read()?;
    match task {
        Task::Demo { args } => demo(&workspace, &args),
        Task::Test { args } => test(&workspace, &args, &mut Steps::default()),
        Task::Check => {
            let mut steps = Steps::default();
            check::run(&workspace, &mut steps)?;
            println!("\n{steps}");
            Ok(())
        }
        Task::Ci => {
            let mut steps = Steps::default();
            check::run(&workspace, &mut steps)?;
            test(&workspace, &[], &mut steps)
        }
        Task::Bench { args } => bench(&workspace, &args),
        Task::Fuzz { decoder, seconds } => fuzz::run(&workspace, &decoder, seconds),
        Task::Setup => setup::run(&workspace, &[Purpose::USUAL, &[Purpose::Check]].concat()),
        Task::Layers => check::layers(&workspace),
        Task::Deps => check::deps(&workspace),
        Task::Fmt => Step::cargo(&workspace, &["fmt", "--all"]).run(),
    }
}

fn demo(workspace: &Workspace, args: &[String]) -> Result<()> {
    setup::run(workspace, &[Purpose::Build])?;
    let programs = Programs::build(workspace, Speed::Debug)?;
    Step::new(workspace, &programs.path("sluis-demo").display().to_string(), &[])
        .args(args)
        .envs(programs.envs())
        .run()
        .context("The demo did not come to its good end; what it printed last says where")
}

/// Runs all tests. The minutes of everything before stand above the runner's own closing line,
/// which stays the last thing printed.
fn test(workspace: &Workspace, args: &[String], steps: &mut Steps) -> Result<()> {
    steps.time("set-up", || setup::run(workspace, Purpose::USUAL))?;
    let programs = steps.time("programs", || Programs::build(workspace, Speed::Debug))?;
    steps.time("tests built", || {
        Step::cargo(workspace, &["nextest", "run", "--workspace", "--locked", "--no-run"])
            .envs(programs.envs())
            .run()
    })?;
    println!("\n{steps}");
    Step::cargo(workspace, &["nextest", "run", "--workspace", "--locked"])
        .args(args)
        .envs(programs.envs())
        .envs(setup::envs(workspace))
        .run()
}

fn bench(workspace: &Workspace, args: &[String]) -> Result<()> {
    setup::run(workspace, &[Purpose::USUAL, &[Purpose::Bench]].concat())?;
    let programs = Programs::build(workspace, Speed::Shipped)?;
    // It was built with the others: `cargo run` would build everything again with other features.
    Step::new(workspace, &programs.path("sluis-bench").display().to_string(), &[])
        .args(args)
        .envs(programs.envs())
        .run()
}
