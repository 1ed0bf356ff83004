//! An update server with signed offers and signed metadata, in this process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::{get, post};
use model::{ApplianceId, PublicKey, Timestamp};
use release::Sha256;
use release::offer::{
    CheckRequest, EnrolReply, EnrolRequest, OFFER_LIFETIME, OFFER_TYPE, Offer, SIGNATURE_HEADER,
    request_is_signed,
};
use release::plan::{Available, Policy, plan};
use tuf::schema::{MetaFile, RoleType, Root, Snapshot, TargetFile, Targets, Timestamp as Stamp};
use tuf::{Signed, SigningKey};

use super::packages::Built;

const APPLIANCE: ApplianceId = ApplianceId::from_bytes([7; 16]);

/// The update server and what it publishes.
#[derive(Clone)]
pub struct World(Arc<Inner>);

struct Inner {
    url: String,
    key: SigningKey,
    state: Mutex<Published>,
}

#[derive(Default)]
struct Published {
    version: u64,
    packages: Vec<Built>,
    files: BTreeMap<String, Vec<u8>>,
    appliance_key: Option<PublicKey>,
    hostname: Option<release::Hostname>,
    reports: Vec<serde_json::Value>,
    /// How the next reports are answered; when there is none left, they are taken.
    report_answers: std::collections::VecDeque<u16>,
    /// Reports that were not taken.
    refused: Vec<serde_json::Value>,
    /// Bytes after which downloads of targets break, once each.
    break_after: Option<usize>,
}

impl World {
    pub async fn new() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let key = SigningKey::from_seed(&[42; 32]).unwrap();
        let world = Self(Arc::new(Inner { url, key, state: Mutex::default() }));
        world.sign();
        let router = Router::new()
            .route("/v1/enrol", post(enrol))
            .route("/v1/check", post(check))
            .route("/v1/report", post(report))
            .route("/tuf/{*path}", get(file))
            .with_state(world.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        world
    }

    pub fn root(&self) -> Vec<u8> {
        self.0.state.lock().unwrap().files["metadata/1.root.json"].clone()
    }

    pub fn enrolment_text(&self) -> String {
        format!("{}#code.{}", self.0.url, self.public())
    }

    fn public(&self) -> PublicKey {
        self.0.key.key().keyval.public.parse().unwrap()
    }

    pub fn publish(&self, package: &Built) {
        let mut state = self.0.state.lock().unwrap();
        if !state.packages.iter().any(|known| known.target == package.target) {
            state.packages.push(package.clone());
            drop(state);
            self.sign();
        }
    }

    /// Lets the next download of a target break after so many bytes.
    pub fn break_after(&self, bytes: usize) {
        self.0.state.lock().unwrap().break_after = Some(bytes);
    }

    /// Answers the next reports so.
    pub fn answer_reports(&self, answers: &[u16]) {
        self.0.state.lock().unwrap().report_answers.extend(answers);
    }

    /// The reports that were not taken.
    pub fn refused(&self) -> Vec<serde_json::Value> {
        self.0.state.lock().unwrap().refused.clone()
    }

    pub fn reports(&self) -> Vec<serde_json::Value> {
        self.0.state.lock().unwrap().reports.clone()
    }

    fn sign(&self) {
        let mut state = self.0.state.lock().unwrap();
        state.version += 1;
        let (version, key) = (state.version, &self.0.key);
        let expires = Timestamp(host::now().0 + 86_400_000);
        let expires = Timestamp::from_secs(expires.as_secs());
        let mut root = Root::new(1, expires);
        for role in [RoleType::Root, RoleType::Timestamp, RoleType::Snapshot, RoleType::Targets] {
            root.set_role(role, &[key.key()], 1);
        }
        let mut targets = Targets::new(version, expires);
        for package in &state.packages {
            let file = TargetFile {
                length: package.bytes.len() as u64,
                hashes: [("sha256".to_owned(), tuf::sha256_hex(&package.bytes))].into(),
                custom: Some(serde_json::to_value(&package.manifest).unwrap()),
                extra: serde_json::Map::new(),
            };
            targets.targets.insert(package.target.clone(), file);
        }
        let targets = signed(targets, key);
        let meta = [("targets.json".to_owned(), MetaFile::of(version, &targets))].into();
        let snapshot = signed(Snapshot::new(version, expires, meta), key);
        let stamp = signed(Stamp::new(version, expires, MetaFile::of(version, &snapshot)), key);
        let mut files = vec![
            (format!("metadata/{version}.targets.json"), targets),
            (format!("metadata/{version}.snapshot.json"), snapshot),
            ("metadata/timestamp.json".to_owned(), stamp),
        ];
        if version == 1 {
            files.push(("metadata/1.root.json".to_owned(), signed(root, key)));
        }
        for package in &state.packages {
            let (folder, name) = package.target.split_once('/').unwrap();
            let hash = tuf::sha256_hex(&package.bytes);
            files.push((format!("targets/{folder}/{hash}.{name}"), package.bytes.clone()));
        }
        state.files.extend(files);
    }
}

fn signed<T: tuf::schema::Metadata>(body: T, key: &SigningKey) -> Vec<u8> {
    let mut signed = Signed::new(body);
    signed.sign_with(key).unwrap();
    signed.to_bytes().unwrap()
}

async fn enrol(State(world): State<World>, body: Bytes) -> Vec<u8> {
    let request: EnrolRequest = serde_json::from_slice(&body).unwrap();
    let mut state = world.0.state.lock().unwrap();
    state.appliance_key = Some(request.public_key);
    state.hostname = Some(request.hostname);
    drop(state);
    let reply =
        EnrolReply { appliance: APPLIANCE, customer: "Lab".into(), offer_key: world.public() };
    serde_json::to_vec(&reply).unwrap()
}

async fn check(State(world): State<World>, headers: HeaderMap, body: Bytes) -> Vec<u8> {
    let request: CheckRequest = serde_json::from_slice(&body).unwrap();
    let state = world.0.state.lock().unwrap();
    let signature = headers[SIGNATURE_HEADER].to_str().unwrap();
    assert!(request_is_signed(&body, signature, &state.appliance_key.unwrap()));
    let available: Vec<Available> = state
        .packages
        .iter()
        .map(|package| Available {
            target: package.target.clone(),
            length: package.bytes.len() as u64,
            sha256: sha256(&package.bytes),
            manifest: package.manifest.clone(),
        })
        .collect();
    let policy = Policy {
        arch: request.arch,
        hostname: state.hostname.clone(),
        bad: request.bad.into_iter().collect(),
        ..Policy::default()
    };
    let plan = plan(&request.inventory, &available, &policy);
    let now = host::now();
    let offer = Offer {
        kind: OFFER_TYPE.into(),
        appliance: request.appliance,
        nonce: request.nonce,
        issued: now,
        expires: now.plus(OFFER_LIFETIME),
        hostname: state.hostname.clone().unwrap(),
        licenses: Some(10),
        license_expires: None,
        packages: plan.cards,
        plan: plan.steps,
        pins: vec![],
    };
    offer.sign(&world.0.key).unwrap()
}

fn sha256(bytes: &[u8]) -> Sha256 {
    host::sha256_of(&mut &*bytes).unwrap().0
}

async fn report(State(world): State<World>, body: Bytes) -> (StatusCode, &'static str) {
    let report = serde_json::from_slice(&body).unwrap();
    let mut state = world.0.state.lock().unwrap();
    match state.report_answers.pop_front() {
        None | Some(200) => {
            state.reports.push(report);
            (StatusCode::OK, "{\"recorded\":true}")
        }
        Some(status) => {
            state.refused.push(report);
            let words = r#"{"code":"request","error":"the lab refuses it","remedy":"Wait.","server_time":0}"#;
            (StatusCode::from_u16(status).unwrap(), words)
        }
    }
}

async fn file(
    State(world): State<World>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> (StatusCode, HeaderMap, axum::body::Body) {
    let mut state = world.0.state.lock().unwrap();
    let Some(bytes) = state.files.get(&path).cloned() else {
        return (StatusCode::NOT_FOUND, HeaderMap::new(), axum::body::Body::empty());
    };
    let range = headers.get(header::RANGE).and_then(|v| v.to_str().ok());
    let from = range.and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let from: usize = from.unwrap_or(0).min(bytes.len());
    let mut answer = HeaderMap::new();
    let status = if range.is_some() {
        let last = bytes.len().saturating_sub(1);
        let text = format!("bytes {from}-{last}/{}", bytes.len());
        answer.insert(header::CONTENT_RANGE, text.parse().unwrap());
        StatusCode::PARTIAL_CONTENT
    } else {
        StatusCode::OK
    };
    let breaks = path.starts_with("targets/").then(|| state.break_after.take()).flatten();
    let rest = bytes[from..].to_vec();
    let body = match breaks {
        Some(after) => axum::body::Body::from_stream(futures_util::stream::iter([
            Ok(Bytes::from(rest[..after.min(rest.len())].to_vec())),
            Err(std::io::Error::other("the line broke")),
        ])),
        None => rest.into(),
    };
    (status, answer, body)
}
