//! Links from agents and consoles: who is let in, and what their streams ask for.

mod admit;
mod control;
mod streams;

use std::sync::Arc;

use link::LinkRequest;
use model::Role;

use crate::clock::now;
use crate::hub::Peer;
use crate::serve::Site;

/// Serves one link from its proof to its end.
pub async fn serve(site: Arc<Site>, request: LinkRequest) {
    let address = request.address.to_string();
    let (key, role) = (request.key, request.hello.role());
    let admitted = match role {
        Some(Role::Agent) => admit::agent(&site, &request).await,
        Some(Role::Console) => admit::console(&site, &request).await,
        Some(Role::Site) | None => Err(admit::unknown_role(request.hello.role)),
    };
    let (peer, welcome) = match admitted {
        Ok(admitted) => admitted,
        Err(refused) => {
            tracing::info!(%address, reason = refused.text, "Link refused");
            return request.refuse(refused).await;
        }
    };
    let mut link = match request.welcome(welcome).await {
        Ok(link) => link,
        Err(error) => {
            tracing::debug!(%address, %error, "Link ended before it began");
            return;
        }
    };
    let entry = site.hub.add(peer, address, link.handle(), now());
    admit::connected(&site, &entry);
    while let Some(stream) = link.accept().await {
        tokio::spawn(streams::serve(site.clone(), entry.clone(), key, stream));
    }
    let last = site.hub.remove(&entry);
    if let (Peer::Agent { id, .. }, true) = (&entry.peer, last) {
        admit::disconnected(&site, *id);
    }
    tracing::debug!(link = entry.number, peer = entry.peer.name(), "Link ended");
}
