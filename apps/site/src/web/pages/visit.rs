use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Response};
use store::TokenHash;
use ui_kit::{Body, Flash, Shell, Variant};

use crate::web::origin::{host, peer};
use crate::web::problem::Problem;
use crate::web::{WebState, cookies};

/// A request for a page, by anybody.
pub struct Visit {
    /// What handlers get.
    pub state: WebState,
    /// The name of the site, as it is shown and as agents are told.
    pub host: String,
    /// The address that it comes from.
    pub peer: String,
    /// What the last form did.
    pub flash: Option<Flash>,
    /// The token of the browser session, if a cookie came.
    pub token: Option<TokenHash>,
    /// What the form for signing in has to carry.
    pub form_token: Option<String>,
}

impl FromRequestParts<WebState> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, Infallible> {
        let cookie = |name| cookies::read(&parts.headers, name);
        Ok(Self {
            host: host(state, parts),
            peer: peer(parts),
            flash: cookie(cookies::FLASH).and_then(Flash::from_cookie),
            token: cookie(cookies::SESSION).map(TokenHash::of),
            form_token: cookie(cookies::FORM).map(str::to_owned),
            state: state.clone(),
        })
    }
}

impl Visit {
    /// A page without tabs.
    pub fn alone(&self, body: &impl Body) -> Response {
        let shell = Shell { host: self.host.clone(), who: None, flash: self.flash.clone() };
        self.sent(shell.alone(Variant::Site, body))
    }

    /// An HTML document; what the last form did has been said by it.
    pub fn sent(&self, html: String) -> Response {
        let mut response = Html(html).into_response();
        if self.flash.is_some() {
            cookies::remove(&mut response, cookies::FLASH);
        }
        response
    }

    /// What went wrong, to somebody who is not signed in.
    pub fn problem(&self, problem: &Problem) -> Response {
        problem.finish(self.alone(problem.page()))
    }
}
