//! A site that fails: the real one, sabotaged in the one way that the file `fault` in its package names.
//!
//! What is not sabotaged is `sluis-site` itself, in this very process. The stories in
//! `tests/bad_release.rs` package it as `bin/sluis-site`.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::net::{Shutdown, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{
    PidfdFlags, PidfdGetfdFlags, Signal, getpid, kill_process, pidfd_getfd, pidfd_open,
};
use serde_json::Value;
use sluis_e2e::control;
use sqlx::Connection;

/// Set when the process was started anew with another environment.
const CHANGED: &str = "SLUIS_FAULT_IS_SET_UP";
/// How often the generation is asked how it is.
const LOOK: Duration = Duration::from_millis(20);
/// What eats does so in steps, this far apart.
const STEP: Duration = Duration::from_millis(50);

fn main() -> Result<()> {
    let fault = fs::read_to_string(folder("SLUIS_PACKAGE")?.join("fault"))?;
    if std::env::args().nth(1).as_deref() == Some("migrate") {
        return migrate(fault.trim());
    }
    sabotage(fault.trim())?;
    sluis_site::main()
}

fn folder(name: &str) -> Result<PathBuf> {
    std::env::var_os(name).map(PathBuf::from).with_context(|| format!("{name} is not set"))
}

fn migrate(fault: &str) -> Result<()> {
    match fault {
        "fail-migration" => {
            sluis_site::main()?;
            bail!("the last step of the migration failed")
        }
        "hang-migration" => hold_database(),
        _ => sluis_site::main(),
    }
}

/// Begins to write and never ends.
fn hold_database() -> Result<()> {
    let path = folder("SLUIS_DATA")?.join("site.db");
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await?;
        let _transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        std::future::pending().await
    })
}

/// Does what the fault needs before the site runs, or beside it.
fn sabotage(fault: &str) -> Result<()> {
    let program = std::env::current_exe()?;
    match fault {
        "crash-at-start" => std::process::abort(),
        "hang-at-start" => loop {
            std::thread::park();
        },
        "no-certificate" => start_anew("SLUIS_TLS", "/nowhere", Command::new(program)),
        // The health is asked on a Unix socket and the port is inherited: both work without a network.
        "no-session" => start_anew("SLUIS_NETWORK", "none", without_network(&program)),
        "other-identity" => forget_identity(),
        "lose-agents" => when(is_active, || lose_agents().unwrap_or_else(|e| panic!("{e:#}"))),
        "eat-disk" => when(is_active, || eat_disk().unwrap_or_else(|error| panic!("{error:#}"))),
        "eat-memory" => when(is_active, eat_memory),
        "crash-in-trial" => when(is_active, || std::process::abort()),
        "crash-under-load" => when(carries_sessions, || std::process::abort()),
        "crash-after-commit" => when(is_active, || {
            std::thread::sleep(Duration::from_secs(5));
            std::process::abort()
        }),
        "hang-in-trial" => when(carries_sessions, || {
            let _ = kill_process(getpid(), Signal::STOP);
        }),
        other => bail!("“{other}” is no fault"),
    }
}

/// Becomes the program with that variable set, unless it is set already.
fn start_anew(name: &str, value: impl AsRef<OsStr>, mut program: Command) -> Result<()> {
    if std::env::var_os(CHANGED).is_some() {
        return Ok(());
    }
    let error = program.args(std::env::args_os().skip(1)).env(CHANGED, "1").env(name, value).exec();
    Err(error).context("the program cannot be started anew")
}

/// The program with no network but what it inherits.
fn without_network(program: &Path) -> Command {
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["--net", "--"]).arg(program);
    command
}

/// Begins with another identity, which no agent trusts; on disk the right one is back at once.
fn forget_identity() -> Result<()> {
    let path = folder("SLUIS_DATA")?.join("site.key");
    let aside = path.with_extension("aside");
    fs::rename(&path, &aside)?;
    when(
        |_| true,
        move || fs::rename(aside, path).unwrap_or_else(|error| panic!("the identity: {error}")),
    )
}

/// Runs something beside the site as soon as the generation is in some state.
fn when(state: fn(&Value) -> bool, then: impl FnOnce() + Send + 'static) -> Result<()> {
    let generation = std::env::var("SLUIS_GENERATION").context("SLUIS_GENERATION is not set")?;
    let socket = folder("SLUIS_RUN")?.join(format!("site-{generation}.sock"));
    std::thread::spawn(move || {
        while !control::request(&socket, "GET", "/control/status", None)
            .is_ok_and(|(_, status)| state(&status))
        {
            std::thread::sleep(LOOK);
        }
        then();
    });
    Ok(())
}

fn is_active(status: &Value) -> bool {
    status["phase"] == "active"
}

fn carries_sessions(status: &Value) -> bool {
    is_active(status) && status["sessions_live"].as_u64() >= Some(2)
}

/// Cuts every connection that an agent of this machine makes, and no other.
fn lose_agents() -> Result<()> {
    let own = pidfd_open(getpid(), PidfdFlags::empty())?;
    loop {
        let agents = ports_of("sluis-agent")?;
        for descriptor in fs::read_dir("/proc/self/fd")?.flatten() {
            let Ok(number) = descriptor.file_name().to_string_lossy().parse() else { continue };
            // What is closed meanwhile, or is no connection, is not meant.
            let Ok(socket) = pidfd_getfd(&own, number, PidfdGetfdFlags::empty()) else { continue };
            let stream = TcpStream::from(socket);
            if stream.peer_addr().is_ok_and(|peer| agents.contains(&peer.port())) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        std::thread::sleep(LOOK);
    }
}

/// The TCP ports that programs of that name have connections from.
fn ports_of(program: &str) -> Result<HashSet<u16>> {
    let mut sockets = HashSet::new();
    for process in fs::read_dir("/proc")?.flatten() {
        let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        if name.trim() != program {
            continue;
        }
        let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else { continue };
        let targets = descriptors.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
        sockets.extend(targets.map(|target| target.to_string_lossy().into_owned()));
    }
    // Columns: number, local address, remote address, state, …; the tenth is the socket's number.
    let table = fs::read_to_string("/proc/net/tcp")?;
    let ports = table.lines().skip(1).filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let port = columns.get(1)?.rsplit(':').next()?;
        sockets.contains(&format!("socket:[{}]", columns.get(9)?)).then_some(port)
    });
    Ok(ports.filter_map(|port| u16::from_str_radix(port, 16).ok()).collect())
}

/// 320 MiB a second, until nothing is left.
fn eat_disk() -> Result<()> {
    use std::io::Write;
    let mut file = fs::File::create(folder("SLUIS_DATA")?.join("eaten"))?;
    let block = vec![1; 16 << 20];
    loop {
        file.write_all(&block)?;
        std::thread::sleep(STEP);
    }
}

/// 640 MiB a second, up to 3 GiB.
fn eat_memory() {
    let mut eaten = vec![];
    while eaten.len() < 96 {
        eaten.push(vec![1_u8; 32 << 20]);
        std::thread::sleep(STEP);
    }
    loop {
        std::thread::park();
    }
}
