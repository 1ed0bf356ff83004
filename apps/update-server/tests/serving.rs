//! Static files, the page, bad input and bad connections.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;

use common::{Appliance, Bench, base, site};
use reqwest::StatusCode;

#[tokio::test]
async fn files_come_whole_in_parts_or_not_at_all() {
    let mut bench = Bench::start();
    let package = base("1.1.0 (rev 2)", &[]);
    bench.repository.publish(std::slice::from_ref(&package));
    let content = package.label().into_bytes();
    let hash = common::sha256(&package).to_string();
    let path = format!("/tuf/targets/base/{hash}.base-1.1.0-r2-x86_64.pkg");
    let etag = format!("\"{hash}\"");

    let whole = bench.get(&path, &[]).await;
    assert_eq!(whole.status(), StatusCode::OK);
    assert_eq!(whole.headers()["etag"], etag.as_str());
    assert_eq!(whole.headers()["accept-ranges"], "bytes");
    assert_eq!(whole.bytes().await.expect("all of it"), content.as_slice());

    for (range, first, last) in [("bytes=5-", 5, 17), ("bytes=0-3", 0, 3), ("bytes=-4", 14, 17)] {
        let part = bench.get(&path, &[("range", range)]).await;
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT, "{range}");
        assert_eq!(part.headers()["content-range"], format!("bytes {first}-{last}/18").as_str());
        assert_eq!(part.bytes().await.expect("a part"), &content[first..=last]);
    }
    let beyond = bench.get(&path, &[("range", "bytes=18-")]).await;
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(beyond.headers()["content-range"], "bytes */18");
    let resumed = [("range", "bytes=5-"), ("if-range", "\"of another file\"")];
    assert_eq!(bench.get(&path, &resumed).await.status(), StatusCode::OK);
    let resumed = [("range", "bytes=5-"), ("if-range", etag.as_str())];
    assert_eq!(bench.get(&path, &resumed).await.status(), StatusCode::PARTIAL_CONTENT);
    for tag in [etag.as_str(), "*", &format!("\"x\", W/{etag}")] {
        let same = bench.get(&path, &[("if-none-match", tag)]).await;
        assert_eq!(same.status(), StatusCode::NOT_MODIFIED, "{tag}");
        assert_eq!(same.headers()["etag"], etag.as_str());
    }
    assert_eq!(bench.get(&path, &[("if-none-match", "\"x\"")]).await.status(), StatusCode::OK);
    let head = bench.http.head(format!("{}{path}", bench.url)).send().await.expect("an answer");
    assert_eq!(
        (head.status(), &head.headers()["content-length"]),
        (StatusCode::OK, &"18".parse().expect("a value"))
    );

    // Metadata changes, and its tag with it.
    let stamp = bench.get("/tuf/metadata/timestamp.json", &[]).await;
    let tag = stamp.headers()["etag"].to_str().expect("text").to_owned();
    assert_eq!(stamp.headers()["cache-control"], "no-cache");
    let same = bench.get("/tuf/metadata/timestamp.json", &[("if-none-match", &tag)]).await;
    assert_eq!(same.status(), StatusCode::NOT_MODIFIED);
    bench.repository.publish(&[package]);
    let changed = bench.get("/tuf/metadata/timestamp.json", &[("if-none-match", &tag)]).await;
    assert_eq!(changed.status(), StatusCode::OK);
    let part = bench.get("/tuf/metadata/timestamp.json", &[("range", "bytes=0-1")]).await;
    assert_eq!(part.bytes().await.expect("a part").len(), 2);
}

#[tokio::test]
async fn nothing_outside_the_repository_is_given_out() {
    let mut bench = Bench::start();
    bench.repository.publish(&[]);
    std::fs::write(bench.repository.dir.join("secret"), "s").expect("to write");
    std::fs::write(bench.repository.dir.join("targets/plain"), "s").expect("to write");
    for path in [
        "/tuf/secret",
        "/tuf/metadata/../secret",
        "/tuf/metadata/%2e%2e/secret",
        "/tuf/metadata/..%2fsecret",
        "/tuf/%2e%2e/data/offer.key",
        "/tuf/metadata",
        "/tuf/metadata/",
        "/tuf//metadata/timestamp.json",
        "/tuf/targets/plain",
        "/tuf/targets/base",
        "/tuf/metadata/%00",
        "/tuf/metadata/.hidden",
        "/tuf/",
        "/data/offer.key",
        "/v1",
        "/v1/check",
    ] {
        let answer = raw(
            &bench,
            format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes(),
        );
        let status = answer.split(' ').nth(1).expect("a status");
        assert!(["404", "405"].contains(&status), "{path}: {answer}");
    }
}

/// What the server says to these bytes, until it closes.
fn raw(bench: &Bench, bytes: &[u8]) -> String {
    let address = bench.url.strip_prefix("http://").expect("plain HTTP");
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.write_all(bytes).expect("to send");
    let mut answer = Vec::new();
    // A reset after the answer is how some refusals end.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn bad_requests_get_a_clear_answer_and_others_are_served() {
    let mut bench = Bench::start();
    bench.repository.publish(&[base("1.1.0 (rev 2)", &[])]);
    let appliance = Appliance::enrolled(&bench).await;
    let post = async |path: &str, body: Vec<u8>| {
        let sent = bench.http.post(format!("{}{path}", bench.url)).body(body).send().await;
        let answer = sent.expect("an answer");
        (answer.status(), answer.text().await.expect("text"))
    };
    for path in ["/v1/enrol", "/v1/check", "/v1/report"] {
        for body in [
            vec![],
            b"{".to_vec(),
            b"null".to_vec(),
            vec![0xff; 100],
            b"[".repeat(100_000),
            br#"{"appliance": "x", "nonce": "zz"}"#.to_vec(),
        ] {
            let (status, text) = post(path, body).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{path}: {text}");
            let refusal: release::offer::Refusal = serde_json::from_str(&text).expect("a refusal");
            assert_eq!(refusal.code, "request");
        }
        let (status, text) = post(path, vec![b' '; 300_000]).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{text}");
    }
    let answer = raw(&bench, b"\x16\x03\x01 this is no HTTP\r\n\r\n");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(200_000));
    let answer = raw(&bench, long.as_bytes());
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    appliance.check(&bench).await;
}

#[tokio::test]
async fn half_open_connections_keep_nobody_out() {
    let mut bench = Bench::start();
    bench.repository.publish(&[]);
    let appliance = Appliance::enrolled(&bench).await;
    let address = bench.url.strip_prefix("http://").expect("plain HTTP").to_owned();
    let idle: Vec<TcpStream> = (0..300)
        .map(|n| {
            let mut stream = TcpStream::connect(&address).expect("a connection");
            if n % 2 == 0 {
                stream
                    .write_all(b"POST /v1/check HTTP/1.1\r\ncontent-length: 100\r\n")
                    .expect("to send");
            }
            stream
        })
        .collect();
    appliance.check(&bench).await;
    drop(idle);
}

#[tokio::test]
async fn the_page_lists_releases_and_appliances_to_its_operator_only() {
    let mut bench = Bench::start();
    bench.repository.publish(&[base("1.1.0 (rev 2)", &[]), site("1.1.0 (rev 2)", &[])]);
    let appliance = Appliance::enrolled(&bench).await;
    appliance.check(&bench).await;
    let request = appliance.report(1, "Committed", "<b>site 1.1.0 (rev 2)</b> serves.");
    appliance.post(&bench, "/v1/report", &request, None).await.expect("a reply");
    bench.good(&["block", "site/site-1.1.0-r2-x86_64.pkg", "--reason", "it fills the disk"]);

    assert_eq!(bench.get("/", &[]).await.status(), StatusCode::UNAUTHORIZED);
    let wrong = bench.http.get(format!("{}/", bench.url)).basic_auth("admin", Some("guess"));
    assert_eq!(wrong.send().await.expect("an answer").status(), StatusCode::UNAUTHORIZED);
    let password =
        std::fs::read_to_string(bench.dir.path().join("data/page.password")).expect("it");
    let request =
        bench.http.get(format!("{}/", bench.url)).basic_auth("admin", Some(password.trim()));
    let page = request.send().await.expect("an answer");
    assert_eq!(page.status(), StatusCode::OK);
    assert!(
        page.headers()["content-security-policy"]
            .to_str()
            .expect("text")
            .contains("default-src 'none'")
    );
    let html = page.text().await.expect("HTML");
    for word in [
        "base 1.1.0 (rev 2)",
        "site/site-1.1.0-r2-x86_64.pkg",
        "blocked: it fills the disk",
        "access.example.com",
        "Harbour",
        "site 1.0.0 (rev 1)",
        "Committed",
        "&#60;b&#62;site 1.1.0 (rev 2)",
    ] {
        assert!(html.contains(word), "{word}: {html}");
    }
    let style =
        html.split("href=\"").find(|piece| piece.starts_with("/pages/")).expect("a style sheet");
    let style = style.split('"').next().expect("its address");
    assert_eq!(bench.get(style, &[]).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn its_own_certificate_and_offer_key_stay_over_restarts() {
    let mut bench = Bench::start_with(&[]);
    bench.repository.publish(&[base("1.1.0 (rev 2)", &[])]);
    assert!(bench.url.starts_with("https://"));
    let appliance = Appliance::enrolled(&bench).await;
    let read = |name: &str| std::fs::read(bench.dir.path().join("data").join(name)).expect(name);
    let before: Vec<_> = ["tls-cert.pem", "tls-key.pem", "offer.key"].map(read).into();
    for name in ["tls-key.pem", "offer.key", "page.password"] {
        let mode =
            std::fs::metadata(bench.dir.path().join("data").join(name)).expect(name).permissions();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600, "{name}");
    }
    bench.restart();
    let read = |name: &str| std::fs::read(bench.dir.path().join("data").join(name)).expect(name);
    let after: Vec<_> = ["tls-cert.pem", "tls-key.pem", "offer.key"].map(read).into();
    assert_eq!(before, after);
    assert_eq!(appliance.check(&bench).await.plan.len(), 1);
}

#[test]
fn the_operator_is_told_what_is_wrong() {
    let bench = Bench::start();
    bench.good(&["customer", "add", "Harbour"]);
    assert!(bench.bad(&["customer", "add", "Harbour"]).contains("there already"));
    assert!(bench.bad(&["customer", "add", " "]).contains("one line"));
    assert!(bench.bad(&["unhold", "--all"]).contains("nothing holds all"));
    assert!(bench.bad(&["unblock", "site/x"]).contains("not blocked"));
    let nobody = "00000000-0000-0000-0000-000000000000";
    assert!(bench.bad(&["appliance", "remove", nobody]).contains("there is no appliance"));
    let set = ["entitlement", "set", "--customer", "Nobody", "--hostname", "a.example.com"];
    assert!(bench.bad(&set).contains("customer add Nobody"));
    assert_eq!(
        bench.run(&["hold", "--reason", "x"]).status.code(),
        Some(2),
        "a hold needs its scope"
    );
    let taken = bench.url.strip_prefix("http://").expect("plain HTTP").to_owned();
    let error = bench.bad(&["serve", "--plain", "--repo", "repo", "--listen", &taken]);
    assert!(error.contains("cannot listen on"), "{error}");
}
