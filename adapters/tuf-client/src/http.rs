//! A repository on a web server.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_RANGE, RANGE};
use reqwest::{Client, Response, StatusCode, Url};

use crate::repository::{Body, FetchError, Place, Repository};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// A repository on a web server, in two directories of it.
///
/// The program must have installed a crypto provider for TLS before it makes one.
#[derive(Debug, Clone)]
pub struct HttpRepository {
    client: Client,
    metadata: Url,
    targets: Url,
}

impl HttpRepository {
    /// The repository with metadata below one address and targets below another.
    ///
    /// # Errors
    /// When an address is no URL, or TLS cannot be set up.
    pub fn new(metadata: &str, targets: &str) -> Result<Self, FetchError> {
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("sluis-tuf/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(FetchError::broken)?;
        Self::with_client(client, metadata, targets)
    }

    /// The same through a client that the caller set up, with its proxy or certificates.
    ///
    /// The client must have no timeout for whole requests: downloads take as long as they take.
    ///
    /// # Errors
    /// When an address is no URL.
    pub fn with_client(client: Client, metadata: &str, targets: &str) -> Result<Self, FetchError> {
        Ok(Self { client, metadata: directory(metadata)?, targets: directory(targets)? })
    }

    fn url(&self, place: &Place) -> Result<Url, FetchError> {
        let (base, path) = match place {
            Place::Metadata(path) => (&self.metadata, path),
            Place::Target(path) => (&self.targets, path),
        };
        // The dot keeps a first part with a colon from being read as a scheme.
        base.join(&format!("./{path}")).map_err(FetchError::broken)
    }
}

/// A base for other addresses: it ends with a slash.
fn directory(url: &str) -> Result<Url, FetchError> {
    let text = if url.ends_with('/') { url.to_owned() } else { format!("{url}/") };
    Url::parse(&text).map_err(|error| FetchError::broken(format!("{url} is no address: {error}")))
}

impl Repository for HttpRepository {
    async fn open(&self, place: &Place, from: u64) -> Result<Body, FetchError> {
        let url = self.url(place)?;
        let mut request = self.client.get(url.clone()).header(ACCEPT_ENCODING, "identity");
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        let response = request.send().await.map_err(FetchError::broken)?;
        match response.status() {
            StatusCode::OK => Ok(body(response, 0)),
            StatusCode::PARTIAL_CONTENT if starts_at(&response) == Some(from) => {
                Ok(body(response, from))
            }
            StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::GONE => {
                Err(FetchError::Missing)
            }
            // What is here is longer than what is there: begin again.
            StatusCode::RANGE_NOT_SATISFIABLE if from > 0 => {
                let again = self.client.get(url).header(ACCEPT_ENCODING, "identity").send();
                let response = again.await.and_then(Response::error_for_status);
                Ok(body(response.map_err(FetchError::broken)?, 0))
            }
            status => Err(FetchError::broken(format!("{url} answers {status}"))),
        }
    }
}

fn body(response: Response, from: u64) -> Body {
    Body { from, bytes: response.bytes_stream().map_err(FetchError::broken).boxed() }
}

/// The first offset of `Content-Range: bytes 10-99/100`.
fn starts_at(response: &Response) -> Option<u64> {
    let range = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}
