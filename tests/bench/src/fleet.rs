//! Many agents: memory of the site, and how fast they are back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use link::{ClientKind, Dialer, Event, Keeper};
use session::SigningKey;
use sluis_e2e::rig::Rig;

use crate::process::resident_kib;
use crate::row;

/// Until all agents are there, at most.
const LIMIT: Duration = Duration::from_mins(5);

/// Between two looks at how many there are.
const LOOK: Duration = Duration::from_millis(50);

/// How long memory has to stay the same to count.
const STEADY: Duration = Duration::from_secs(6);

/// Measures and prints.
///
/// # Errors
/// When the site does not take them all.
pub fn measure(agents: usize) -> Result<()> {
    let mut rig = Rig::new()?;
    let package = rig.package("1.0.0", 1, 1)?;
    rig.migrate(&package)?;
    let first = rig.start(&package)?;
    rig.control(first, "POST", "activate")?;
    let token = rig.enrolment_token()?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let began = Instant::now();
    let _fleet = connect(&runtime, &rig, agents, &token)?;
    wait(&rig, first, agents)?;
    let enrolled = began.elapsed();
    row(
        &format!("{agents} agents enrolled and connected"),
        "1/s",
        agents as f64 / enrolled.as_secs_f64(),
        None,
    );
    rig.kill(first)?;
    let began = Instant::now();
    // Its memory is measured here: the first process has hashed a password, whose memory the agents then use.
    let second = rig.start(&package)?;
    let before = resident_kib(rig.pid(second).context("the site runs")?)?;
    rig.control(second, "POST", "activate")?;
    wait(&rig, second, agents)?;
    let back = began.elapsed();
    let after = settled_kib(rig.pid(second).context("the site runs")?)?;
    row(
        "agents back after the site was killed (goal 1000)",
        "1/s",
        agents as f64 / back.as_secs_f64(),
        None,
    );
    row(
        "memory of the site per idle agent (goal 20)",
        "KiB",
        (after as f64 - before as f64) / agents as f64,
        None,
    );
    runtime.shutdown_background();
    Ok(())
}

/// Memory of a process once it has stayed the same for a while: what a rush left is given back after it.
fn settled_kib(pid: u32) -> Result<u64> {
    let (mut kib, mut since) = (resident_kib(pid)?, Instant::now());
    while since.elapsed() < STEADY {
        std::thread::sleep(LOOK);
        let now = resident_kib(pid)?;
        if now.abs_diff(kib) > kib / 100 {
            (kib, since) = (now, Instant::now());
        }
    }
    Ok(kib)
}

fn connect(
    runtime: &tokio::runtime::Runtime,
    rig: &Rig,
    agents: usize,
    token: &str,
) -> Result<Vec<tokio::task::JoinHandle<()>>> {
    let tls = link::client_config();
    let identity = rig.identity()?;
    (0..agents)
        .map(|i| {
            let mut seed = [7; 32];
            seed[..8].copy_from_slice(&(i as u64).to_le_bytes());
            let dialer = Dialer {
                address: rig.address().to_string(),
                kind: ClientKind::Agent,
                key: Arc::new(SigningKey::from_seed(&seed)?),
                pinned: vec![identity],
                name: format!("agent-{i}"),
                software: "1.0.0".to_owned(),
                revision: 1,
                token: Some(token.to_owned()),
                tls: tls.clone(),
            };
            Ok(runtime.spawn(async move {
                let mut keeper = Keeper::start(dialer);
                while let Some(event) = keeper.next().await {
                    if let Event::Stream(stream, _) = event {
                        drop(stream);
                    }
                }
            }))
        })
        .collect()
}

fn wait(rig: &Rig, generation: u64, agents: usize) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let status = rig.control(generation, "GET", "status")?;
        if status["agents_connected"].as_u64() == Some(agents as u64) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "generation {generation} has only {status}");
        // Each look costs the site something when there are many.
        std::thread::sleep(LOOK);
    }
}
