//! `sluis-base`: holds the sockets of an appliance, installs packages, supervises the site.
//!
//! `run` is the *keeper*: it opens the sockets, starts the base from its current slot and starts it again when it
//! dies. `serve` is the base itself. `launch` becomes another program with sockets in place.
//! Why there are two is told in `docs/design/0003-base-self-update.md`.

mod accounts;
mod api;
mod base;
mod cli;
mod config;
mod doctor;
mod effects;
mod enrol;
mod https;
mod init;
mod installer;
mod keeper;
mod last_check;
mod license;
mod log;
mod pages;
mod past;
mod paths;
mod plan_words;
mod preflight;
mod reports;
mod revive;
mod secrets;
mod self_update;
mod serve;
mod signed_in;
mod site;
mod trust;
mod update_server;
mod way;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything opens a descriptor or starts a thread.
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|first| first == host::LAUNCH) {
        let Some(program) = args.next() else { return ExitCode::from(2) };
        let rest: Vec<_> = args.collect();
        let error = host::launch_main(program.as_ref(), &rest);
        eprintln!("sluis-base launch: {} cannot be started: {error}", program.display());
        return ExitCode::from(127);
    }
    cli::main()
}
