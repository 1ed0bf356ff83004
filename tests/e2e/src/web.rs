//! An HTTPS client for the appliance: requests one by one, and steady load on kept and new
//! connections that counts every failure.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Requests to one address; its certificate is not checked, as it is the appliance's own.
#[derive(Clone)]
pub struct Web {
    address: SocketAddr,
    tls: Arc<rustls::ClientConfig>,
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The body as text.
    pub text: String,
    /// Whether the server ends the connection after it.
    pub closes: bool,
}

impl Answer {
    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }
}

type Sender = SendRequest<Full<Bytes>>;

impl Web {
    /// A client of that address.
    pub fn new(address: SocketAddr) -> Self {
        let mut tls = (*link::client_config()).clone();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { address, tls: Arc::new(tls) }
    }

    async fn connect(&self) -> Result<Sender> {
        let tcp = TcpStream::connect(self.address).await.context("the connection is refused")?;
        let name = ServerName::IpAddress(self.address.ip().into());
        let tls =
            TlsConnector::from(self.tls.clone()).connect(name, tcp).await.context("TLS fails")?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// Sends one request on a connection of its own.
    ///
    /// # Errors
    /// When no answer comes; an answer of any status is one.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Answer> {
        let mut sender = self.connect().await?;
        exchange(&mut sender, method, path, token, body).await
    }

    /// Sends one request from code that is not async.
    ///
    /// # Errors
    /// When no answer comes, or one that says no; its words are in the error.
    pub fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Value> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let answer = runtime.block_on(self.send(method.clone(), path, token, body))?;
        ensure!(answer.status.is_success(), "{method} {path}: {} {}", answer.status, answer.text);
        Ok(answer.json())
    }
}

async fn exchange(
    sender: &mut Sender,
    method: Method,
    path: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> Result<Answer> {
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let bytes = match body {
        Some(body) => {
            request = request.header("content-type", "application/json");
            Bytes::from(body.to_string())
        }
        None => Bytes::new(),
    };
    let answer =
        sender.send_request(request.body(Full::new(bytes))?).await.context("no answer came")?;
    let status = answer.status();
    let closes = answer.headers().get("connection").is_some_and(|value| value == "close");
    let body = answer.into_body().collect().await.context("the answer broke off")?.to_bytes();
    Ok(Answer { status, text: String::from_utf8_lossy(&body).into_owned(), closes })
}

/// Steady requests until it is stopped.
pub struct Load {
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
    thread: std::thread::JoinHandle<()>,
}

#[derive(Default)]
struct Counts {
    answered: AtomicU64,
    failed: AtomicU64,
    worst_us: AtomicU64,
    failures: Mutex<BTreeMap<String, u64>>,
}

impl Counts {
    fn failures(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a load saw.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Requests that were answered with 200.
    pub answered: u64,
    /// Requests that were not.
    pub failed: u64,
    /// The slowest answer.
    pub worst: Duration,
    /// What was said, and how often.
    pub failures: BTreeMap<String, u64>,
}

impl Load {
    /// Starts: one task on kept connections, one on new ones, a request each every 10 ms.
    pub fn start(web: Web, path: &'static str) -> Self {
        let (stop, counts) = (Arc::new(AtomicBool::new(false)), Arc::new(Counts::default()));
        let (stopped, counting) = (stop.clone(), counts.clone());
        let thread = std::thread::spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build()
            else {
                return;
            };
            runtime.block_on(async {
                tokio::join!(
                    steady(&web, path, Connections::Kept, &stopped, &counting),
                    steady(&web, path, Connections::New, &stopped, &counting)
                )
            });
        });
        Self { stop, counts, thread }
    }

    /// Stops and says what it saw.
    pub fn finish(self) -> Seen {
        self.stop.store(true, Ordering::Release);
        let _ = self.thread.join();
        Seen {
            answered: self.counts.answered.load(Ordering::Acquire),
            failed: self.counts.failed.load(Ordering::Acquire),
            worst: Duration::from_micros(self.counts.worst_us.load(Ordering::Acquire)),
            failures: self.counts.failures().clone(),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Connections {
    Kept,
    New,
}

async fn steady(
    web: &Web,
    path: &str,
    connections: Connections,
    stop: &AtomicBool,
    counts: &Counts,
) {
    let mut kept: Option<Sender> = None;
    while !stop.load(Ordering::Acquire) {
        let began = Instant::now();
        let answered = async {
            let mut sender = match kept.take() {
                Some(sender) => sender,
                None => web.connect().await?,
            };
            let answer = exchange(&mut sender, Method::GET, path, None, None).await?;
            ensure!(answer.status == StatusCode::OK, "{}: {}", answer.status, answer.text);
            if connections == Connections::Kept && !answer.closes {
                kept = Some(sender);
            }
            Ok(())
        };
        match answered.await {
            Ok(()) => {
                counts.answered.fetch_add(1, Ordering::AcqRel);
            }
            Err(error) => {
                counts.failed.fetch_add(1, Ordering::AcqRel);
                *counts.failures().entry(format!("{error:#}")).or_default() += 1;
            }
        }
        let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        counts.worst_us.fetch_max(took, Ordering::AcqRel);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
