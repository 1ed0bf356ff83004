use askama::Template;
use askama::filters::HtmlSafe;
use model::{SessionId, Timestamp};
use ui_kit::{Badge, Body, Moment, Samples, Tone, duration, size, url::site as url};

use crate::{samples, text};

/// One recording.
#[derive(Debug, Clone)]
pub struct RecordingFacts {
    /// The session that it shows.
    pub session: SessionId,
    /// Who worked.
    pub operator: String,
    /// On which machine.
    pub endpoint: String,
    /// Its size in bytes, so far or in all.
    pub size: u64,
    /// Whether nothing more will be added.
    pub complete: bool,
    /// The head of its BLAKE3 chain, known when it is complete.
    pub chain_head: Option<[u8; 32]>,
    /// When it began.
    pub started: Timestamp,
    /// When it was completed.
    pub finished: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    session: String,
    download: String,
    operator: String,
    endpoint: String,
    started: Moment,
    length: String,
    size: String,
    state: Badge,
}

/// The list of recordings.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "recordings.html")]
pub struct Recordings {
    rows: Vec<Row>,
    older: Option<String>,
}

impl HtmlSafe for Recordings {}

impl Recordings {
    /// The list, newest first; `older` is the last one shown when there are more.
    pub fn new(recordings: Vec<RecordingFacts>, older: Option<SessionId>, now: Timestamp) -> Self {
        Self {
            rows: recordings.into_iter().map(|recording| row(recording, now)).collect(),
            older: older.map(|id| url::RecordingsBefore(id).to_string()),
        }
    }
}

fn row(recording: RecordingFacts, now: Timestamp) -> Row {
    Row {
        session: url::Session(recording.session).to_string(),
        download: url::Recording(recording.session).to_string(),
        started: Moment::at(recording.started),
        length: duration(recording.finished.unwrap_or(now).since(recording.started)),
        size: size(recording.size),
        state: if recording.complete {
            Badge::new(Tone::Good, text::COMPLETE)
        } else {
            Badge::new(Tone::Busy, text::RECORDED_NOW)
        },
        operator: recording.operator,
        endpoint: recording.endpoint,
    }
}

impl Body for Recordings {
    fn title(&self) -> String {
        text::RECORDINGS.to_owned()
    }
}

pub(crate) fn sample() -> RecordingFacts {
    RecordingFacts {
        session: SessionId::from_bytes([16; 16]),
        operator: "ada".into(),
        endpoint: "db-02".into(),
        size: 1_440_000,
        complete: true,
        chain_head: Some([0xc4; 32]),
        started: samples::ago(5000),
        finished: Some(samples::ago(4246)),
    }
}

impl Samples for Recordings {
    fn samples() -> Vec<(&'static str, Self)> {
        let live = RecordingFacts {
            session: SessionId::from_bytes([21; 16]),
            endpoint: "db-01".into(),
            size: 88_000,
            complete: false,
            finished: None,
            started: samples::ago(4000),
            ..sample()
        };
        let long = RecordingFacts {
            operator: samples::long_name(),
            endpoint: samples::long_name(),
            size: u64::MAX,
            ..sample()
        };
        let last = Some(sample().session);
        vec![
            ("empty", Self::new(vec![], None, samples::NOW)),
            ("typical", Self::new(vec![live, sample()], last, samples::NOW)),
            ("long", Self::new(vec![long], None, samples::NOW)),
        ]
    }
}
