//! The site under test of the base's tests: real sockets, a real process, the contract of the control socket, and
//! ways to misbehave.
//!
//! On `https` it speaks, without TLS, HTTP for `GET` and a line protocol for agents: `AGENT id`, then numbered lines that
//! it writes to disk before it acknowledges them. What it does wrong stands in the file `behaviour` of its package.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::watch;

fn var(name: &str) -> PathBuf {
    std::env::var_os(name).unwrap_or_else(|| panic!("{name} is not set")).into()
}

fn main() -> ExitCode {
    let behaviour = std::fs::read_to_string(var("SLUIS_PACKAGE").join("behaviour"));
    let behaviour = behaviour.unwrap_or_default().trim().to_owned();
    match std::env::args().nth(1).as_deref() {
        Some("migrate") => migrate(&behaviour),
        Some("serve") => {
            let sockets = host::inherited_sockets().expect("sockets");
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(serve(behaviour, sockets))
        }
        other => panic!("unknown command {other:?}"),
    }
}

fn migrate(behaviour: &str) -> ExitCode {
    if behaviour == "fail-migration" {
        eprintln!("the table `sessions` cannot be expanded: it is on fire");
        return ExitCode::from(4);
    }
    let level = std::env::args().nth(3).expect("a level");
    std::fs::write(var("SLUIS_DATA").join("schema"), level).expect("a schema");
    ExitCode::SUCCESS
}

struct Site {
    generation: u64,
    behaviour: String,
    phase: watch::Sender<&'static str>,
    agents: Mutex<BTreeMap<u64, u64>>,
    served: watch::Sender<u64>,
}

async fn serve(behaviour: String, sockets: Vec<(String, OwnedFd)>) -> ExitCode {
    match behaviour.as_str() {
        "crash-at-start" => {
            host::notify("FAILED=the database is on fire");
            return ExitCode::from(101);
        }
        "crash-at-second-start" => {
            let mark = var("SLUIS_DATA").join("started");
            if std::fs::OpenOptions::new().write(true).create_new(true).open(mark).is_err() {
                return ExitCode::from(9);
            }
        }
        "hang-at-start" => std::future::pending::<()>().await,
        _ => {}
    }
    let generation: u64 =
        var("SLUIS_GENERATION").to_str().and_then(|n| n.parse().ok()).expect("a number");
    let site = Arc::new(Site {
        generation,
        behaviour,
        phase: watch::Sender::new("standby"),
        agents: Mutex::default(),
        served: watch::Sender::new(0),
    });
    let socket = var("SLUIS_RUN").join(format!("site-{generation}.sock"));
    let _ = std::fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket).expect("a control socket");
    let router = Router::new()
        .route("/control/status", get(status))
        .route("/control/health", get(health))
        .route("/control/selftest", post(selftest))
        .route("/control/activate", post(activate))
        .route("/control/drain", post(drain))
        .route("/control/stop", post(stop))
        .with_state(site.clone());
    for (name, fd) in sockets {
        assert_eq!(name, "https");
        let listener = std::net::TcpListener::from(fd);
        let listener = TcpListener::from_std(listener).expect("a listener");
        tokio::spawn(accept(site.clone(), listener));
    }
    if site.behaviour != "never-ready" {
        host::notify("READY=1\nSTATUS=ready");
    }
    axum::serve(listener, router).await.expect("a control socket");
    ExitCode::SUCCESS
}

async fn status(State(site): State<Arc<Site>>) -> Json<Value> {
    let agents = site.agents.lock().expect("agents").len();
    Json(json!({
        "generation": site.generation,
        "phase": *site.phase.borrow(),
        "agents_connected": agents,
        "sessions_live": agents,
    }))
}

async fn health(State(site): State<Arc<Site>>) -> (StatusCode, Json<Value>) {
    let active = *site.phase.borrow() == "active";
    let sick = match site.behaviour.as_str() {
        "sick" => true,
        "sick-in-trial" => active,
        _ => false,
    };
    let status = if sick { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let check = json!({ "name": "database", "ok": !sick, "text": "it cannot be written" });
    (status, Json(json!({ "ok": !sick, "checks": [check] })))
}

async fn selftest(State(site): State<Arc<Site>>) -> (StatusCode, Json<Value>) {
    match site.behaviour.as_str() {
        "fail-selftest" => (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(json!({ "ok": false, "millis": 1, "text": "the agent never answered" })),
        ),
        "hang-selftest" => std::future::pending().await,
        _ => (StatusCode::OK, Json(json!({ "ok": true, "millis": 1, "text": "" }))),
    }
}

async fn activate(State(site): State<Arc<Site>>) -> StatusCode {
    site.phase.send_replace("active");
    if site.behaviour == "eat-disk" {
        tokio::task::spawn_blocking(|| {
            let mut file = std::fs::File::create(var("SLUIS_DATA").join("eaten")).expect("a file");
            let block = vec![0; 64 << 10];
            while file.write_all(&block).is_ok() {}
        });
    }
    let after = match site.behaviour.as_str() {
        "crash-in-trial" => 300,
        "crash-later" => 6000,
        _ => return StatusCode::OK,
    };
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(after)).await;
        std::process::abort();
    });
    StatusCode::OK
}

async fn stop() -> StatusCode {
    std::process::exit(0)
}

async fn drain(State(site): State<Arc<Site>>) -> StatusCode {
    if !matches!(*site.phase.borrow(), "drained") {
        site.phase.send_replace("draining");
        tokio::spawn(async move {
            loop {
                if *site.phase.borrow() != "draining" {
                    return;
                }
                if site.agents.lock().expect("agents").is_empty() {
                    site.phase.send_replace("drained");
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }
    StatusCode::ACCEPTED
}

async fn accept(site: Arc<Site>, listener: TcpListener) {
    let mut phase = site.phase.subscribe();
    loop {
        if phase.wait_for(|phase| *phase == "active").await.is_err() {
            return;
        }
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                tokio::spawn(connection(site.clone(), stream));
            },
            _ = phase.wait_for(|phase| *phase != "active") => {}
        }
    }
}

async fn connection(site: Arc<Site>, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    let Ok(Some(first)) = lines.next_line().await else { return };
    if first.starts_with("GET ") {
        site.served.send_modify(|served| *served += 1);
        let body = format!("generation {}", site.generation);
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        let _ = writer.write_all((head + &body).as_bytes()).await;
        return;
    }
    let Some(id) = first.strip_prefix("AGENT ").and_then(|id| id.parse::<u64>().ok()) else {
        return;
    };
    if site.behaviour == "lose-agents" {
        return;
    }
    let key = {
        let mut agents = site.agents.lock().expect("agents");
        let key = agents.keys().last().map_or(0, |last| last + 1);
        agents.insert(key, id);
        key
    };
    let _ = agent(&site, id, &mut lines, &mut writer).await;
    site.agents.lock().expect("agents").remove(&key);
}

/// Tells the agent what it has of it, then takes lines until it is told to hand over.
async fn agent(
    site: &Site,
    id: u64,
    lines: &mut tokio::io::Lines<BufReader<tokio::net::tcp::OwnedReadHalf>>,
    writer: &mut tokio::net::tcp::OwnedWriteHalf,
) -> std::io::Result<()> {
    let path = var("SLUIS_DATA").join(format!("agent-{id}"));
    let had = std::fs::read_to_string(&path).unwrap_or_default();
    // A crash may have cut the last line off; the agent still has it.
    let whole = had.rfind('\n').map_or(0, |end| end + 1);
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(&path)?;
    file.set_len(whole as u64)?;
    let mut last: u64 =
        had[..whole].lines().last().and_then(|line| line.parse().ok()).unwrap_or_default();
    writer.write_all(format!("HAVE {last}\n").as_bytes()).await?;
    let mut phase = site.phase.subscribe();
    loop {
        let line = tokio::select! {
            line = lines.next_line() => line?,
            _ = phase.wait_for(|phase| *phase == "draining") => return Ok(()),
        };
        let Some(n) = line.and_then(|line| line.parse::<u64>().ok()) else { return Ok(()) };
        if n == last + 1 {
            file.write_all(format!("{n}\n").as_bytes())?;
            last = n;
        }
        writer.write_all(format!("ACK {last}\n").as_bytes()).await?;
    }
}
