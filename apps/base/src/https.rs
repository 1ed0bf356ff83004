//! What the base answers on `https` while no generation serves: `/appliance`, and a maintenance page for the rest.

use std::io::BufReader;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use install::Install;
use model::PackageKind;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use ui_kit::{Maintenance, Shell, Variant};

use crate::api;
use crate::base::{Base, Shared};
use crate::paths::Paths;

/// Connections that the base answers at the same time; more of them wait.
const CONNECTIONS_MAX: usize = 512;
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// After how many seconds a browser asks again.
const RETRY_S: u32 = 5;

/// Waits for times without a serving generation and answers then, for as long as the base runs.
pub async fn serve(base: Shared, listener: std::net::TcpListener) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "Listener cannot be used");
            return;
        }
    };
    let router = router(&base);
    let mut closing = base.closing.subscribe();
    loop {
        tokio::select! {
            () = needed(&base) => {}
            _ = closing.wait_for(|closing| *closing) => return,
        }
        tracing::warn!("No generation serves; the base answers https itself");
        tokio::select! {
            () = accept(&base, &listener, &router) => {}
            _ = closing.wait_for(|closing| *closing) => return,
        }
        tracing::info!("A generation serves; the base leaves https to it");
    }
}

/// How much longer nobody is told to come back later while another version is just taking over.
const TAKES_OVER: Duration = Duration::from_secs(8);

/// Returns when nobody answers and nobody is going to soon.
async fn needed(base: &Base) {
    let mut serving = base.fleet.watch_serving();
    let patience = Duration::from_secs(base.config.limits.maintenance_s);
    loop {
        // The base lives as long as this does.
        let _ = serving.wait_for(Option::is_none).await;
        let nothing = base.installed(PackageKind::Site).is_none();
        let rescue = matches!(*base.installer.state(), Install::Rescue { .. });
        if nothing || rescue {
            return;
        }
        let back = serving.wait_for(Option::is_some);
        if tokio::time::timeout(patience, back).await.is_ok() {
            continue;
        }
        // What an attempt brings up is there in a moment, and until then requests wait.
        let takes_over = base.installer.state().attempt().is_some();
        let back = serving.wait_for(Option::is_some);
        if !takes_over || tokio::time::timeout(TAKES_OVER, back).await.is_err() {
            return;
        }
    }
}

/// Answers until a generation serves.
async fn accept(base: &Shared, listener: &TcpListener, router: &Router) {
    let mut serving = base.fleet.watch_serving();
    let turns = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let acceptor = match tls_config(&base.paths) {
        Ok(config) => TlsAcceptor::from(Arc::new(config)),
        Err(error) => {
            tracing::error!(
                error = format!("{error:#}"),
                "Certificate cannot be used; nobody answers https"
            );
            let _ = serving.wait_for(Option::is_some).await;
            return;
        }
    };
    loop {
        let accepted = async {
            let turn = turns.clone().acquire_owned().await.ok();
            (listener.accept().await, turn)
        };
        let (accepted, turn) = tokio::select! {
            accepted = accepted => accepted,
            _ = serving.wait_for(Option::is_some) => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let (base, acceptor, router) = (base.clone(), acceptor.clone(), router.clone());
                tokio::spawn(async move {
                    connection(&base, stream, &acceptor, router).await;
                    drop(turn);
                });
            }
            // Out of descriptors, for example: it passes.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn connection(base: &Base, stream: TcpStream, acceptor: &TlsAcceptor, router: Router) {
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await else {
        return;
    };
    let mut serving = base.fleet.watch_serving();
    let mut closing = base.closing.subscribe();
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(hyper_util::rt::TokioTimer::new())
        .header_read_timeout(Duration::from_secs(10));
    let service = TowerToHyperService::new(router);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        _ = &mut connection => return,
        _ = serving.wait_for(Option::is_some) => {}
        _ = closing.wait_for(|closing| *closing) => {}
    }
    // Its next request belongs to the generation that serves.
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(Duration::from_secs(30), connection).await;
}

fn router(base: &Shared) -> Router {
    let answering = base.clone();
    api::router(base.clone()).fallback(move || std::future::ready(maintenance(&answering)))
}

fn maintenance(base: &Base) -> Response {
    let state = base.installer.state();
    let reason = match &*state {
        Install::Rescue { reason, .. } => format!("No version of the site stays up: {reason}."),
        _ if base.installed(PackageKind::Site).is_none() => {
            "No site software is installed yet.".into()
        }
        _ => String::new(),
    };
    let body = Maintenance { hostname: base.config.hostname.to_string(), reason, retry_s: RETRY_S };
    let shell = Shell { host: base.config.hostname.to_string(), who: None, flash: None };
    let html = Html(shell.alone(Variant::Appliance, &body));
    let mut response = (StatusCode::SERVICE_UNAVAILABLE, html).into_response();
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_S));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The web certificate, as the base serves it.
pub fn tls_config(paths: &Paths) -> anyhow::Result<ServerConfig> {
    let read = |name: &str| {
        let path = paths.tls().join(name);
        std::fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))
    };
    let certs: Vec<CertificateDer<'static>> =
        CertificateDer::pem_reader_iter(BufReader::new(&read("cert.pem")?[..]))
            .collect::<Result<_, _>>()
            .context("tls/cert.pem holds no certificates")?;
    let key =
        PrivateKeyDer::from_pem_slice(&read("key.pem")?).context("tls/key.pem holds no key")?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(certs, key)
        .context("certificate and key do not belong together")?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
