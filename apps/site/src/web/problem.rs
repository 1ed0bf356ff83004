//! What went wrong, as a page for people and as JSON for programs.

use axum::Json;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::json;
use ui_kit::{ErrorPage, Link, Shell, Variant, url};

/// The thing, the reason and the way out.
#[derive(Debug, Clone)]
pub struct Problem {
    /// The status of the answer.
    pub status: StatusCode,
    page: Box<ErrorPage>,
    retry_after_s: Option<u32>,
}

/// Who reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A person.
    Page,
    /// A program.
    Json,
}

impl Form {
    /// Who asks for that path.
    pub fn of(path: &str) -> Self {
        let json = ["/api/", "/rescue/", "/appliance/api/"];
        if json.iter().any(|prefix| path.starts_with(prefix)) { Self::Json } else { Self::Page }
    }
}

impl Problem {
    pub fn new(
        status: StatusCode,
        thing: impl Into<String>,
        reason: impl Into<String>,
        way_out: impl Into<String>,
    ) -> Self {
        let page = ErrorPage {
            thing: thing.into(),
            reason: reason.into(),
            way_out: way_out.into(),
            link: None,
        };
        Self { status, page: Box::new(page), retry_after_s: None }
    }

    /// There is no such thing, or nobody may know.
    pub fn not_found(thing: impl std::fmt::Display) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            format!("{thing} was not found"),
            "There is no such thing here, or it is none that you may see.",
            "Check the address, or look for it in the lists.",
        )
        .link(url::site::Home.to_string(), "Go to the first page")
    }

    pub fn wrong_method(method: &Method, path: &str) -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("{method} does not work for {path}"),
            "This address takes another kind of request.",
            "Use the page or the documentation of the API.",
        )
    }

    /// What was sent cannot be used.
    pub fn bad_request(thing: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, thing, reason, "Correct it and send it again.")
    }

    /// Nobody is signed in.
    pub fn signed_out() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "You are not signed in",
            "The request carries no token that is valid now.",
            "Sign in again: POST /api/v1/login, or run `sluis login`.",
        )
    }

    /// Something of ours failed; the log has the details.
    pub fn broken(thing: impl std::fmt::Display) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("{thing} failed"),
            "The site could not do it, and wrote the reason to its log.",
            "Try again; if it fails again, ask the administrator of the appliance.",
        )
    }

    /// Too much is asked at once.
    pub fn busy(thing: impl Into<String>, reason: impl Into<String>) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let mut problem = Self::new(status, thing, reason, "Try again in a few seconds.");
        problem.retry_after_s = Some(5);
        problem
    }

    /// With somewhere to go on.
    pub fn link(mut self, href: String, word: &str) -> Self {
        self.page.link = Some(Link { href, word: word.to_owned() });
        self
    }

    /// The page for people, to be put into a frame.
    pub fn page(&self) -> &ErrorPage {
        &self.page
    }

    /// The answer for whoever reads it, in a frame without tabs.
    pub fn answer_as(self, form: Form) -> Response {
        match form {
            Form::Json => self.json(),
            Form::Page => {
                let shell = Shell { host: String::new(), who: None, flash: None };
                let html = shell.alone(Variant::Site, &*self.page);
                self.finish(Html(html).into_response())
            }
        }
    }

    /// The answer for a program: `{ error, remedy }`.
    pub fn json(self) -> Response {
        let error = format!("{}: {}", self.page.thing, self.page.reason);
        let body = Json(json!({ "error": error, "remedy": self.page.way_out }));
        self.finish(body.into_response())
    }

    /// Puts the status onto an answer.
    pub fn finish(&self, mut response: Response) -> Response {
        *response.status_mut() = self.status;
        if self.status == StatusCode::UNAUTHORIZED {
            let how = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, how);
        }
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        use store::Error as E;
        let text = sentence(&error.to_string());
        match &error {
            E::CallerForbidden { .. } => Self::new(
                StatusCode::FORBIDDEN,
                "You may not do this",
                text,
                "Ask an administrator of this site.",
            ),
            E::CallerInput { field, .. } => {
                Self::bad_request(format!("{field} cannot be used"), text)
            }
            E::CallerToken(_) => Self::new(
                StatusCode::FORBIDDEN,
                "The enrolment token opens nothing",
                text,
                "Ask an administrator for a new one.",
            ),
            E::CallerConflict(_) => Self::new(
                StatusCode::CONFLICT,
                "This cannot be done as things stand",
                text,
                "Change what is in the way first.",
            ),
            E::CallerUnknown { thing, .. } => Self::not_found(format!("The {thing}")),
            E::HostBusy { .. } => {
                tracing::warn!(%error, "Database is busy");
                Self::busy("The site is busy", "Its database did not answer in time.")
            }
            E::HostFull { .. } => {
                tracing::error!(%error, "Disk is full");
                Self::new(
                    StatusCode::INSUFFICIENT_STORAGE,
                    "This could not be saved",
                    "The appliance’s disk is full.",
                    "Ask the administrator of the appliance to free some space, then try again.",
                )
            }
            _ => {
                tracing::error!(error = &error as &dyn std::error::Error, "Database failed");
                Self::broken("The site’s database")
            }
        }
    }
}

/// The text with a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
    let stop = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{stop}", chars.as_str())
}

/// What handlers of the API answer when something is wrong.
pub struct ApiProblem(pub Problem);

impl<E: Into<Problem>> From<E> for ApiProblem {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for ApiProblem {
    fn into_response(self) -> Response {
        self.0.json()
    }
}
