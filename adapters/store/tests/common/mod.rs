#![allow(dead_code, reason = "each test file uses some of it")]

use std::path::PathBuf;
use std::time::Duration;

use model::{
    AgentId, Generation, OperatorId, PublicKey, Release, SessionId, SessionKind, Timestamp,
};
use sluis_store::{
    Agent, AgentMode, Caller, Enrolment, NewEnrolmentToken, NewOperator, NewSession, Operator,
    Store, TokenHash, migrate,
};
use uuid::Uuid;

pub const NOW: Timestamp = Timestamp::from_secs(1_795_290_000);

pub fn later(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

/// A database file of its own, gone at the end.
pub struct Db {
    folder: tempfile::TempDir,
}

impl Db {
    pub async fn new(level: u32) -> Self {
        let db = Self { folder: tempfile::tempdir().expect("a folder") };
        migrate(&db.path(), level, NOW).await.expect("a new database");
        db
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("site.db")
    }

    pub async fn open(&self, level: u32, generation: u64) -> Store {
        Store::open(&self.path(), level, Generation(generation)).await.expect("opens")
    }
}

pub async fn operator(store: &Store, name: &str, admin: bool) -> Operator {
    let new = NewOperator {
        name: name.to_owned(),
        display_name: name.to_uppercase(),
        password_hash: format!("hash of {name}"),
        admin,
        must_change_password: false,
    };
    store.operators().create(new, NOW).await.expect("an account")
}

pub fn caller(operator: &Operator) -> Caller {
    Caller::Operator {
        id: operator.id,
        name: operator.name.clone(),
        admin: operator.admin,
        peer: "192.0.2.7:4711".to_owned(),
    }
}

pub async fn token(store: &Store, text: &str, uses: u32) -> TokenHash {
    let token = TokenHash::of(text);
    let new = NewEnrolmentToken {
        token,
        name: "rack 4".to_owned(),
        group: "servers".to_owned(),
        mode: AgentMode::Active,
        uses,
        expires: later(3600),
    };
    store.enrolment_tokens().create(new, NOW).await.expect("a token");
    token
}

pub fn enrolment(token: TokenHash, name: &str, key: u8) -> Enrolment {
    Enrolment {
        token,
        name: name.to_owned(),
        key: PublicKey([key; 32]),
        os: "linux".to_owned(),
        arch: "x86_64".to_owned(),
        release: Release::new(1, 0, 0, 1),
    }
}

pub async fn agent(store: &Store, name: &str, key: u8) -> Agent {
    let token = token(store, &Uuid::now_v7().to_string(), 1).await;
    store.agents().enrol(enrolment(token, name, key), NOW).await.expect("enrols")
}

pub fn session(operator: &Operator, agent: AgentId, started: Timestamp) -> NewSession {
    NewSession {
        id: SessionId(Uuid::now_v7()),
        operator: operator.id,
        operator_name: operator.name.clone(),
        agent,
        console: None,
        kind: SessionKind::Shell,
        command: None,
        recording: None,
        peer: Some("192.0.2.7:40000".to_owned()),
        started,
    }
}

pub fn nobody() -> OperatorId {
    OperatorId(Uuid::now_v7())
}
