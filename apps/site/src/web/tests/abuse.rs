//! What nobody should send: a clear answer, nothing changed, and others are served.

use axum::body::Body;
use axum::http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use super::browser::Browser;
use super::fixture::{Site, request};

#[tokio::test]
async fn odd_addresses_and_methods_get_a_clear_answer() {
    let site = Site::new().await;
    site.person("ruth", true).await;
    let mut browser = Browser::signed_in(&site, "ruth").await;
    let token = site.token("ruth").await;
    for path in [
        "/login/sessions/no-id",
        "/login/clients/%00",
        "/login/recordings/..%2F..%2Fetc%2Fpasswd",
        "/login/users/0193/disable",
        "/login/nothing",
        "/nothing",
    ] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(answer.text().contains("was not found"), "{path}: {}", answer.text());
    }
    assert_eq!(browser.get("/login/sessions?before=nonsense").await.status, StatusCode::OK);
    for path in ["/sessions/no-id", "/recordings/%ff", "/users/1/reset", "/nothing", "/consoles/x"]
    {
        let answer = site.api(Method::GET, path, &token, Value::Null).await;
        assert!(answer.status.is_client_error(), "{path}: {}", answer.status);
        assert!(answer.json()["error"].is_string(), "{path}");
    }
    let put = site.api(Method::PUT, "/about", "", Value::Null).await;
    assert_eq!(put.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(put.json()["error"].as_str().expect("words").contains("PUT"));
}

#[tokio::test]
async fn odd_bodies_get_a_clear_answer() {
    let site = Site::new().await;
    let token = {
        site.person("ruth", true).await;
        site.token("ruth").await
    };
    let post = async |kind: &'static str, body: Vec<u8>| {
        let request = request(Method::POST, "/api/v1/enrolment-tokens")
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, kind)
            .body(Body::from(body));
        site.send(request.expect("a request")).await
    };
    let json = "application/json";
    for (kind, body) in [
        (json, b"".to_vec()),
        (json, b"{".to_vec()),
        (json, b"\xff\xfe".to_vec()),
        (json, b"[1,2]".to_vec()),
        (json, b"{\"name\":7}".to_vec()),
        (json, b"{\"name\":\"x\",\"uses\":-1}".to_vec()),
        (json, b"{\"name\":\"x\",\"mode\":\"loud\"}".to_vec()),
        (json, "[".repeat(60_000).into_bytes()),
        ("text/plain", b"{\"name\":\"x\"}".to_vec()),
    ] {
        let answer = post(kind, body).await;
        assert!(answer.status.is_client_error(), "{}: {}", answer.status, answer.text());
        assert!(answer.json()["error"].is_string());
    }
    let long = json!({ "name": "x".repeat(100_000) }).to_string().into_bytes();
    assert_eq!(post(json, long).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let mut browser = Browser::signed_in(&site, "ruth").await;
    let long = format!("csrf=x&name={}", "x".repeat(100_000));
    let answer = browser.post("/login/users/add", &long).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(answer.text().contains("The form could not be read"), "{}", answer.text());
    assert!(
        site.store.enrolment_tokens().list(super::fixture::NOW).await.expect("reads").is_empty()
    );
}

#[tokio::test]
async fn a_body_that_never_ends_is_cut() {
    let site = Site::new().await;
    let endless = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b'x'; 4096]));
    let request = request(Method::POST, "/api/v1/login")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from_stream(endless));
    let answer = site.send(request.expect("a request")).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn odd_headers_are_passed_over() {
    let site = Site::new().await;
    for (name, value) in [
        (header::COOKIE, &b"__Host-sluis-site=\xff\xfe"[..]),
        (header::COOKIE, b"__Host-sluis-site=; __Host-sluis-site-flash=ok.%GG"),
        (header::COOKIE, b"=;;;=="),
        (header::AUTHORIZATION, b"Bearer"),
        (header::AUTHORIZATION, b"Basic \xff"),
        (header::RANGE, b"bytes=-"),
        (header::HOST, b"evil\"><script>alert(1)</script>"),
    ] {
        let value = HeaderValue::from_bytes(value).expect("opaque");
        let mut request = request(Method::GET, "/login").body(Body::empty()).expect("a request");
        request.headers_mut().insert(name.clone(), value.clone());
        let answer = site.send(request).await;
        assert_eq!(answer.status, StatusCode::OK, "{name}: {value:?}");
        assert!(!answer.text().contains("<script>alert"), "{name}: {value:?}");
    }
}
