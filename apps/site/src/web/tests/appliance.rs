//! What is below `/appliance` goes to the base, both ways as it comes.

use std::path::PathBuf;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::routing::{any, get, post};
use futures_util::StreamExt;
use http_body_util::BodyExt;
use tokio::net::UnixListener;
use tower::ServiceExt;

use super::fixture::{Site, request};

/// A base that tells what it was asked, and echoes what it was sent.
fn start_base(socket: PathBuf) -> tokio::task::JoinHandle<()> {
    let tell = |headers: HeaderMap, uri: axum::http::Uri| async move {
        let value =
            |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("-").to_owned();
        let text = format!(
            "{uri} for={} proto={} host={} keep={} forwarded={} te={}",
            value("x-forwarded-for"),
            value("x-forwarded-proto"),
            value("host"),
            value("cookie"),
            value("forwarded"),
            value("x-hop"),
        );
        ([(header::CONTENT_SECURITY_POLICY, "default-src 'self'")], text)
    };
    let router = Router::new()
        .route("/appliance", any(tell))
        .route("/appliance/{*rest}", any(tell))
        .route("/appliance/upload", post(|body: Body| async { body }))
        .route(
            "/appliance/slow",
            get(|| async {
                let lines = futures_util::stream::iter(0..3).then(|n| async move {
                    tokio::task::yield_now().await;
                    Ok::<_, std::io::Error>(format!("line {n}\n"))
                });
                Body::from_stream(lines)
            }),
        );
    let listener = UnixListener::bind(socket).expect("binds");
    tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") })
}

#[tokio::test]
async fn the_base_hears_who_asks_whatever_they_claim() {
    let site = Site::new().await;
    let base = start_base(site.path("base.sock"));
    let asked = request(Method::GET, "/appliance/status?x=1%20y")
        .header("x-forwarded-for", "10.0.0.1")
        .header("x-forwarded-proto", "http")
        .header("forwarded", "for=10.0.0.1")
        .header("cookie", "a=b")
        .header("x-hop", "1")
        .header("connection", "keep-alive, x-hop")
        .body(Body::empty());
    let answer = site.send(asked.expect("a request")).await;
    assert_eq!(
        answer.text(),
        "/appliance/status?x=1%20y for=192.0.2.7 proto=https host=support.example.com:8443 \
         keep=a=b forwarded=- te=-"
    );
    assert_eq!(answer.header("content-security-policy"), "default-src 'self'", "its own stays");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    let http2 = request(Method::GET, "https://other.example/appliance").body(Body::empty());
    let answer = site.send(http2.expect("a request")).await;
    assert!(answer.text().starts_with("/appliance for=192.0.2.7"), "{}", answer.text());
    assert!(answer.text().contains("host=other.example"), "{}", answer.text());
    assert_eq!(site.get("/appliances").await.status, StatusCode::NOT_FOUND, "not ours to pass on");
    base.abort();
}

#[tokio::test]
async fn bodies_stream_both_ways_without_a_limit_of_ours() {
    let site = Site::new().await;
    let base = start_base(site.path("base.sock"));
    let chunk = Bytes::from(vec![7_u8; 64 * 1024]);
    let chunks =
        futures_util::stream::iter((0..128).map(move |_| Ok::<_, std::io::Error>(chunk.clone())));
    let upload = request(Method::POST, "/appliance/upload").body(Body::from_stream(chunks));
    let response =
        site.router.clone().oneshot(upload.expect("a request")).await.expect("infallible");
    let mut length = 0;
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        length += frame.expect("a frame").into_data().map_or(0, |data| data.len());
    }
    assert_eq!(length, 128 * 64 * 1024);
    assert_eq!(site.get("/appliance/slow").await.text(), "line 0\nline 1\nline 2\n");
    base.abort();
}

#[tokio::test]
async fn while_the_base_is_away_a_page_says_so_and_the_rest_goes_on() {
    let site = Site::new().await;
    let page = site.get("/appliance").await;
    assert_eq!(page.status, StatusCode::BAD_GATEWAY);
    assert!(page.text().contains("The base software does not answer"), "{}", page.text());
    let json = site.get("/appliance/api/v1/status").await;
    assert_eq!(json.status, StatusCode::BAD_GATEWAY);
    assert!(json.json()["remedy"].as_str().expect("words").contains("sluis-base"));
    assert_eq!(site.get("/login").await.status, StatusCode::OK);
}
