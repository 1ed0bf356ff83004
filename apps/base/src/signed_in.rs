//! Who is signed in. Kept on disk as hashes of tokens, so that a self-update of the base signs nobody out.

use std::collections::BTreeMap;
use std::time::Duration;

use host::{RealFs, load_json, save_json};
use model::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, PoisonError};

use crate::paths::Paths;
use crate::secrets;

/// How long a sign-in lasts without being used.
const IDLE: Duration = Duration::from_hours(1);
/// How long it lasts at most.
const LONGEST: Duration = Duration::from_hours(12);
/// Sign-ins kept at most; the oldest one makes room.
const COUNT_MAX: usize = 1000;

/// One sign-in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Session {
    /// The account.
    pub name: String,
    /// What forms of this sign-in carry.
    pub csrf: String,
    since: Timestamp,
    used: Timestamp,
}

/// Everybody who is signed in.
pub struct SignedIn {
    paths: Paths,
    sessions: Mutex<BTreeMap<String, Session>>,
}

impl SignedIn {
    pub fn open(paths: &Paths) -> Self {
        // Losing this file signs everybody out and does no other harm.
        let sessions = load_json(&RealFs, &paths.signed_in()).ok().flatten().unwrap_or_default();
        Self { paths: paths.clone(), sessions: Mutex::new(sessions) }
    }

    /// Begins a sign-in; answers its token.
    pub fn begin(&self, name: &str, now: Timestamp) -> String {
        let token = secrets::token();
        let session =
            Session { name: name.to_owned(), csrf: secrets::token(), since: now, used: now };
        self.change(|sessions| {
            sessions.retain(|_, session| alive(session, now));
            if sessions.len() >= COUNT_MAX
                && let Some(oldest) =
                    sessions.iter().min_by_key(|(_, s)| s.used).map(|(key, _)| key.clone())
            {
                sessions.remove(&oldest);
            }
            sessions.insert(secrets::fingerprint(&token), session);
        });
        token
    }

    /// The sign-in of a token, if it lasts.
    pub fn find(&self, token: &str, now: Timestamp) -> Option<Session> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let session = sessions.get_mut(&secrets::fingerprint(token))?;
        if !alive(session, now) {
            return None;
        }
        session.used = now;
        Some(session.clone())
    }

    /// Ends one sign-in.
    pub fn end(&self, token: &str) {
        self.change(|sessions| {
            sessions.remove(&secrets::fingerprint(token));
        });
    }

    /// Ends every sign-in of an account, but not the one with this token.
    pub fn end_all(&self, name: &str, but: Option<&str>) {
        let but = but.map(secrets::fingerprint);
        self.change(|sessions| {
            sessions.retain(|key, session| session.name != name || Some(key) == but.as_ref());
        });
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, Session>)) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut sessions);
        if let Err(error) = save_json(&RealFs, &self.paths.signed_in(), &*sessions) {
            tracing::warn!(%error, "Sign-ins cannot be saved; a restart signs everybody out");
        }
    }
}

fn alive(session: &Session, now: Timestamp) -> bool {
    now.since(session.used) < IDLE && now.since(session.since) < LONGEST
}
