//! A session that a console asks for twice is opened once: its command runs a single time, and there is
//! one recording, whatever became of the link or of the site in between.

use std::path::Path;
use std::time::Duration;

use link::{Reader, Writer};
use model::SessionId;
use session::{ChosenId, Frame, Message, OpenSession, RefusedCode};
use sluis_e2e::by_hand::{Stage, ask, send, to_its_end};
use sluis_e2e::live::check_recordings_in;
use sluis_e2e::rig::Rig;

fn stage() -> Stage {
    Rig::new().and_then(Stage::on).expect("a site with an agent")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// A command that leaves a mark each time it runs, and the mark's file.
fn marking(rig: &Rig) -> (String, std::path::PathBuf) {
    let marks = rig.path("marks");
    (format!("echo ran | tee -a {}; exit 7", marks.display()), marks)
}

/// What a command printed that ends with 7.
async fn output_of(reader: Reader, writer: Writer) -> String {
    let (shown, exit) = to_its_end(reader, writer, 0, |_| {}).await.expect("the link holds");
    assert_eq!(exit.status, Some(7));
    String::from_utf8(shown).expect("text")
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
        let first = stage.dial(&stage.ada).await.expect("a link");
        drop(send(&first.link.handle(), &ask).await.expect("asked"));
        first.link.handle().close();
        let second = stage.dial(&stage.ada).await.expect("a link");
        let (mut reader, writer) = send(&second.link.handle(), &ask).await.expect("asked");
        let answer = reader.message().await.expect("an answer");
        let Message::Opened(opened) = answer else { panic!("{answer:?}") };
        assert_eq!(Some(ChosenId(opened.session)), ask.session);
        output_of(reader, writer).await
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
        let link = stage.dial(&stage.ada).await.expect("a link");
        let (mut reader, _writer) = send(&link.link.handle(), &ask).await.expect("asked");
        // The answer is lost with the generation: as if it had never come.
        reader.message().await.expect("an answer");
    });
    stage.rig.kill(stage.generation).expect("killed");
    let second = stage.rig.start(&stage.package).expect("a second generation");
    stage.rig.control(second, "POST", "activate").expect("it accepts");
    let shown = runtime.block_on(async {
        let link = stage.dial(&stage.ada).await.expect("a link");
        let (mut reader, writer) = send(&link.link.handle(), &ask).await.expect("asked");
        let answer = reader.message().await.expect("an answer");
        assert!(matches!(answer, Message::Opened(_)), "{answer:?}");
        output_of(reader, writer).await
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
        let own = stage.dial(&stage.ada).await.expect("a link");
        let (mut reader, writer) = send(&own.link.handle(), &ask).await.expect("asked");
        let answer = reader.message().await.expect("an answer");
        assert!(matches!(answer, Message::Opened(_)), "{answer:?}");
        let other = stage.dial(&eve).await.expect("a link");
        let (mut refused, _writer) = send(&other.link.handle(), &ask).await.expect("asked");
        let answer = refused.message().await.expect("an answer");
        let Message::Refused(refused) = answer else { panic!("{answer:?}") };
        assert_eq!(refused.reason(), RefusedCode::Forbidden);
        // Nor does its own console get anything else by it.
        let changed = OpenSession { command: Some("id".into()), ..ask.clone() };
        let (mut refused, _writer) = send(&own.link.handle(), &changed).await.expect("asked");
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
        let link = stage.dial(&stage.ada).await.expect("a link");
        let (mut reader, writer) = send(&link.link.handle(), &ask).await.expect("asked");
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
