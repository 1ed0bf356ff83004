use model::{AgentId, OperatorId, PublicKey, SessionId};
use terminal::Header;

use super::*;
use crate::clock::now;

fn session(dir: &std::path::Path) -> Arc<Session> {
    let id = SessionId::from_bytes([1; 16]);
    let (size, begun) = (Size::default(), now());
    let header = Header { size, begun, command: None, title: None, env: [].into(), pipes: true };
    let recorder = Recorder::create(dir, id, &header).unwrap();
    let ticket = Ticket {
        session: id,
        agent: AgentId::from_bytes([2; 16]),
        console: PublicKey([3; 32]),
        operator: OperatorId::from_bytes([4; 16]),
        operator_name: "ada".into(),
        endpoint: "web-1".into(),
        command: None,
        opened: begun,
        expires: begun,
        columns: size.columns,
        rows: size.rows,
    };
    Session::new(ticket, recorder, Scribe::default(), begun)
}

#[tokio::test]
async fn what_is_seen_after_it_was_written_is_acknowledged_though_nothing_follows() {
    let dir = tempfile::tempdir().unwrap();
    let session = session(dir.path());
    session.state().forwarded = Inbox::at(4);
    session.record(now(), 0, &Bytes::from_static(b"last")).unwrap();
    session.written.notified().await;
    assert!(session.has_recorded(4));
    assert!(session.console_saw(4).is_none(), "it is little");
    // Whoever moves the agent's frames says it when this is over.
    tokio::time::timeout(std::time::Duration::from_secs(30), session.written.notified())
        .await
        .unwrap();
    assert!(session.is_unsettled(), "no agent is here to be told");
}
