//! How much and how long a request may be, and what every answer says to browsers.

use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::{RequestBodyTimeoutLayer, TimeoutLayer};

use crate::web::WebState;

/// The most bytes of a form or a JSON document.
const BODY_MAX: usize = 64 * 1024;
/// The longest that a sender of a body may be silent.
const BODY_SILENCE: Duration = Duration::from_secs(20);
/// The longest until an answer begins: several times the longest wait for the database.
const ANSWER: Duration = Duration::from_mins(1);

/// Limits for everything but what is passed on to the base.
pub fn of_our_own(router: Router<WebState>) -> Router<WebState> {
    limited(router, BODY_SILENCE, ANSWER)
}

fn limited<S>(router: Router<S>, silence: Duration, answer: Duration) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    router
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(RequestBodyTimeoutLayer::new(silence))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, answer))
}

/// Headers of every answer; what an answer says itself stays.
pub fn headers(router: Router<WebState>) -> Router<WebState> {
    let headers: [(HeaderName, &'static str); 7] = [
        (header::CONTENT_SECURITY_POLICY, ui_kit::CONTENT_SECURITY_POLICY),
        (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    headers.into_iter().fold(router, |router, (name, value)| {
        let value = HeaderValue::from_static(value);
        router.layer(SetResponseHeaderLayer::if_not_present(name, value))
    })
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, Bytes};
    use axum::http::Request;
    use axum::routing::post;
    use tower::ServiceExt;

    use super::*;

    async fn status(silence: Duration, answer: Duration) -> StatusCode {
        let router = Router::new().route("/", post(|_: Bytes| async { "all of it" }));
        let stalled = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
        let request = Request::post("/").body(Body::from_stream(stalled)).expect("a request");
        limited(router, silence, answer).oneshot(request).await.expect("infallible").status()
    }

    #[tokio::test]
    async fn who_stops_sending_and_who_takes_too_long_is_given_up() {
        let (short, long) = (Duration::from_millis(20), Duration::from_mins(10));
        assert!(status(short, long).await.is_client_error());
        assert_eq!(status(long, short).await, StatusCode::SERVICE_UNAVAILABLE);
    }
}
