//! A site in a folder of its own, and what tests send to it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use axum::response::Response;
use futures_util::future::BoxFuture;
use http_body_util::BodyExt;
use model::{
    AgentId, Generation, OperatorId, PublicKey, Release, SessionId, SessionKind, Timestamp,
};
use serde_json::{Value, json};
use store::{
    Agent, AgentMode, Enrolment, NewEnrolmentToken, NewOperator, NewSession, Operator, Store,
    TokenHash, migrate,
};
use tower::ServiceExt;
use uuid::Uuid;

use crate::health::Health;
use crate::web::{Counts, Hub, LinkPeer, Remote, UpgradeView, WebParts, WebState, router, secrets};

pub const NOW: Timestamp = Timestamp::from_secs(1_795_290_000);
pub const IDENTITY: PublicKey = PublicKey([0x5a; 32]);
pub const PASSWORD: &str = "tidal-copper-hinge";
/// What the client of the package holds.
pub const AGENT_BYTES: &[u8] = b"#!the agent";
pub const AGENT_NAME: &str = "agent-1.1.0-r2-x86_64-linux";

/// What the site told its links to do.
#[derive(Default)]
pub struct FakeHub {
    pub told: Mutex<Vec<String>>,
    pub queue: Mutex<HashMap<AgentId, UpgradeView>>,
}

impl FakeHub {
    fn tell(&self, text: String) {
        self.told.lock().expect("no test panics while it tells").push(text);
    }

    pub fn heard(&self) -> Vec<String> {
        self.told.lock().expect("no test panics while it tells").clone()
    }
}

impl Hub for FakeHub {
    fn counts(&self) -> Counts {
        Counts { agents: 3, consoles: 2, sessions: 1 }
    }

    fn wanted_release(&self) -> Option<Release> {
        Some(Release::new(1, 1, 0, 2))
    }

    fn upgrades(&self) -> HashMap<AgentId, UpgradeView> {
        self.queue.lock().expect("no test panics while it queues").clone()
    }

    fn end_session(&self, session: SessionId, by: String) -> BoxFuture<'_, bool> {
        self.tell(format!("end {session} for {by}"));
        Box::pin(async { true })
    }

    fn agent_removed(&self, agent: AgentId) {
        self.tell(format!("removed {agent}"));
    }

    fn operator_disabled(&self, operator: OperatorId) {
        self.tell(format!("disabled {operator}"));
    }

    fn console_revoked(&self, key: PublicKey) {
        self.tell(format!("revoked {key}"));
    }
}

pub struct Site {
    pub folder: tempfile::TempDir,
    pub store: Store,
    pub state: WebState,
    pub router: Router,
    pub hub: Arc<FakeHub>,
    clock: Arc<AtomicU64>,
}

impl Site {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let database = folder.path().join("site.db");
        migrate(&database, 2, NOW).await.expect("a database");
        let store = Store::open(&database, 2, Generation(7)).await.expect("opens");
        let at = |name: &str| folder.path().join(name);
        for name in ["mirror", "recordings", "package/clients"] {
            std::fs::create_dir_all(at(name)).expect("a folder");
        }
        std::fs::write(at("mirror/timestamp.json"), b"{\"signed\":1}").expect("writes");
        std::fs::write(at("secret.json"), b"not for anybody").expect("writes");
        std::fs::write(at("package/clients").join(AGENT_NAME), AGENT_BYTES).expect("writes");
        std::fs::write(at("package/manifest.json"), manifest().to_string()).expect("writes");
        std::fs::write(at("cert.pem"), b"a certificate").expect("writes");
        let hub = Arc::new(FakeHub::default());
        let clock = Arc::new(AtomicU64::new(NOW.0));
        let hand = clock.clone();
        let state = WebState::new(WebParts {
            store: store.clone(),
            hub: hub.clone(),
            clock: Arc::new(move || Timestamp(hand.load(Ordering::Relaxed))),
            site: store.site_id(NOW).await.expect("an id"),
            identity: IDENTITY,
            release: Release::new(1, 1, 0, 2),
            hostname: String::new(),
            base_socket: at("base.sock"),
            mirror: at("mirror"),
            license: Some(at("license.json")),
            package: at("package"),
            recordings: at("recordings"),
            health: Arc::new(Health::new(store.clone(), at("recordings"), at("cert.pem"))),
        })
        .expect("a state");
        let router = router(state.clone());
        Self { folder, store, state, router, hub, clock }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn pass(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).expect("a short time");
        self.clock.fetch_add(millis, Ordering::Relaxed);
    }

    /// An account with [`PASSWORD`].
    pub async fn person(&self, name: &str, admin: bool) -> Operator {
        let new = NewOperator {
            name: name.to_owned(),
            display_name: String::new(),
            password_hash: self.state.passwords().hash(PASSWORD).await.expect("a hash"),
            admin,
            must_change_password: false,
        };
        self.store.operators().create(new, NOW).await.expect("an account")
    }

    pub async fn agent(&self, name: &str, key: u8) -> Agent {
        let token = TokenHash::of(&secrets::token());
        let new = NewEnrolmentToken {
            token,
            name: name.to_owned(),
            group: "servers".to_owned(),
            mode: AgentMode::Active,
            uses: 1,
            expires: NOW.plus(Duration::from_mins(1)),
        };
        self.store.enrolment_tokens().create(new, NOW).await.expect("a token");
        let enrolment = Enrolment {
            token,
            name: name.to_owned(),
            key: PublicKey([key; 32]),
            os: "linux".to_owned(),
            arch: "x86_64".to_owned(),
            release: Release::new(1, 0, 0, 1),
        };
        self.store.agents().enrol(enrolment, NOW).await.expect("enrols")
    }

    /// A session with a recording of that content.
    pub async fn session(&self, who: &Operator, agent: &Agent, content: &[u8]) -> SessionId {
        let id = SessionId(Uuid::now_v7());
        let file = format!("{id}.cast");
        std::fs::write(self.path("recordings").join(&file), content).expect("writes");
        let new = NewSession {
            id,
            operator: who.id,
            operator_name: who.name.clone(),
            agent: agent.id,
            console: None,
            kind: SessionKind::Command,
            command: Some("uptime".to_owned()),
            recording: Some(file.into()),
            peer: None,
            started: NOW,
        };
        self.store.sessions().open(new).await.expect("opens");
        self.store.sessions().live(id).await.expect("lives");
        id
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("infallible");
        Answer::of(response).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(request(Method::GET, path).body(Body::empty()).expect("a request")).await
    }

    /// A request of the API.
    pub async fn api(&self, method: Method, path: &str, token: &str, body: Value) -> Answer {
        let mut request = request(method, &format!("/api/v1{path}"));
        if !token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = if body.is_null() {
            request.body(Body::empty())
        } else {
            request
                .header(header::CONTENT_TYPE, "application/json")
                .body(Body::from(body.to_string()))
        };
        self.send(request.expect("a request")).await
    }

    /// The same inside the link of that key.
    pub async fn over_link(
        &self,
        key: PublicKey,
        method: Method,
        path: &str,
        token: &str,
        body: Value,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header(header::HOST, "site")
            .header(header::CONTENT_TYPE, "application/json");
        if !token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.extension(LinkPeer(key)).body(Body::from(body.to_string()));
        self.send(request.expect("a request")).await
    }

    /// A bearer token of that account.
    pub async fn token(&self, name: &str) -> String {
        let body = json!({ "name": name, "password": PASSWORD });
        let answer = self.api(Method::POST, "/login", "", body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        answer.json()["token"].as_str().expect("a token").to_owned()
    }
}

pub fn request(method: Method, path: &str) -> axum::http::request::Builder {
    let from: SocketAddr = "192.0.2.7:40000".parse().expect("an address");
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "support.example.com:8443")
        .extension(Remote(from))
}

/// A whole answer.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        Self { status: parts.status, headers: parts.headers, body }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

pub fn sha256(bytes: &[u8]) -> String {
    use aws_lc_rs::digest::{SHA256, digest};
    secrets::hex(digest(&SHA256, bytes).as_ref())
}

fn manifest() -> Value {
    json!({
        "schema": 1, "kind": "site", "name": "site", "version": "1.1.0", "revision": 2,
        "seq": 1_001_000_002_u64, "arch": "x86_64", "db": { "reads": [1, 2], "writes": 2 },
        "files": [{
            "path": format!("clients/{AGENT_NAME}"), "mode": 0o755,
            "size": AGENT_BYTES.len(), "sha256": sha256(AGENT_BYTES),
        }],
        "size_installed": AGENT_BYTES.len(), "notes": "",
    })
}
