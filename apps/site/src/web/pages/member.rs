use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Response};
use store::{Acting, Caller, Operator, TokenHash, WebSession};
use ui_kit::url::site as url;
use ui_kit::{Body, Csrf, Shell, SignedIn, Variant};
use ui_site::Tab;

use super::{Visit, go};
use crate::patience::Patience;
use crate::web::WebState;
use crate::web::doing::sign_in::{IDLE, LONGEST};
use crate::web::problem::Problem;

/// A browser session is written down anew at most this often, in milliseconds.
const PROLONG_STEP_MS: u64 = 60_000;

/// A request for a page, by somebody who is signed in.
pub struct Member {
    /// The request.
    pub visit: Visit,
    /// The sign-in.
    pub session: WebSession,
    /// The hash of its token.
    pub token: TokenHash,
}

impl FromRequestParts<WebState> for Member {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, Response> {
        let Ok(visit) = Visit::from_request_parts(parts, state).await;
        let Some(token) = visit.token else { return Err(go(url::Home)) };
        let found = state.store.web_sessions().by_token(token, state.now()).await;
        let found = found.map_err(|error| visit.problem(&error.into()))?;
        // The form for signing in says that the sign-in is over.
        let Some(session) = found else { return Err(go(url::Home)) };
        let member = Self { visit, session, token };
        if let Some(patience) = parts.extensions.get::<Patience>() {
            patience.known();
        }
        let path = parts.uri.path();
        let free = [url::Password::ROUTE, url::SignOut::ROUTE];
        if member.operator().must_change_password && !free.contains(&path) {
            return Err(go(url::Password));
        }
        member.prolong().await;
        Ok(member)
    }
}

impl Member {
    /// Who it is.
    pub fn operator(&self) -> &Operator {
        &self.session.operator
    }

    /// What handlers get.
    pub fn state(&self) -> &WebState {
        &self.visit.state
    }

    /// The store, asked on their behalf.
    pub fn acting(&self) -> Acting {
        let operator = self.operator();
        self.state().store.by(&Caller::Operator {
            id: operator.id,
            name: operator.name.clone(),
            admin: operator.admin,
            peer: self.visit.peer.clone(),
        })
    }

    /// What each form carries.
    pub fn csrf(&self) -> Csrf {
        Csrf(self.session.csrf.clone())
    }

    /// Passes for administrators only.
    pub fn administers(&self, what: &'static str) -> Result<(), Fault> {
        if self.operator().admin {
            return Ok(());
        }
        let who = self.operator().name.clone();
        Err(self.fault(store::Error::CallerForbidden { who, what }))
    }

    /// A page that belongs to a tab.
    pub fn page(&self, tab: Tab, body: &impl Body) -> Response {
        self.visit.sent(self.shell().page(tab, body))
    }

    /// A page beside the tabs.
    pub fn aside(&self, body: &impl Body) -> Response {
        self.visit.sent(self.shell().aside::<Tab>(body))
    }

    /// A page without tabs: the forced change of a password.
    pub fn alone(&self, body: &impl Body) -> Response {
        self.visit.sent(self.shell().alone(Variant::Site, body))
    }

    /// What went wrong, as a page in the frame of who is signed in.
    pub fn fault(&self, problem: impl Into<Problem>) -> Fault {
        Fault { shell: Box::new(self.shell()), problem: Box::new(problem.into()) }
    }

    fn shell(&self) -> Shell {
        let operator = self.operator();
        let who =
            SignedIn { name: operator.name.clone(), admin: operator.admin, csrf: self.csrf() };
        let (host, flash) = (self.visit.host.clone(), self.visit.flash.clone());
        Shell { host, who: Some(who), flash }
    }

    /// Lets the sign-in last while it is used, up to the longest.
    async fn prolong(&self) {
        let limit = self.session.created.plus(LONGEST);
        let until = self.state().now().plus(IDLE).min(limit);
        if until.0 < self.session.expires.0 + PROLONG_STEP_MS {
            return;
        }
        if let Err(error) = self.state().store.web_sessions().prolong(self.token, until).await {
            tracing::warn!(%error, "Sign-in could not be prolonged");
        }
    }
}

/// What went wrong, for somebody who is signed in.
pub struct Fault {
    shell: Box<Shell>,
    problem: Box<Problem>,
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let html = self.shell.aside::<Tab>(self.problem.page());
        self.problem.finish(Html(html).into_response())
    }
}
