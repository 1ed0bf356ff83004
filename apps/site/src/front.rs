//! What answers HTTP: pages and API, put together from what this generation knows.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use futures_util::future::BoxFuture;
use model::{AgentId, OperatorId, PublicKey, Release, SessionId};
use store::Store;

use crate::clock::now;
use crate::health::Health;
use crate::hub::{Entry, Hub, Peer};
use crate::sessions::Broker;
use crate::settings::Settings;
use crate::upgrades::Upgrades;
use crate::web::{self, Counts, UpgradeView, WebParts, WebState};

/// The router of this generation.
pub async fn build(
    settings: &Settings,
    store: &Store,
    hub: &Arc<Hub>,
    broker: &Arc<Broker>,
    identity: PublicKey,
    upgrades: &Arc<Upgrades>,
    health: &Arc<Health>,
) -> Result<Router> {
    if let Some(first) = web::password::first_account(store, &settings.data, now()).await? {
        let file = first.file.display();
        tracing::warn!(name = first.name, %file, "First account made; its password is in the file");
    }
    let wanted = upgrades.has_clients().then(|| settings.release.clone());
    let upgrades = upgrades.clone();
    let links = Links { hub: hub.clone(), broker: broker.clone(), upgrades, wanted };
    let state = WebState::new(WebParts {
        store: store.clone(),
        hub: Arc::new(links),
        clock: Arc::new(now),
        site: store.site_id(now()).await?,
        identity,
        release: settings.release.clone(),
        hostname: String::new(),
        base_socket: settings.run.join("base.sock"),
        mirror: settings.mirror.clone(),
        license: settings.license.clone(),
        package: settings.package.clone(),
        recordings: settings.recordings(),
        health: health.clone(),
    })?;
    Ok(web::router(state))
}

/// What pages and API ask of links and sessions.
struct Links {
    hub: Arc<Hub>,
    broker: Arc<Broker>,
    upgrades: Arc<Upgrades>,
    /// What clients ought to run; none when the package brings no programs for them.
    wanted: Option<Release>,
}

impl Links {
    fn close(&self, is_it: impl Fn(&Peer) -> bool) {
        let entries: Vec<Arc<Entry>> = self.hub.links();
        for entry in entries.iter().filter(|entry| is_it(&entry.peer)) {
            entry.handle.close();
        }
    }
}

impl web::Hub for Links {
    fn counts(&self) -> Counts {
        let tally = self.hub.tally(|_| false);
        let (agents, consoles) = (tally.agents, tally.consoles);
        Counts { agents, consoles, sessions: self.broker.live().len() }
    }

    fn wanted_release(&self) -> Option<Release> {
        self.wanted.clone()
    }

    fn upgrades(&self) -> HashMap<AgentId, UpgradeView> {
        self.upgrades.views()
    }

    fn end_session(&self, id: SessionId, by: String) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            let live = self.broker.live();
            let found = live.iter().find(|session| session.ticket.session == id);
            let Some(session) = found else { return false };
            tracing::info!(session = %id, by, "Session is ended from outside");
            self.broker.ask_to_close(session).await;
            true
        })
    }

    fn agent_removed(&self, removed: AgentId) {
        self.upgrades.left(removed);
        self.close(|peer| matches!(peer, Peer::Agent { id, .. } if *id == removed));
    }

    fn operator_disabled(&self, disabled: OperatorId) {
        self.close(
            |peer| matches!(peer, Peer::Console { operator: Some((id, _)), .. } if *id == disabled),
        );
    }

    fn console_revoked(&self, revoked: PublicKey) {
        self.close(|peer| matches!(peer, Peer::Console { key, .. } if *key == revoked));
    }
}
