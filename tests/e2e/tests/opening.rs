//! A session that a console asks for twice is opened once: its command runs a single time, and there is
//! one recording, whatever became of the link or of the site in between.

use std::path::Path;
use std::time::Duration;

use link::{ClientKind, Dialed, Dialer, Reader, Writer};
use model::SessionId;
use session::{Channel, ChosenId, Finished, Frame, Message, OpenSession, RefusedCode};
use sluis_e2e::live::check_recordings_in;
use sluis_e2e::rig::{Profile, Rig};

struct Stage {
    rig: Rig,
    package: std::path::PathBuf,
    generation: u64,
    ada: Profile,
}

fn stage() -> Stage {
    let mut rig = Rig::new().expect("a rig");
    let package = rig.package("1.0.0", 1, 1).expect("a package");
    rig.migrate(&package).expect("a database");
    let generation = rig.start(&package).expect("a generation");
    rig.control(generation, "POST", "activate").expect("it accepts");
    let ada = rig.operator("ada").expect("an operator");
    let token = rig.enrolment_token().expect("a token");
    rig.agent("web-1", &token).expect("an agent");
    rig.wait_agents(generation, 1, Duration::from_secs(30)).expect("the agent connects");
    Stage { rig, package, generation, ada }
}

/// A link as that console makes it.
async fn dial(rig: &Rig, console: &Profile) -> Dialed {
    let key = link::load_or_create_key(&console.home().join("console.key")).expect("a key");
    let dialer = Dialer {
        address: rig.address().to_string(),
        kind: ClientKind::Console,
        key: std::sync::Arc::new(key),
        pinned: vec![rig.identity().expect("an identity")],
        name: "test".into(),
        software: "1.0.0".into(),
        revision: 1,
        token: None,
        tls: link::client_config(),
    };
    dialer.dial().await.expect("a link")
}

fn ask(id: SessionId, command: &str) -> OpenSession {
    OpenSession {
        target: "web-1".into(),
        command: Some(command.to_owned()),
        columns: 80,
        rows: 24,
        term: "dumb".into(),
        terminal: false,
        session: Some(ChosenId(id)),
    }
}

async fn send(link: &Dialed, ask: &OpenSession) -> (Reader, Writer) {
    let (reader, writer) = link.link.handle().open().expect("a stream").split();
    writer.message(ask.clone()).await.expect("written");
    (reader, writer)
}

/// Reads a session to its end as a console does; answers what it printed.
async fn to_its_end(mut reader: Reader, writer: Writer) -> String {
    let mut shown = Vec::new();
    let mut exit = None;
    while let Some(received) = reader.next().await.expect("the link holds") {
        match received.frame {
            Frame::Data { channel: Channel::Output, offset, bytes } => {
                assert_eq!(offset, shown.len() as u64, "no byte is missing or doubled");
                shown.extend_from_slice(&bytes);
            }
            Frame::Message(Message::Exit(came)) => exit = Some(came),
            Frame::Message(Message::Finished(_)) => break,
            _ => {}
        }
        if exit.as_ref().is_some_and(|exit| exit.offset == shown.len() as u64) {
            writer.ack(shown.len() as u64).await.expect("written");
            writer.message(Finished {}).await.expect("written");
        }
    }
    assert_eq!(exit.expect("an exit").status, Some(7));
    String::from_utf8(shown).expect("text")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// A command that leaves a mark each time it runs, and the mark's file.
fn marking(rig: &Rig) -> (String, std::path::PathBuf) {
    let marks = rig.path("marks");
    (format!("echo ran | tee -a {}; exit 7", marks.display()), marks)
}

fn ran_once(marks: &Path) {
    assert_eq!(std::fs::read_to_string(marks).expect("it ran"), "ran\n");
}

#[test]
fn a_console_that_heard_no_answer_gets_the_session_that_it_asked_for() {
    let stage = stage();
    let (command, marks) = marking(&stage.rig);
    let ask = ask(SessionId(uuid::Uuid::now_v7()), &command);
    let shown = runtime().block_on(async {
        let first = dial(&stage.rig, &stage.ada).await;
        drop(send(&first, &ask).await);
        first.link.handle().close();
        let second = dial(&stage.rig, &stage.ada).await;
        let (mut reader, writer) = send(&second, &ask).await;
        let answer = reader.message().await.expect("an answer");
        let Message::Opened(opened) = answer else { panic!("{answer:?}") };
        assert_eq!(Some(ChosenId(opened.session)), ask.session);
        to_its_end(reader, writer).await
    });
    assert_eq!(shown, "ran\n");
    ran_once(&marks);
    let recordings = stage.rig.path("site/recordings");
    assert_eq!(check_recordings_in(&recordings, Duration::from_secs(20)).expect("whole"), 1);
}

#[test]
fn a_generation_that_dies_while_it_opens_a_session_leaves_it_to_the_next() {
    let mut stage = stage();
    let (command, marks) = marking(&stage.rig);
    let ask = ask(SessionId(uuid::Uuid::now_v7()), &command);
    let runtime = runtime();
    runtime.block_on(async {
        let link = dial(&stage.rig, &stage.ada).await;
        let (mut reader, _writer) = send(&link, &ask).await;
        // The answer is lost with the generation: as if it had never come.
        reader.message().await.expect("an answer");
    });
    stage.rig.kill(stage.generation).expect("killed");
    let second = stage.rig.start(&stage.package).expect("a second generation");
    stage.rig.control(second, "POST", "activate").expect("it accepts");
    let shown = runtime.block_on(async {
        let link = dial(&stage.rig, &stage.ada).await;
        let (mut reader, writer) = send(&link, &ask).await;
        let answer = reader.message().await.expect("an answer");
        assert!(matches!(answer, Message::Opened(_)), "{answer:?}");
        to_its_end(reader, writer).await
    });
    assert_eq!(shown, "ran\n");
    ran_once(&marks);
    let recordings = stage.rig.path("site/recordings");
    assert_eq!(check_recordings_in(&recordings, Duration::from_secs(20)).expect("whole"), 1);
}

#[test]
fn another_console_does_not_get_a_session_by_its_id() {
    let stage = stage();
    let eve = stage.rig.operator("eve").expect("another operator");
    let ask = ask(SessionId(uuid::Uuid::now_v7()), "sleep 600");
    runtime().block_on(async {
        let own = dial(&stage.rig, &stage.ada).await;
        let (mut reader, writer) = send(&own, &ask).await;
        let answer = reader.message().await.expect("an answer");
        assert!(matches!(answer, Message::Opened(_)), "{answer:?}");
        let other = dial(&stage.rig, &eve).await;
        let (mut refused, _writer) = send(&other, &ask).await;
        let answer = refused.message().await.expect("an answer");
        let Message::Refused(refused) = answer else { panic!("{answer:?}") };
        assert_eq!(refused.reason(), RefusedCode::Forbidden);
        // Nor does its own console get anything else by it.
        let changed = OpenSession { command: Some("id".into()), ..ask.clone() };
        let (mut refused, _writer) = send(&own, &changed).await;
        let answer = refused.message().await.expect("an answer");
        let Message::Refused(refused) = answer else { panic!("{answer:?}") };
        assert_eq!(refused.reason(), RefusedCode::Forbidden);
        // Whose it is goes on with it.
        writer.message(session::Close {}).await.expect("written");
        let ended = |frame: Frame| matches!(frame, Frame::Message(Message::Exit(_)));
        while !ended(reader.next().await.expect("the link holds").expect("an end").frame) {}
    });
}

#[test]
fn a_session_whose_operator_asked_for_its_end_and_left_is_over() {
    let stage = stage();
    let ask = ask(SessionId(uuid::Uuid::now_v7()), "sleep 600");
    runtime().block_on(async {
        let link = dial(&stage.rig, &stage.ada).await;
        let (mut reader, writer) = send(&link, &ask).await;
        let answer = reader.message().await.expect("an answer");
        assert!(matches!(answer, Message::Opened(_)), "{answer:?}");
        writer.message(session::Close {}).await.expect("written");
        writer.close();
        // What is written goes out before the link closes.
        while let Ok(Some(_)) = reader.next().await {}
    });
    let recordings = stage.rig.path("site/recordings");
    assert_eq!(check_recordings_in(&recordings, Duration::from_secs(20)).expect("over"), 1);
}
