use std::time::Duration;

use askama::Template;
use askama::filters::HtmlSafe;
use model::{Generation, Timestamp};
use ui_kit::{
    Badge, Body, Confirm, Csrf, Link, Moment, Refresh, Samples, duration, size, url::site as url,
};

use crate::clients::LOOK_AGAIN_S;
use crate::session_table::{interruptions, kind, outcome};
use crate::{RecordingFacts, SessionFacts, samples, text};

/// One end of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leg {
    /// The endpoint's agent.
    Agent,
    /// The operator's console.
    Console,
}

/// One attachment of a leg, as an auditor sees it.
#[derive(Debug, Clone)]
pub struct LegFacts {
    /// Which end.
    pub leg: Leg,
    /// The generation that it attached to.
    pub generation: Generation,
    /// When.
    pub attached: Timestamp,
    /// Until when; `None` while it is attached.
    pub detached: Option<Timestamp>,
    /// The offset from which it went on; `None` for the first time.
    pub resumed_from: Option<u64>,
    /// How long its bytes stood still before.
    pub stall: Duration,
    /// The address it came from.
    pub peer: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct LegRow {
    leg: &'static str,
    attached: Moment,
    detached: Option<Moment>,
    how: String,
    stall: String,
    generation: String,
    peer: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct RecordingPart {
    href: String,
    size: String,
    complete: bool,
    chain_head: Option<String>,
}

/// One session in detail: its recording, and each time one of its legs attached.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "session.html")]
pub struct Session {
    title: String,
    outcome: Badge,
    operator: String,
    endpoint: String,
    client: String,
    kind: String,
    started: Moment,
    ended: Option<Moment>,
    duration: String,
    interruptions: String,
    bytes: Option<String>,
    id: String,
    recording: Option<RecordingPart>,
    legs: Vec<LegRow>,
    end: Option<String>,
}

impl HtmlSafe for Session {}

impl Session {
    /// The page; the legs come oldest first.
    pub fn new(
        session: SessionFacts,
        recording: Option<RecordingFacts>,
        legs: Vec<LegFacts>,
        now: Timestamp,
    ) -> Self {
        let over = session.ended.is_some();
        Self {
            title: text::session_title(&session.operator, &session.endpoint),
            outcome: outcome(session.outcome.as_ref(), over),
            kind: kind(&session),
            client: url::Client(session.client).to_string(),
            started: Moment::at(session.started),
            ended: session.ended.map(Moment::at),
            duration: duration(session.ended.unwrap_or(now).since(session.started)),
            interruptions: interruptions(session.stalls),
            bytes: over.then(|| text::bytes(&size(session.bytes_out), &size(session.bytes_in))),
            id: session.id.to_string(),
            recording: recording.map(recording_part),
            legs: legs.into_iter().map(leg_row).collect(),
            end: (!over).then(|| url::SessionEnd(session.id).to_string()),
            operator: session.operator,
            endpoint: session.endpoint,
        }
    }
}

/// Asks before a session is ended.
pub fn end_session(session: &SessionFacts, csrf: Csrf) -> Confirm {
    Confirm {
        question: text::end_session(&text::session_title(&session.operator, &session.endpoint)),
        effects: text::end_session_effects(),
        csrf,
        action: url::SessionEnd(session.id).to_string(),
        word: text::END_SESSION,
        danger: true,
        back: Link { href: url::Session(session.id).to_string(), word: text::CANCEL.to_owned() },
    }
}

fn recording_part(recording: RecordingFacts) -> RecordingPart {
    RecordingPart {
        href: url::Recording(recording.session).to_string(),
        size: size(recording.size),
        complete: recording.complete,
        chain_head: recording.chain_head.map(text::hex),
    }
}

fn leg_row(leg: LegFacts) -> LegRow {
    LegRow {
        leg: text::leg(leg.leg),
        attached: Moment::at(leg.attached),
        detached: leg.detached.map(Moment::at),
        how: text::attached(leg.resumed_from),
        stall: if leg.resumed_from.is_some() { duration(leg.stall) } else { String::new() },
        generation: leg.generation.to_string(),
        peer: leg.peer.unwrap_or_default(),
    }
}

impl Body for Session {
    fn title(&self) -> String {
        self.title.clone()
    }

    fn refresh(&self) -> Option<Refresh> {
        self.end.is_some().then_some(Refresh::Parts(LOOK_AGAIN_S))
    }
}

impl Samples for Session {
    fn samples() -> Vec<(&'static str, Self)> {
        let leg = |leg, generation, after: u64, from: Option<u64>| LegFacts {
            leg,
            generation: Generation(generation),
            attached: samples::ago(5000 - after),
            detached: Some(samples::ago(5000 - after - 300)),
            resumed_from: from,
            stall: Duration::from_millis(if from.is_some() { 84 } else { 0 }),
            peer: Some("192.0.2.17:51322".into()),
        };
        let legs = || {
            vec![
                leg(Leg::Agent, 3, 0, None),
                leg(Leg::Console, 3, 1, None),
                leg(Leg::Agent, 4, 301, Some(120_400)),
                leg(Leg::Console, 4, 302, Some(120_211)),
            ]
        };
        let recording = |complete| RecordingFacts {
            complete,
            chain_head: complete.then_some([0xc4; 32]),
            ..crate::recordings::sample()
        };
        let past = || samples::past_sessions().remove(0);
        let failed = samples::past_sessions().remove(4);
        let live = samples::live_sessions().remove(0);
        let mut long = past();
        long.operator = samples::long_name();
        long.endpoint = samples::long_name();
        long.command = Some("grep -r <needle> /haystack | ".repeat(12));
        let now = samples::NOW;
        vec![
            ("typical", Self::new(past(), Some(recording(true)), legs(), now)),
            ("live", Self::new(live, Some(recording(false)), legs()[..2].to_vec(), now)),
            ("failed", Self::new(failed, None, vec![], now)),
            ("long", Self::new(long, Some(recording(true)), legs(), now)),
        ]
    }
}
