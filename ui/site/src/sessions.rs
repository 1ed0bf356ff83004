use askama::Template;
use askama::filters::HtmlSafe;
use model::{SessionId, Timestamp};
use ui_kit::{Body, Refresh, Samples, url::site as url};

use crate::{SessionFacts, SessionTable, samples, text};

/// How often a page that is looked at asks for the live sessions again, in seconds.
const LOOK_AGAIN_S: u32 = 5;

/// Sessions, live and past.
///
/// The live ones carry `data-live`: with JavaScript they are looked at again by themselves.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "sessions.html")]
pub struct Sessions {
    live: SessionTable,
    past: SessionTable,
    newest: bool,
    older: Option<String>,
}

impl HtmlSafe for Sessions {}

impl Sessions {
    /// The first page: what lives, and the newest of what is over, newest first; `older` is the
    /// last session shown when there are more.
    pub fn new(
        live: Vec<SessionFacts>,
        past: Vec<SessionFacts>,
        older: Option<SessionId>,
        now: Timestamp,
    ) -> Self {
        Self {
            live: SessionTable::new(live, now),
            past: SessionTable::new(past, now),
            newest: true,
            older: older.map(|id| url::SessionsBefore(id).to_string()),
        }
    }

    /// A later page: past sessions only.
    pub fn older(past: Vec<SessionFacts>, older: Option<SessionId>, now: Timestamp) -> Self {
        Self { newest: false, ..Self::new(vec![], past, older, now) }
    }
}

impl Body for Sessions {
    fn title(&self) -> String {
        text::SESSIONS.to_owned()
    }

    fn refresh(&self) -> Option<Refresh> {
        self.newest.then_some(Refresh::Parts(LOOK_AGAIN_S))
    }
}

impl Samples for Sessions {
    fn samples() -> Vec<(&'static str, Self)> {
        let mut long = samples::past_sessions();
        for session in &mut long {
            session.operator = samples::long_name();
            session.endpoint = samples::long_name();
            session.command = Some("find / -name <x> -exec ls -l {} + ".repeat(6));
        }
        let last = samples::past_sessions().last().map(|session| session.id);
        let (live, past) = (samples::live_sessions, samples::past_sessions);
        vec![
            ("empty", Self::new(vec![], vec![], None, samples::NOW)),
            ("typical", Self::new(live(), past(), last, samples::NOW)),
            ("older", Self::older(past(), None, samples::NOW)),
            ("long", Self::new(live(), long, None, samples::NOW)),
        ]
    }
}
