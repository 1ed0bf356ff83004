//! How long an HTTP connection may stand open without a request.
//!
//! A stranger's connection costs memory and a descriptor, so it has to say something soon; somebody
//! who is signed in may keep theirs for the next click. A request that is being answered, such as a
//! long poll or a download, is never cut off from here.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use tokio::sync::Notify;

/// How long a connection of a stranger may be without a whole request: a browser sends one at once.
const STRANGER: Duration = Duration::from_secs(15);

/// How long a connection may be without a whole request once somebody signed in has used it.
pub const KNOWN: Duration = Duration::from_secs(75);

/// How one connection is used; clones share it, and it travels with each request as an extension.
#[derive(Clone, Default)]
pub struct Patience(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Requests that are being answered.
    open: AtomicUsize,
    known: AtomicBool,
    changed: Notify,
}

impl Patience {
    /// Somebody who is signed in uses the connection.
    pub fn known(&self) {
        self.0.known.store(true, Ordering::Release);
        self.0.changed.notify_one();
    }

    /// Ends when no request came for too long.
    pub async fn ends(&self) {
        loop {
            let changed = self.0.changed.notified();
            if self.0.open.load(Ordering::Acquire) > 0 {
                changed.await;
                continue;
            }
            let limit = if self.0.known.load(Ordering::Acquire) { KNOWN } else { STRANGER };
            if tokio::time::timeout(limit, changed).await.is_err() {
                return;
            }
        }
    }

    fn begin(&self) -> Answering {
        self.0.open.fetch_add(1, Ordering::AcqRel);
        self.0.changed.notify_one();
        Answering(self.clone())
    }
}

/// A request that is being answered, until the last byte of the answer was taken.
struct Answering(Patience);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.0.open.fetch_sub(1, Ordering::AcqRel);
        self.0.0.changed.notify_one();
    }
}

/// Counts a request as open until its answer has been taken to its end.
pub async fn watch(State(patience): State<Patience>, mut request: Request, next: Next) -> Response {
    let answering = patience.begin();
    request.extensions_mut().insert(patience);
    let response = next.run(request).await;
    response.map(|body| Body::new(Watched { body, _answering: answering }))
}

struct Watched {
    body: Body,
    _answering: Answering,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use tokio::time::Instant;
    use tower::ServiceExt;

    use super::*;

    /// How long a connection lasts that is used so.
    async fn lasts(patience: &Patience) -> Duration {
        let began = Instant::now();
        patience.ends().await;
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_stranger_has_to_hurry_and_who_is_known_may_stay() {
        let patience = Patience::default();
        assert_eq!(lasts(&patience).await.as_secs(), STRANGER.as_secs());
        patience.known();
        assert_eq!(lasts(&patience).await.as_secs(), KNOWN.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_takes_its_time_is_not_cut_off_and_the_wait_begins_after_it() {
        let patience = Patience::default();
        let poll = || async {
            tokio::time::sleep(Duration::from_mins(10)).await;
            "news"
        };
        let layer = axum::middleware::from_fn_with_state(patience.clone(), watch);
        let router = Router::new().route("/", get(poll)).layer(layer);
        let request = Request::get("/").body(Body::empty()).expect("a request");
        let polling = tokio::spawn(async move {
            let response = router.oneshot(request).await.expect("infallible");
            // Its reader is slow, too.
            tokio::time::sleep(Duration::from_mins(10)).await;
            axum::body::to_bytes(response.into_body(), 64).await.expect("a body")
        });
        tokio::task::yield_now().await;
        let expected = Duration::from_mins(20) + STRANGER;
        assert_eq!(lasts(&patience).await.as_secs(), expected.as_secs());
        assert_eq!(polling.await.expect("no panic"), "news");
    }
}
