//! Whatever arrives on 443: the process stays up, others are served, nothing is lost.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use link::{ClientKind, Dialer};
use session::SigningKey;
use sluis_e2e::load;
use sluis_e2e::rig::{Profile, Rig};
use sluis_e2e::web::Web;

fn site() -> (Rig, u64, Profile) {
    let mut rig = Rig::new().expect("a rig");
    let package = rig.package("1.0.0", 1, 1).expect("a package");
    rig.migrate(&package).expect("a database");
    let generation = rig.start(&package).expect("a generation");
    rig.control(generation, "POST", "activate").expect("it accepts");
    let ada = rig.operator("ada").expect("an operator");
    let token = rig.enrolment_token().expect("a token");
    rig.agent("web-1", &token).expect("an agent");
    rig.wait_agents(generation, 1, Duration::from_secs(30)).expect("the agent connects");
    (rig, generation, ada)
}

/// Somebody else is served while it goes on.
fn assert_others_are_served(rig: &Rig, generation: u64, console: &Profile) {
    let answer = Web::new(rig.address()).call(Method::GET, "/api/v1/about", None, None);
    answer.expect("pages and API answer");
    let report = load::tick(console, "web-1", 5, 1).expect("a session opens").finish();
    assert_eq!(report.expect("a session runs").lines, 5);
    let status = rig.control(generation, "GET", "status").expect("the same process answers");
    assert_eq!(status["phase"], "active");
}

#[test]
fn noise_instead_of_tls_is_dropped() {
    let (rig, generation, ada) = site();
    let long = vec![0; 70_000];
    let noises: [&[u8]; 5] = [
        b"",
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
        &long,
        &[0x16, 0x03, 0x01, 0xff, 0xff],
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ];
    for noise in noises {
        let mut stream = TcpStream::connect(rig.address()).expect("it accepts");
        // It may hang up before all is written.
        let _ = stream.write_all(noise);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        stream.set_read_timeout(Some(Duration::from_secs(15))).expect("a socket option");
        let _ = stream.read_to_end(&mut Vec::new());
    }
    assert_others_are_served(&rig, generation, &ada);
}

#[test]
fn thousands_of_half_open_connections_keep_nobody_out() {
    let (rig, generation, ada) = site();
    let open: Vec<TcpStream> = (0..2500).filter_map(|i| half_open(rig.address(), i)).collect();
    assert!(open.len() > 2000, "only {} connections could be made", open.len());
    assert_others_are_served(&rig, generation, &ada);
}

/// A connection that says nothing, or begins a handshake and stops; from one of many addresses.
fn half_open(address: SocketAddr, i: usize) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).ok()?;
    if i.is_multiple_of(2) {
        stream.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).ok()?;
    }
    Some(stream)
}

#[test]
fn links_that_break_the_rules_end_alone() {
    let (rig, generation, ada) = site();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let dialer = Dialer {
            address: rig.address().to_string(),
            kind: ClientKind::Console,
            key: Arc::new(SigningKey::from_seed(&[3; 32]).expect("a seed")),
            pinned: vec![rig.identity().expect("an identity")],
            name: "stranger".into(),
            software: "1.0.0".into(),
            revision: 1,
            token: None,
            tls: link::client_config(),
        };
        let dialed = dialer.dial().await.expect("anybody may sign in");
        assert!(!dialed.welcome.known, "a stranger is not known");
        let frames: [&[u8]; 5] = [
            &[0x3f, 0, 0, 0],
            &[0x02, 0xff, 0xff, 0xff],
            &[0x01, 0, 0, 2, 0xff, 0xff],
            &[0x05, 0, 0, 1, 0],
            &[0x04, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, b'x'],
        ];
        for frame in frames {
            let (mut reader, writer) = dialed.link.handle().open().expect("the link is up").split();
            writer.frame(frame).await.expect("written");
            // The stream ends, with or without a reason; the link does not.
            while let Ok(Some(_)) = reader.next().await {}
        }
        assert!(!dialed.link.handle().is_closed(), "the link outlives its streams");
        let (mut reader, writer) = dialed.link.handle().open().expect("the link is up").split();
        let ask = session::OpenSession {
            target: "web-1".into(),
            command: Some("id".into()),
            columns: 80,
            rows: 24,
            term: "dumb".into(),
            terminal: false,
            session: None,
        };
        writer.message(ask).await.expect("written");
        let answer = reader.message().await.expect("an answer");
        assert!(
            matches!(answer, session::Message::Refused(_)),
            "a stranger opens nothing: {answer:?}"
        );
    });
    assert_others_are_served(&rig, generation, &ada);
}

#[test]
fn bodies_that_are_too_long_or_wrong_get_a_clear_error() {
    let (rig, generation, ada) = site();
    let web = Web::new(rig.address());
    let long = serde_json::json!({ "name": "x".repeat(80_000), "password": "y" });
    for (body, path) in [
        (Some(&long), "/api/v1/login"),
        (Some(&serde_json::json!([1, 2])), "/api/v1/login"),
        (None, "/api/v1/login"),
        (Some(&serde_json::json!({ "token": 7 })), "/api/v1/consoles"),
    ] {
        let error = web.call(Method::POST, path, None, body).expect_err("it is refused");
        let text = format!("{error:#}");
        assert!(text.contains(" 4"), "a client's error, and not a broken connection: {text}");
    }
    assert_others_are_served(&rig, generation, &ada);
}
