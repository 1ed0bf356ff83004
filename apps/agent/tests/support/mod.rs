//! A site in miniature: accepts links, serves the rescue channel from a folder.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_RANGE, RANGE};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use link::{Accepted, Acceptor, Greeter, Link, Reader, Writer};
use model::{PublicKey, Timestamp as Moment};
use session::{
    AgentStatus, ClientHello, Frame, Message, SendFrom, SigningKey, StartSession, Welcome,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tuf::Signed;
use tuf::schema::{MetaFile, Metadata, RoleType, Root, Snapshot, TargetFile, Targets, Timestamp};

const EXPIRES: Moment = Moment::from_secs(1_924_905_600);

/// Far above what anything takes; only a failing test waits so long.
pub const PATIENCE: Duration = Duration::from_mins(1);

pub struct Site {
    pub address: SocketAddr,
    pub key: PublicKey,
    folder: tempfile::TempDir,
    links: mpsc::Receiver<(ClientHello, Link)>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Site {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let key = SigningKey::from_seed(&[5; 32]).unwrap();
        let public = key.public();
        let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let pem = (certificate.cert.pem(), certificate.signing_key.serialize_pem());
        let config = link::server_config(pem.0.as_bytes(), pem.1.as_bytes()).unwrap();
        let greeter = Greeter { key, version: "1.0.0".into(), revision: 1, generation: 1 };
        let acceptor = Acceptor::new(config, greeter);
        let (arrive, links) = mpsc::channel(16);
        let asked = Arc::default();
        let site = Self {
            address: listener.local_addr().unwrap(),
            key: public,
            folder,
            links,
            asked: Arc::clone(&asked),
        };
        let www = site.folder.path().to_owned();
        tokio::spawn(async move {
            while let Ok((tcp, from)) = listener.accept().await {
                let (acceptor, arrive) = (acceptor.clone(), arrive.clone());
                let (www, asked) = (www.clone(), Arc::clone(&asked));
                tokio::spawn(async move {
                    match acceptor.accept(tcp, from).await {
                        Ok(Accepted::Link(request)) => {
                            let hello = request.hello.clone();
                            let id = Some(vec![9; 16]);
                            let welcome = Welcome { id, name: "web-1".into(), known: true };
                            if let Ok(link) = request.welcome(welcome).await {
                                let _ = arrive.send((hello, link)).await;
                            }
                        }
                        Ok(Accepted::Http(tls)) => rescue(*tls, www, asked).await,
                        Err(_) => {}
                    }
                });
            }
        });
        site
    }

    /// The next link and what its client says of itself.
    pub async fn link(&mut self) -> (ClientHello, Link) {
        tokio::time::timeout(PATIENCE, self.links.recv()).await.expect("a link in time").unwrap()
    }

    /// Whether a client dials within that time.
    pub async fn is_dialled_within(&mut self, time: Duration) -> bool {
        tokio::time::timeout(time, self.links.recv()).await.is_ok()
    }

    /// Serves the rescue channel on the next stream of a link, as on a connection of its own.
    pub async fn serve_stream(&self, link: &mut Link) {
        let (mut reader, writer) = link.accept().await.expect("a stream").split();
        assert!(matches!(reader.message().await.unwrap(), Message::OpenApi(_)));
        let socket = reader.into_stream(writer);
        rescue(socket, self.folder.path().to_owned(), Arc::clone(&self.asked)).await;
    }

    /// Requests for targets so far.
    pub fn downloads(&self) -> usize {
        self.asked.lock().unwrap().iter().filter(|path| path.contains("/targets/")).count()
    }

    /// Publishes one target in version `n` of the repository.
    pub fn publish(&self, n: u64, name: &str, content: &[u8], custom: serde_json::Value) {
        let metadata = self.folder.path().join("metadata");
        let files = self.folder.path().join("targets");
        std::fs::create_dir_all(&metadata).unwrap();
        std::fs::create_dir_all(&files).unwrap();
        let file = TargetFile::of(content, Some(custom));
        let (_, base) = name.rsplit_once('/').unwrap();
        std::fs::write(files.join(format!("{}.{base}", file.hashes["sha256"])), content).unwrap();
        let mut targets = Targets::new(n, EXPIRES);
        targets.targets.insert(name.to_owned(), file);
        let targets = signed(targets, 4);
        let named = BTreeMap::from([("targets.json".to_owned(), MetaFile::of(n, &targets))]);
        let snapshot = signed(Snapshot::new(n, EXPIRES, named), 3);
        let timestamp = signed(Timestamp::new(n, EXPIRES, MetaFile::of(n, &snapshot)), 2);
        std::fs::write(metadata.join("1.root.json"), root()).unwrap();
        std::fs::write(metadata.join(format!("{n}.targets.json")), targets).unwrap();
        std::fs::write(metadata.join(format!("{n}.snapshot.json")), snapshot).unwrap();
        std::fs::write(metadata.join("timestamp.json"), timestamp).unwrap();
    }
}

fn key(number: u8) -> tuf::SigningKey {
    tuf::SigningKey::from_seed(&[number; 32]).unwrap()
}

/// The root that the agent is given at enrolment.
pub fn root() -> Vec<u8> {
    let mut root = Root::new(1, EXPIRES);
    let roles = [RoleType::Root, RoleType::Timestamp, RoleType::Snapshot, RoleType::Targets];
    for (role, number) in roles.into_iter().zip(1..) {
        root.set_role(role, &[key(number).key()], 1);
    }
    signed(root, 1)
}

fn signed<T: Metadata>(metadata: T, number: u8) -> Vec<u8> {
    let mut signed = Signed::new(metadata);
    signed.sign_with(&key(number)).unwrap();
    signed.to_bytes().unwrap()
}

async fn rescue(
    socket: impl AsyncRead + AsyncWrite + Unpin,
    www: PathBuf,
    asked: Arc<Mutex<Vec<String>>>,
) {
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let answer = answer(&www, &request);
        asked.lock().unwrap().push(request.uri().path().to_owned());
        async move { Ok::<_, std::convert::Infallible>(answer) }
    });
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(socket), service)
        .await;
}

fn answer(www: &Path, request: &Request<hyper::body::Incoming>) -> Response<Full<Bytes>> {
    let path = request.uri().path().strip_prefix("/rescue/v1/").unwrap_or("none");
    let Ok(bytes) = std::fs::read(www.join(path)) else {
        let mut missing = Response::new(Full::default());
        *missing.status_mut() = StatusCode::NOT_FOUND;
        return missing;
    };
    let from = request.headers().get(RANGE).and_then(|range| {
        range.to_str().ok()?.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok()
    });
    let Some(from) = from else { return Response::new(Full::from(bytes)) };
    let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
    let mut part = Response::new(Full::from(bytes[from..].to_vec()));
    *part.status_mut() = StatusCode::PARTIAL_CONTENT;
    part.headers_mut().insert(CONTENT_RANGE, range.parse().unwrap());
    part
}

/// What an agent says on its control stream and the streams on which it resumes sessions.
pub struct Agent {
    pub link: Link,
    pub control: (Reader, Writer),
}

impl Agent {
    /// Takes the agent's control stream.
    pub async fn new(mut link: Link) -> Self {
        let (mut reader, writer) = link.accept().await.expect("a stream").split();
        assert!(matches!(reader.message().await.unwrap(), Message::ControlStream(_)));
        Self { link, control: (reader, writer) }
    }

    /// Has it start a session.
    pub async fn session(&self, start: StartSession) -> (Reader, Writer) {
        let (mut reader, writer) = self.link.handle().open().unwrap().split();
        writer.message(start).await.unwrap();
        assert!(matches!(reader.message().await.unwrap(), Message::Opened(_)));
        (reader, writer)
    }

    /// The next status with that phase.
    pub async fn status(&mut self, phase: &str) -> AgentStatus {
        let wait = async {
            loop {
                match self.control.0.message().await.expect("the control stream stays") {
                    Message::AgentStatus(status) if status.phase == phase => return status,
                    Message::Ping(ping) => {
                        let pong = session::Pong { number: ping.number };
                        self.control.1.message(pong).await.unwrap();
                    }
                    _ => {}
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("the status in time")
    }

    /// The session that the agent resumes, answered with what is known of its output.
    pub async fn resumed(&mut self, known: &[u8]) -> (Reader, Writer) {
        let stream = tokio::time::timeout(PATIENCE, self.link.accept()).await.expect("in time");
        let (mut reader, writer) = stream.expect("a stream").split();
        let Message::Resume(resume) = reader.message().await.unwrap() else { panic!("no resume") };
        let known = known.len() as u64;
        assert!(resume.base <= known && known <= resume.head, "{resume:?}, known {known}");
        writer.message(SendFrom { offset: known }).await.unwrap();
        (reader, writer)
    }
}

/// Reads a session's output until it holds `text`, its leg breaks, or it exits; says how it exited.
pub async fn read_output(
    reader: &mut Reader,
    writer: &Writer,
    output: &mut Vec<u8>,
    text: Option<&str>,
) -> Option<session::Exit> {
    loop {
        if text.is_some_and(|text| String::from_utf8_lossy(output).contains(text)) {
            return None;
        }
        let next = tokio::time::timeout(PATIENCE, reader.next()).await.expect("output in time");
        match next.ok().flatten().map(|received| received.frame) {
            Some(Frame::Data { offset, bytes, .. }) => {
                assert_eq!(offset, output.len() as u64, "no gap and nothing twice");
                output.extend_from_slice(&bytes);
                let _ = writer.ack(output.len() as u64).await;
            }
            Some(Frame::Message(Message::Exit(exit))) => return Some(exit),
            Some(_) => {}
            None => return None,
        }
    }
}
