//! An agent that fails: the real serving process, sabotaged in the one way that is written behind the
//! last byte of its program.
//!
//! The keeper that judges it is that of the version before. The stories in `tests/bad_release.rs` publish it.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use sluis_agent::config::Config;

/// What stands before the name of the fault.
const MARK: &str = "sluis-fault=";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, serve, data_option, data] = &arguments[..] else { bail!("usage: serve --data DIR") };
    anyhow::ensure!(serve == "serve" && data_option == "--data", "usage: serve --data DIR");
    let data = PathBuf::from(data);
    let mut config = Config::load(&data)?;
    match fault()?.as_str() {
        "crash-at-start" => std::process::abort(),
        "hang-at-start" => loop {
            std::thread::park();
        },
        // Nobody listens there.
        "wrong-address" => "127.0.0.1:1".clone_into(&mut config.site),
        // The site is reached, and not believed.
        "wrong-site" => config.site_keys = vec![model::PublicKey([7; 32])],
        "crash-at-resume" => crash_at("Session resumed"),
        "crash-when-proven" => crash_at("Version works here"),
        other => bail!("“{other}” is no fault"),
    }
    link::install_crypto();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build()?;
    runtime.block_on(sluis_agent::agent::serve(&data, config, sluis_agent::own_release()))
}

/// Ends the process when it is about to log this.
fn crash_at(words: &'static str) {
    tracing_subscriber::fmt().with_writer(move || Trap(words)).init();
}

struct Trap(&'static str);

impl std::io::Write for Trap {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if String::from_utf8_lossy(bytes).contains(self.0) {
            std::process::abort();
        }
        std::io::stderr().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn fault() -> Result<String> {
    let program = std::fs::read(std::env::current_exe()?)?;
    let tail = String::from_utf8_lossy(&program[program.len().saturating_sub(4096)..]).into_owned();
    let (_, fault) = tail.rsplit_once(MARK).context("the program names no fault")?;
    Ok(fault.split(';').next().unwrap_or_default().to_owned())
}
