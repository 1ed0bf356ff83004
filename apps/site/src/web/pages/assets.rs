use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

/// Pages name both with a sum of their bytes, so they may be kept.
const KEEP: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

pub async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], keep(ui_kit::css())).into_response()
}

pub async fn script() -> Response {
    let kind = "text/javascript; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], keep(ui_kit::script())).into_response()
}

fn keep(text: &'static str) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, KEEP)], text)
}
