//! The access console and administration command line.
//!
//! Everything goes over one link to the site: sessions on streams of their own, and the HTTP API on
//! others, so that the identity pinned at the first sign-in protects it all.

mod admin;
mod api;
mod appliance;
mod commands;
mod connect;
mod exit;
mod os;
mod profile;
mod session;
mod stdio;
mod update;
mod version;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::admin::Site;
use crate::exit::Problem;

/// The allocator of the static build, for musl's gives memory back with every large buffer and takes it again with
/// the next, which bulk output pays for with every record. This one keeps what it had, so the agent, which is idle
/// nearly always, does without.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

#[derive(Parser)]
#[command(
    name = "sluis",
    about = "Access console: open sessions to Jump Clients, and administer the appliance",
    version = version::text(),
    after_help = "Sign in once with `sluis login HOST[:PORT]`, then `sluis ls`, `sluis jump NAME`.",
    arg_required_else_help = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Where the profile is kept: the console's identity and the sites it knows
    #[arg(long, global = true, env = "SLUIS_HOME", value_name = "DIR")]
    home: Option<std::path::PathBuf>,
    /// Print JSON for programs instead of text for people
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Sign in to a site and register this console there
    Login(LoginArguments),
    /// Sign out: this console can no longer be used until the next `login`
    Logout,
    /// List the Jump Clients
    Ls,
    /// Open a shell on a Jump Client
    Jump {
        /// Name or id of the Jump Client
        name: String,
    },
    /// Run one command on a Jump Client; its exit status becomes that of `sluis`
    Exec {
        /// Name or id of the Jump Client
        name: String,
        /// Run it on a terminal, as `ssh -t` does
        #[arg(short = 't', long)]
        terminal: bool,
        /// The command and its arguments, after `--`
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// List sessions: those that run, and past ones
    Sessions {
        /// How many past ones
        #[arg(long, default_value_t = 20)]
        past: u32,
    },
    /// End a session
    End {
        /// Its id, as `sluis sessions` shows it
        session: String,
    },
    /// Administer Jump Clients
    Clients {
        #[command(subcommand)]
        command: admin::Clients,
    },
    /// Administer tokens that enrol Jump Clients
    EnrolmentTokens {
        #[command(subcommand)]
        command: admin::EnrolmentTokens,
    },
    /// List and fetch recordings
    Recordings {
        #[command(subcommand)]
        command: admin::Recordings,
    },
    /// Administer operators and administrators of the site
    Users {
        #[command(subcommand)]
        command: admin::Users,
    },
    /// Administer access consoles
    Consoles {
        #[command(subcommand)]
        command: admin::Consoles,
    },
    /// Administer bearer tokens of the API
    Tokens {
        #[command(subcommand)]
        command: admin::Tokens,
    },
    /// Show who did what and when
    Audit(admin::Audit),
    /// Show version and revision of this console and of the site
    About,
    /// Administer the appliance
    Appliance {
        #[command(subcommand)]
        command: appliance::Command,
    },
}

#[derive(Args)]
struct LoginArguments {
    /// Host, and port if it is not 443
    site: String,
    /// The account's name; asked for when left out
    #[arg(long, short)]
    user: Option<String>,
    /// Read the password from standard input instead of asking
    #[arg(long)]
    password_stdin: bool,
    /// The identity that the site must have, as its administrator gave it to you
    #[arg(long, value_name = "KEY")]
    site_key: Option<model::PublicKey>,
    /// What this console is called at the site; the host's name when left out
    #[arg(long)]
    console_name: Option<String>,
}

fn main() -> ExitCode {
    end_quietly_when_nobody_reads();
    let arguments = Arguments::parse();
    link::install_crypto();
    // One thread: a keystroke and its echo should not wait for another one to wake up.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return exit::report(arguments.json, &Problem::from(anyhow::Error::new(error)));
        }
    };
    let json = arguments.json;
    // As a task: waking what the runtime blocks on is a system call each time.
    let result = runtime.block_on(async { tokio::spawn(run(arguments)).await });
    let result = result.unwrap_or_else(|died| Err(anyhow::Error::new(died).into()));
    // A thread that reads the keyboard cannot be stopped; it must not keep us.
    runtime.shutdown_background();
    match result {
        Ok(code) => code,
        Err(problem) => exit::report(json, &problem),
    }
}

/// `sluis sessions | head` is no fault of anybody: whoever reads has had enough.
fn end_quietly_when_nobody_reads() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload_as_str().is_some_and(|text| text.starts_with("failed printing to stdout"))
        {
            // As a shell counts an end by SIGPIPE.
            std::process::exit(128 + 13);
        }
        usual(panic);
    }));
}

async fn run(arguments: Arguments) -> Result<ExitCode, Problem> {
    let profile = profile::Profile::open(arguments.home)?;
    let json = arguments.json;
    match arguments.command {
        Command::Login(login) => commands::login(&profile, login, json).await,
        Command::Logout => commands::logout(&profile).await,
        Command::Ls => commands::list(&profile, json).await,
        Command::Jump { name } => session::run(&profile, &name, None, true).await,
        Command::Exec { name, terminal, command } => {
            session::run(&profile, &name, Some(session::command_line(&command)), terminal).await
        }
        Command::Sessions { past } => commands::sessions(&profile, past, json).await,
        Command::End { session } => Site::connect(&profile, json).await?.end(&session).await,
        Command::Clients { command } => Site::connect(&profile, json).await?.clients(command).await,
        Command::EnrolmentTokens { command } => {
            Site::connect(&profile, json).await?.enrolment_tokens(command).await
        }
        Command::Recordings { command } => {
            Site::connect(&profile, json).await?.recordings(command).await
        }
        Command::Users { command } => Site::connect(&profile, json).await?.users(command).await,
        Command::Consoles { command } => {
            Site::connect(&profile, json).await?.consoles(command).await
        }
        Command::Tokens { command } => Site::connect(&profile, json).await?.tokens(command).await,
        Command::Audit(asked) => Site::connect(&profile, json).await?.audit(asked).await,
        Command::About => commands::about(&profile, json).await,
        Command::Appliance { command } => appliance::run(&profile, command, json).await,
    }
}
