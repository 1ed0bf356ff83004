use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use install::Fault;
use serde_json::json;

use crate::accounts::AccountError;

/// Why a request is refused, with the way out.
#[derive(Debug, Clone)]
pub struct Problem {
    pub status: StatusCode,
    pub error: String,
    pub remedy: String,
}

impl Problem {
    pub fn new(status: StatusCode, error: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status, error: error.into(), remedy: remedy.into() }
    }

    pub fn conflict(error: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, error, remedy)
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, fault.text, fault.remedy)
    }
}

impl From<AccountError> for Problem {
    fn from(error: AccountError) -> Self {
        let status = match error {
            AccountError::Unknown(_) => StatusCode::NOT_FOUND,
            AccountError::Taken(_) | AccountError::Own => StatusCode::CONFLICT,
            AccountError::Disk(_) => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::new(status, error.to_string(), "")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.error, "remedy": self.remedy }))).into_response()
    }
}
