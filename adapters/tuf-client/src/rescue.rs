//! A site's rescue channel as a repository.
//!
//! It is the one part of the wire that never changes: plain `GET` with `Range` over any TLS version and
//! certificate, so a client of any age can fetch its update even when it cannot speak the site's link any
//! more. Nothing that comes from here is believed before TUF has verified it.

use std::io;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::header::{CONTENT_RANGE, HOST, RANGE};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{Body, FetchError, Place, Repository};

/// A connection that HTTP is spoken on.
pub trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// Makes connections to the site: by TLS of their own, or on streams of a link.
pub trait Connect: Send + Sync {
    /// One connection.
    fn connect(&self) -> impl Future<Output = io::Result<Box<dyn Socket>>> + Send;
}

/// The rescue channel behind such connections.
pub struct RescueRepository<C>(C);

impl<C: Connect> RescueRepository<C> {
    /// The rescue channel that those connections reach.
    pub const fn new(connect: C) -> Self {
        Self(connect)
    }

    async fn get(&self, path: &str, from: u64) -> Result<Response<Incoming>, FetchError> {
        let socket = self.0.connect().await.map_err(FetchError::broken)?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(socket));
        let (mut sender, connection) = handshake.await.map_err(FetchError::broken)?;
        // Ends with the answer's body, or when it is dropped.
        tokio::spawn(connection);
        let mut request = Request::get(path).header(HOST, "site");
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(FetchError::broken)?;
        sender.send_request(request).await.map_err(FetchError::broken)
    }

    /// The first root that the site serves, at most `max` bytes of it.
    ///
    /// Asked for once, on the link right after enrolment, when no root was given.
    pub async fn first_root(&self, max: usize) -> Result<Vec<u8>, FetchError> {
        let place = Place::Metadata("1.root.json".to_owned());
        let mut body = self.open(&place, 0).await?;
        let mut root = Vec::new();
        while let Some(piece) = body.bytes.next().await {
            root.extend_from_slice(&piece?);
            if root.len() > max {
                return Err(FetchError::broken(format!("the root is longer than {max} bytes")));
            }
        }
        Ok(root)
    }
}

impl<C: Connect> Repository for RescueRepository<C> {
    async fn open(&self, place: &Place, from: u64) -> Result<Body, FetchError> {
        let path = match place {
            Place::Metadata(path) => format!("/rescue/v1/metadata/{path}"),
            Place::Target(path) => format!("/rescue/v1/targets/{}", file_name(path)),
        };
        let answer = self.get(&path, from).await?;
        match answer.status() {
            StatusCode::OK => Ok(body(answer, 0)),
            StatusCode::PARTIAL_CONTENT if starts_at(&answer) == Some(from) => {
                Ok(body(answer, from))
            }
            StatusCode::NOT_FOUND => Err(FetchError::Missing),
            // What is here is longer than what is there: begin again.
            StatusCode::RANGE_NOT_SATISFIABLE if from > 0 => {
                let answer = self.get(&path, 0).await?;
                match answer.status() {
                    StatusCode::OK => Ok(body(answer, 0)),
                    status => Err(FetchError::broken(format!("{path}: the site answers {status}"))),
                }
            }
            status => Err(FetchError::broken(format!("{path}: the site answers {status}"))),
        }
    }
}

/// The rescue channel names targets by hash and file name alone, without folders.
fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

fn body(answer: Response<Incoming>, from: u64) -> Body {
    let bytes = answer.into_body().into_data_stream().map_err(FetchError::broken).boxed();
    Body { from, bytes }
}

/// The first offset of `Content-Range: bytes 10-99/100`.
fn starts_at(answer: &Response<Incoming>) -> Option<u64> {
    let range = answer.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}
