//! One generation of the site, from its start to its end.

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::Extension;
use axum::http::{HeaderValue, Version, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use link::{Accepted, Acceptor, Greeter, RawStream};
use model::{AgentId, OperatorId, PublicKey};
use store::Store;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use crate::health::Health;
use crate::hub::{Entry, Hub, Peer, Tally};
use crate::neighbours::Neighbours;
use crate::patience::{self, Patience};
use crate::selftest::SelfTest;
use crate::sessions::{self, Broker};
use crate::settings::Settings;
use crate::upgrades::Upgrades;
use crate::{control, front, housekeeping, links, listen, memory, web};

/// Connections that are between TCP and the end of their handshake, at most. When there are more,
/// the oldest goes: an honest one takes milliseconds, or its turn among ten thousand that come back in one moment.
const HANDSHAKES_MAX: usize = 16_384;

/// How long kept HTTP connections may still send a request after the generation is told to stop.
const HTTP_LINGER: Duration = Duration::from_secs(10);

/// The web certificate, in the folder that the settings name.
const CERTIFICATE: &str = "cert.pem";

/// What a generation does with connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Started, healthy, and does not accept.
    Standby,
    /// Accepts.
    Active,
    /// Does not accept, and hands over what it has.
    Draining,
    /// Leaves.
    Stopping,
}

/// One generation of the site.
pub struct Site {
    /// Who and where it is.
    pub settings: Settings,
    /// The database.
    pub store: Store,
    /// Its links.
    pub hub: Arc<Hub>,
    /// Its sessions.
    pub broker: Arc<Broker>,
    /// What it does with connections.
    pub phase: watch::Sender<Phase>,
    /// Told when a client is ready to move.
    pub moved: Notify,
    /// Does handshakes.
    pub acceptor: Acceptor,
    /// The site's identity.
    pub identity: PublicKey,
    /// Who takes part in the self-test.
    pub self_test: SelfTest,
    /// Whether it can do its work.
    pub health: Arc<Health>,
    /// Brings clients to this version.
    pub upgrades: Arc<Upgrades>,
    router: Router,
    http_open: watch::Sender<usize>,
}

/// Runs a generation until it is told to stop.
///
/// # Errors
/// When it cannot start; the text says what is wrong and what to do.
pub async fn run(settings: Settings, listeners: Vec<StdListener>) -> Result<()> {
    let site = build(settings).await?;
    let listeners = listeners.into_iter().map(TcpListener::from_std);
    let listeners =
        listeners.collect::<Result<Vec<_>, _>>().context("an inherited socket is not usable")?;
    // The control socket comes before READY: who hears READY may use it.
    let control = control::bind(&site.settings)?;
    tokio::spawn(control::serve(site.clone(), control));
    tokio::spawn(sessions::tend(site.broker.clone()));
    tokio::spawn(housekeeping::keep(site.clone()));
    tokio::spawn(memory::keep(site.hub.clone()));
    for listener in listeners {
        tokio::spawn(accept_loop(site.clone(), listener));
    }
    listen::notify("READY=1");
    tracing::info!(generation = site.settings.generation.0, release = %site.settings.release, "Site is ready");
    if std::env::var_os("SLUIS_ACTIVATE").is_some() || std::env::var_os("SLUIS_RUN").is_none() {
        site.phase.send_replace(Phase::Active);
    }
    wait_for_stop(&site).await;
    listen::notify("STOPPING=1");
    finish(&site).await;
    Ok(())
}

async fn build(settings: Settings) -> Result<Arc<Site>> {
    std::fs::create_dir_all(settings.recordings())
        .with_context(|| format!("cannot make {}", settings.recordings().display()))?;
    let store = Store::open(&settings.database(), settings.schema, settings.generation).await?;
    let site_key = link::load_or_create_key(&settings.data.join("site.key"))?;
    let ticket_key = link::load_or_create_key(&settings.data.join("session.key"))?;
    let identity = site_key.public();
    let certificate = read(&settings, CERTIFICATE)?;
    let private = read(&settings, "key.pem")?;
    let config = link::server_config(&certificate, &private).with_context(|| {
        format!("the web certificate in {} is not usable", settings.tls.display())
    })?;
    let greeter = Greeter {
        key: site_key,
        version: settings.release.version.to_string(),
        revision: settings.release.revision.0,
        generation: settings.generation.0,
    };
    let upgrades = Upgrades::new(&settings, &store);
    let hub = Hub::new();
    let neighbours = Neighbours::new(settings.run.clone(), settings.generation);
    let broker =
        Broker::new(store.clone(), settings.recordings(), ticket_key, hub.clone(), neighbours);
    let certificate = settings.tls.join(CERTIFICATE);
    let health = Arc::new(Health::new(store.clone(), settings.recordings(), certificate));
    let router =
        front::build(&settings, &store, &hub, &broker, identity, &upgrades, &health).await?;
    Ok(Arc::new(Site {
        self_test: SelfTest::new()?,
        upgrades,
        acceptor: Acceptor::new(config, greeter),
        phase: watch::channel(Phase::Standby).0,
        http_open: watch::channel(0).0,
        moved: Notify::new(),
        settings,
        store,
        hub,
        broker,
        identity,
        health,
        router,
    }))
}

fn read(settings: &Settings, name: &str) -> Result<Vec<u8>> {
    let path = settings.tls.join(name);
    std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
}

async fn wait_for_stop(site: &Arc<Site>) {
    let mut phase = site.phase.subscribe();
    let told = phase.wait_for(|phase| *phase == Phase::Stopping);
    let signal = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut term) => term.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = told => {}
        _ = signal => {
            site.phase.send_replace(Phase::Stopping);
        }
    }
}

/// Lets go of every session and lets kept HTTP connections end with an answer.
async fn finish(site: &Arc<Site>) {
    let live = site.broker.live().into_iter().map(|session| session.ticket.session);
    site.broker.release_all(live).await;
    for entry in site.hub.links() {
        entry.handle.close();
    }
    let mut http = site.http_open.subscribe();
    let _ = tokio::time::timeout(HTTP_LINGER, http.wait_for(|open| *open == 0)).await;
    let _ = std::fs::remove_file(Neighbours::socket(&site.settings.run, site.settings.generation));
    site.broker.notes.flush().await;
    site.store.close().await;
    tracing::info!("Site has stopped");
}

async fn accept_loop(site: Arc<Site>, listener: TcpListener) {
    let mut phase = site.phase.subscribe();
    let mut pending: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        if phase.wait_for(|phase| *phase == Phase::Active).await.is_err() {
            return;
        }
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = phase.changed() => continue,
        };
        match accepted {
            Ok((tcp, from)) => {
                pending.retain(|handshake| !handshake.is_finished());
                if pending.len() >= HANDSHAKES_MAX
                    && let Some(oldest) = pending.pop_front()
                {
                    oldest.abort();
                }
                pending
                    .push_back(tokio::spawn(shake_hands(site.clone(), tcp, from)).abort_handle());
            }
            Err(error) => {
                tracing::warn!(%error, "Connection could not be accepted");
                // Out of descriptors, most likely: they come back when connections end.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Ends with the handshake; what follows is a task of its own.
async fn shake_hands(site: Arc<Site>, tcp: TcpStream, from: SocketAddr) {
    // Boxed: what is left of a task that has ended waits here for the next connection to be cleared away.
    match Box::pin(site.acceptor.accept(tcp, from)).await {
        Ok(Accepted::Link(request)) => {
            tokio::spawn(links::serve(site, request));
        }
        Ok(Accepted::Http(tls)) => {
            tokio::spawn(async move { site.serve_http(*tls, from).await });
        }
        Err(error) => tracing::debug!(%from, %error, "Handshake failed"),
    }
}

impl Site {
    /// Serves an HTTP connection. While the generation drains, each answer says that the connection
    /// ends, so that the next request goes to the generation that accepts.
    async fn serve_http<S>(self: Arc<Self>, stream: S, from: SocketAddr)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        self.http_open.send_modify(|open| *open += 1);
        let router = self.router.clone().layer(Extension(web::Remote(from)));
        let closing = self.clone();
        let router = router.layer(axum::middleware::map_response_with_state(
            closing,
            |axum::extract::State(site): axum::extract::State<Arc<Self>>,
             mut response: axum::response::Response| async move {
                if site.is_draining() && response.version() <= Version::HTTP_11 {
                    response
                        .headers_mut()
                        .insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                response
            },
        ));
        let patience = Patience::default();
        let watched = axum::middleware::from_fn_with_state(patience.clone(), patience::watch);
        let router = router.layer(watched);
        let mut builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(hyper_util::rt::TokioTimer::new())
            .header_read_timeout(patience::KNOWN);
        builder
            .http2()
            .timer(hyper_util::rt::TokioTimer::new())
            .keep_alive_interval(Some(Duration::from_secs(30)));
        let connection = builder
            .serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(router));
        tokio::select! {
            served = connection => if let Err(error) = served {
                tracing::debug!(%from, %error, "HTTP connection ended");
            },
            () = patience.ends() => tracing::debug!(%from, "HTTP connection was idle for too long"),
        }
        self.http_open.send_modify(|open| *open -= 1);
    }

    /// Serves the API on a stream of a link; the link's proof says who calls.
    pub async fn serve_api(&self, key: PublicKey, stream: RawStream) {
        let router = self.router.clone().layer(Extension(web::LinkPeer(key)));
        let io = TokioIo::new(stream);
        let served = hyper::server::conn::http1::Builder::new()
            .serve_connection(io, TowerToHyperService::new(router));
        if let Err(error) = served.await {
            tracing::debug!(%error, "API stream ended");
        }
    }

    /// Whether this generation takes no new work.
    pub fn is_draining(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Draining | Phase::Stopping)
    }

    /// Says what a client should know when it opened its control stream.
    pub async fn greet(self: &Arc<Self>, entry: &Arc<Entry>) {
        if self.is_draining() {
            let generation = self.settings.generation.0;
            entry.tell(session::Migrate { generation }).await;
        }
        self.upgrades.consider(self, entry);
    }

    /// The part that a key plays in the self-test, if it is one of its keys.
    pub fn self_test_peer(&self, key: &PublicKey) -> Option<Peer> {
        self.self_test.peer(key, &self.settings.release)
    }

    /// The operator of the self-test's console.
    pub fn self_test_operator(&self, key: &PublicKey) -> Option<(OperatorId, String)> {
        self.self_test.operator(key)
    }

    /// Whether that agent is the self-test's.
    pub fn is_self_test(&self, id: AgentId) -> bool {
        self.self_test.is_agent(id)
    }

    /// Who is connected, without the self-test's agent.
    pub fn tally(&self) -> Tally {
        self.hub.tally(|id| self.is_self_test(id))
    }
}
