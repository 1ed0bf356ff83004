//! Clients of the small site: agents that send numbered lines and never forget one, and requests that must not fail.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// One plain request on a new connection; answers the body.
pub async fn get(address: SocketAddr) -> std::io::Result<String> {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        match answer.split_once("\r\n\r\n") {
            Some((head, body)) if head.starts_with("HTTP/1.1 200") => Ok(body.to_owned()),
            _ => Err(std::io::Error::other(format!("no answer: {answer:?}"))),
        }
    };
    tokio::time::timeout(Duration::from_secs(10), ask).await?
}

/// Agents at work.
pub struct Agents {
    stop: Arc<AtomicBool>,
    stall_max_ms: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<u64>>,
    requests: JoinHandle<(u64, Vec<String>)>,
}

/// What became of them.
#[derive(Debug)]
pub struct Outcome {
    pub lines: u64,
    pub stall_max: Duration,
    pub requests: u64,
    pub failed: Vec<String>,
}

impl Agents {
    pub fn start(address: SocketAddr, count: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stall_max_ms = Arc::new(AtomicU64::new(0));
        let tasks = (0..count)
            .map(|id| tokio::spawn(agent(address, id, stop.clone(), stall_max_ms.clone())))
            .collect();
        let stopped = stop.clone();
        let requests = tokio::spawn(async move {
            let (mut count, mut failed) = (0, vec![]);
            while !stopped.load(Ordering::Relaxed) {
                count += 1;
                if let Err(error) = get(address).await {
                    failed.push(error.to_string());
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            (count, failed)
        });
        Self { stop, stall_max_ms, tasks, requests }
    }

    /// Stops them and holds what the site wrote against what was acknowledged: each line once and in order.
    pub async fn stop(self, data: &Path) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        let mut lines = 0;
        for (id, task) in self.tasks.into_iter().enumerate() {
            let acknowledged = task.await.unwrap();
            let text =
                std::fs::read_to_string(data.join(format!("site/agent-{id}"))).unwrap_or_default();
            let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
            let found: Vec<u64> = whole.lines().map(|line| line.parse().unwrap()).collect();
            let expected: Vec<u64> = (1..=found.len() as u64).collect();
            assert_eq!(found, expected, "agent {id}: a line is missing or doubled");
            assert!(found.len() as u64 >= acknowledged, "agent {id}: an acknowledged line is lost");
            lines += acknowledged;
        }
        let (requests, failed) = self.requests.await.unwrap();
        let stall_max = Duration::from_millis(self.stall_max_ms.load(Ordering::Relaxed));
        Outcome { lines, stall_max, requests, failed }
    }
}

/// Sends numbers until told to stop; answers the last one that was acknowledged.
async fn agent(address: SocketAddr, id: u64, stop: Arc<AtomicBool>, stall: Arc<AtomicU64>) -> u64 {
    let mut acknowledged = 0;
    let mut last = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        // A broken connection is what this is about.
        let _ = connected(address, id, &stop, &stall, &mut acknowledged, &mut last).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    acknowledged
}

async fn connected(
    address: SocketAddr,
    id: u64,
    stop: &AtomicBool,
    stall: &AtomicU64,
    acknowledged: &mut u64,
    last: &mut Instant,
) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.split();
    let mut lines = BufReader::new(reader).lines();
    writer.write_all(format!("AGENT {id}\n").as_bytes()).await?;
    let mut next = number(&mut lines, "HAVE ").await? + 1;
    while !stop.load(Ordering::Relaxed) {
        writer.write_all(format!("{next}\n").as_bytes()).await?;
        *acknowledged = number(&mut lines, "ACK ").await?.max(*acknowledged);
        let waited = u64::try_from(last.elapsed().as_millis()).unwrap_or(u64::MAX);
        stall.fetch_max(waited, Ordering::Relaxed);
        *last = Instant::now();
        next = *acknowledged + 1;
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    Ok(())
}

async fn number(
    lines: &mut tokio::io::Lines<BufReader<tokio::net::tcp::ReadHalf<'_>>>,
    word: &str,
) -> std::io::Result<u64> {
    let line = lines.next_line().await?.unwrap_or_default();
    line.strip_prefix(word)
        .and_then(|n| n.parse().ok())
        .ok_or_else(|| std::io::Error::other("broken off"))
}
