//! Recordings: whole, in part, and only for who may see them.

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use model::SessionId;
use serde_json::Value;

use super::fixture::{Answer, NOW, Site, request};

async fn part(site: &Site, id: SessionId, token: &str, range: &str) -> Answer {
    let request = request(Method::GET, &format!("/api/v1/recordings/{id}"))
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::RANGE, range)
        .body(Body::empty());
    site.send(request.expect("a request")).await
}

#[tokio::test]
async fn a_recording_comes_whole_or_in_part() {
    let site = Site::new().await;
    let ruth = site.person("ruth", false).await;
    let web = site.agent("web", 1).await;
    let id = site.session(&ruth, &web, b"0123456789").await;
    site.store.recordings().finished(id, 10, [0xab; 32], NOW).await.expect("finishes");
    let token = site.token("ruth").await;
    let path = format!("/recordings/{id}");

    let whole = site.api(Method::GET, &path, &token, Value::Null).await;
    assert_eq!((whole.status, whole.text().as_str()), (StatusCode::OK, "0123456789"));
    assert_eq!(whole.header("content-type"), "application/x-asciicast");
    assert!(whole.header("content-disposition").contains(&format!("{id}.cast")));
    assert_eq!(whole.header("accept-ranges"), "bytes");
    let etag = whole.header("etag").to_owned();
    assert_eq!(etag, format!("\"{}\"", "ab".repeat(32)));

    let some = part(&site, id, &token, "bytes=3-5").await;
    assert_eq!((some.status, some.text().as_str()), (StatusCode::PARTIAL_CONTENT, "345"));
    assert_eq!(some.header("content-range"), "bytes 3-5/10");
    let rest = part(&site, id, &token, "bytes=8-").await;
    assert_eq!(rest.text(), "89");
    let beyond = part(&site, id, &token, "bytes=10-").await;
    assert_eq!(beyond.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(beyond.header("content-range"), "bytes */10");

    let again = request(Method::GET, &format!("/api/v1{path}"))
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::IF_NONE_MATCH, &etag)
        .body(Body::empty());
    let again = site.send(again.expect("a request")).await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
    let head = site.api(Method::HEAD, &path, &token, Value::Null).await;
    assert_eq!((head.header("content-length"), head.body.len()), ("10", 0));

    let list = site.api(Method::GET, "/recordings", &token, Value::Null).await.json();
    assert_eq!(list["recordings"][0]["size"], 10);
    assert_eq!(list["recordings"][0]["chain_head"], "ab".repeat(32));
}

#[tokio::test]
async fn who_takes_a_recording_stands_in_the_audit_log_and_others_find_none() {
    let site = Site::new().await;
    let (root, ruth) = (site.person("root", true).await, site.person("ruth", false).await);
    let web = site.agent("web", 1).await;
    let (his, hers) =
        (site.session(&root, &web, b"his").await, site.session(&ruth, &web, b"hers").await);
    let (admin, person) = (site.token("root").await, site.token("ruth").await);
    let path = format!("/recordings/{his}");
    let foreign = site.api(Method::GET, &path, &person, Value::Null).await;
    assert_eq!(foreign.status, StatusCode::NOT_FOUND);
    let path = format!("/recordings/{hers}");
    assert_eq!(site.api(Method::GET, &path, &admin, Value::Null).await.text(), "hers");
    let log = site.api(Method::GET, "/audit?limit=1", &admin, Value::Null).await.json();
    assert_eq!(log[0]["action"], "recording.read");
    assert_eq!(log[0]["subject"], hers.to_string());
    assert_eq!(log[0]["peer"], "192.0.2.7:40000");
}
