//! Links from agents and consoles: who is let in, and what their streams ask for.

mod admit;
mod control;
mod streams;

use std::sync::Arc;

use link::{Link, LinkRequest};
use model::Role;
use tokio::sync::oneshot;

use crate::clock::now;
use crate::hub;
use crate::hub::Entry;
use crate::serve::Site;

/// Serves one link from its proof to its end.
pub async fn serve(site: Arc<Site>, request: Box<LinkRequest>) {
    let key = request.key;
    // Boxed, here and below: a link lasts for days, and what letting it in needed is given back.
    let Some((mut link, entry)) = Box::pin(let_in(&site, request)).await else { return };
    let (gone, left) = oneshot::channel();
    tokio::spawn(admit::note_presence(site.clone(), entry.clone(), left));

    while let Some(stream) = link.accept().await {
        tokio::spawn(streams::serve(site.clone(), entry.clone(), key, stream));
    }
    // Whether the agent has no other link here.
    let is_last = site.hub.remove(&entry);
    if let hub::Peer::Agent { id, .. } = entry.peer
        && is_last
    {
        site.upgrades.left(id);
    }
    let _ = gone.send(is_last);
    tracing::debug!(link = entry.number, peer = entry.peer.name(), "Link ended");
}

async fn let_in(site: &Arc<Site>, request: Box<LinkRequest>) -> Option<(Link, Arc<Entry>)> {
    let address = request.address.to_string();
    let admitted = match request.hello.role() {
        Some(Role::Agent) => admit::agent(site, &request).await,
        Some(Role::Console) => admit::console(site, &request).await,
        Some(Role::Site) | None => Err(admit::unknown_role(request.hello.role)),
    };
    let (peer, welcome) = match admitted {
        Ok(admitted) => admitted,
        Err(refused) => {
            tracing::info!(%address, reason = refused.text, "Link refused");
            request.refuse(refused).await;
            return None;
        }
    };
    match request.welcome(welcome).await {
        Ok(link) => {
            let entry = site.hub.add(peer, address, link.handle(), now());
            Some((link, entry))
        }
        Err(error) => {
            tracing::debug!(%address, %error, "Link ended before it began");
            None
        }
    }
}
