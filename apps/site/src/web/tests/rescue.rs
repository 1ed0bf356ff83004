//! The rescue channel: what is meant for everybody, and not a file more.

use axum::body::Body;
use axum::http::{Method, StatusCode, header};

use super::fixture::{AGENT_BYTES, AGENT_NAME, IDENTITY, Site, request, sha256};

#[tokio::test]
async fn any_client_learns_about_its_update_and_fetches_it_in_parts() {
    let site = Site::new().await;
    let hint = site.get("/rescue/v1/site").await.json();
    assert_eq!(hint["identity"], IDENTITY.to_string());
    assert_eq!((hint["version"].as_str(), hint["revision"].as_u64()), (Some("1.1.0"), Some(2)));
    assert_eq!(hint["agent"]["target"], format!("agent/{AGENT_NAME}"));
    assert_eq!(hint["agent"]["version"], "1.1.0");
    let sha = hint["agent"]["sha256"].as_str().expect("a hash");
    assert_eq!(sha, sha256(AGENT_BYTES));

    let metadata = site.get("/rescue/v1/metadata/timestamp.json").await;
    assert_eq!(metadata.text(), "{\"signed\":1}");
    for path in [format!("{sha}.{AGENT_NAME}"), format!("agent/{sha}.{AGENT_NAME}")] {
        let path = format!("/rescue/v1/targets/{path}");
        let whole = site.get(&path).await;
        assert_eq!((whole.status, &*whole.body), (StatusCode::OK, AGENT_BYTES), "{path}");
        assert!(whole.header("cache-control").contains("immutable"));
        let rest = request(Method::GET, &path).header(header::RANGE, "bytes=6-");
        let rest = site.send(rest.body(Body::empty()).expect("a request")).await;
        assert_eq!((rest.status, &*rest.body), (StatusCode::PARTIAL_CONTENT, &AGENT_BYTES[6..]));
    }
}

#[tokio::test]
async fn nothing_else_is_served() {
    let site = Site::new().await;
    let sha = sha256(AGENT_BYTES);
    let other = "0".repeat(64);
    for path in [
        "metadata/2.root.json".to_owned(),
        "metadata/..%2Fsecret.json".to_owned(),
        "metadata/../secret.json".to_owned(),
        "metadata/%2e%2e%2fsecret.json".to_owned(),
        "metadata/.%00.json".to_owned(),
        "metadata/%ff.json".to_owned(),
        "targets/../manifest.json".to_owned(),
        "targets/..%2Fmanifest.json".to_owned(),
        format!("targets/{other}.{AGENT_NAME}"),
        format!("targets/{AGENT_NAME}"),
        format!("targets/console/{sha}.{AGENT_NAME}"),
        format!("targets/agent/../{sha}.x"),
        "targets/".to_owned(),
        "site/x".to_owned(),
    ] {
        let answer = site.get(&format!("/rescue/v1/{path}")).await;
        let refused = [StatusCode::NOT_FOUND, StatusCode::BAD_REQUEST];
        assert!(refused.contains(&answer.status), "{path}: {}", answer.status);
        assert!(!answer.text().contains("not for anybody"), "{path}");
    }
    let post = request(Method::POST, "/rescue/v1/site").body(Body::empty());
    let post = site.send(post.expect("a request")).await;
    assert_eq!(post.status, StatusCode::METHOD_NOT_ALLOWED);
}
