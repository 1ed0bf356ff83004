//! Who looks at a page, and what every answer has in common.

use axum::extract::FromRequestParts;
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use ui_appliance::Tab;
use ui_kit::url::appliance as url;
use ui_kit::{Body, Csrf, ErrorPage, Flash, Link, Shell, SignedIn, Variant};

use crate::api::{Problem, must_change};
use crate::base::{Base, Shared};
use crate::secrets;

/// The sign-in.
const SESSION: &str = "sluis_appliance";
/// The token of the sign-in form, before there is a sign-in.
const FORM: &str = "sluis_appliance_form";
/// What the last form did.
const FLASH: &str = "sluis_appliance_flash";

/// Somebody who is signed in, with a password of their own.
pub struct Viewer {
    pub name: String,
    pub token: String,
    csrf: String,
    host: String,
    flash: Option<Flash>,
}

/// The same, also with a first password that has to be changed.
pub struct AnyViewer {
    pub viewer: Viewer,
    pub must_change: bool,
}

impl Viewer {
    /// The token for forms.
    pub fn csrf(&self) -> Csrf {
        Csrf(self.csrf.clone())
    }

    /// Whether a form came from one of our pages.
    #[expect(clippy::result_large_err, reason = "the error is the answer, made once per request")]
    pub fn check(&self, csrf: &str) -> Result<(), Response> {
        if secrets::same(csrf, &self.csrf) {
            return Ok(());
        }
        let body = ErrorPage {
            thing: "The form is not from this sign-in".into(),
            reason: "It was opened before you signed in, or by another site.".into(),
            way_out: "Go back, reload the page and try again.".into(),
            link: None,
        };
        Err((StatusCode::FORBIDDEN, self.aside(&body)).into_response())
    }

    fn shell(&self) -> Shell {
        let who = SignedIn { name: self.name.clone(), csrf: self.csrf(), admin: true };
        Shell { host: self.host.clone(), who: Some(who), flash: self.flash.clone() }
    }

    /// A page of a tab.
    pub fn page(&self, tab: Tab, body: &impl Body) -> Response {
        self.shown(self.shell().page(tab, body))
    }

    /// A page beside the tabs.
    pub fn aside(&self, body: &impl Body) -> Response {
        self.shown(self.shell().aside::<Tab>(body))
    }

    /// A page without tabs.
    pub fn alone(&self, body: &impl Body) -> Response {
        self.shown(self.shell().alone(Variant::Appliance, body))
    }

    /// A page that says what went wrong.
    pub fn problem(&self, problem: &Problem, back: impl ToString) -> Response {
        let body = ErrorPage {
            thing: "This cannot be done".into(),
            reason: problem.error.clone(),
            way_out: problem.remedy.clone(),
            link: Some(Link { href: back.to_string(), word: "Go back".into() }),
        };
        (problem.status, self.aside(&body)).into_response()
    }

    fn shown(&self, html: String) -> Response {
        let mut response = Html(html).into_response();
        if self.flash.is_some() {
            set_cookie(response.headers_mut(), FLASH, "", Some(0));
        }
        response
    }
}

impl FromRequestParts<Shared> for AnyViewer {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, base: &Shared) -> Result<Self, Response> {
        let token = cookie(&parts.headers, SESSION);
        let found = token.and_then(|t| Some((t, base.signed_in.find(t, host::now())?)));
        let Some((token, session)) = found else {
            return Err(Redirect::to(&url::Home.to_string()).into_response());
        };
        let must_change = must_change(base, &session.name).await;
        let viewer = Viewer {
            token: token.to_owned(),
            csrf: session.csrf,
            name: session.name,
            host: base.config.hostname.to_string(),
            flash: cookie(&parts.headers, FLASH).and_then(Flash::from_cookie),
        };
        Ok(Self { viewer, must_change })
    }
}

impl FromRequestParts<Shared> for Viewer {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, base: &Shared) -> Result<Self, Response> {
        let AnyViewer { viewer, must_change } = AnyViewer::from_request_parts(parts, base).await?;
        if must_change {
            return Err(Redirect::to(&url::Password.to_string()).into_response());
        }
        Ok(viewer)
    }
}

/// A page for somebody who is not signed in.
pub fn stranger(base: &Base, body: &impl Body) -> String {
    let shell = Shell { host: base.config.hostname.to_string(), who: None, flash: None };
    shell.alone(Variant::Appliance, body)
}

/// The token that the sign-in form of this browser carries, if it has one.
pub fn form_token(headers: &HeaderMap) -> Option<&str> {
    cookie(headers, FORM)
}

/// Gives the sign-in form of this browser a token.
pub fn set_form_token(response: &mut Response, token: &str) {
    set_cookie(response.headers_mut(), FORM, token, None);
}

/// Goes on to a page with a sign-in.
pub fn signed_in(token: &str, to: impl ToString) -> Response {
    let mut response = Redirect::to(&to.to_string()).into_response();
    set_cookie(response.headers_mut(), SESSION, token, None);
    set_cookie(response.headers_mut(), FORM, "", Some(0));
    response
}

/// Goes on to a page without a sign-in.
pub fn signed_out() -> Response {
    let mut response = Redirect::to(&url::Home.to_string()).into_response();
    set_cookie(response.headers_mut(), SESSION, "", Some(0));
    response
}

/// Goes on to a page that says what was done.
pub fn done(to: impl ToString, flash: &Flash) -> Response {
    let mut response = Redirect::to(&to.to_string()).into_response();
    set_cookie(response.headers_mut(), FLASH, &flash.to_cookie(), Some(60));
    response
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value)
}

fn set_cookie(headers: &mut HeaderMap, name: &str, value: &str, age_s: Option<u32>) {
    let age = age_s.map(|age| format!("; Max-Age={age}")).unwrap_or_default();
    let text = format!("{name}={value}; Path=/appliance; Secure; HttpOnly; SameSite=Strict{age}");
    // Names and values here are letters, digits and a few signs.
    if let Ok(value) = HeaderValue::from_str(&text) {
        headers.append(SET_COOKIE, value);
    }
}
