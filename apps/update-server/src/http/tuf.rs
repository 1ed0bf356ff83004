//! `GET /tuf/…`: the repository as static files, so that any mirror could serve it as well.

use std::io::SeekFrom;
use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::range::{Part, part};
use super::{App, Refused};

/// Bytes read from disk at once.
const CHUNK: usize = 64 * 1024;
/// Bytes of the longest metadata file that is served.
const METADATA_MAX: u64 = 16 << 20;

pub async fn file(
    State(app): State<Arc<App>>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let place = Place::of(&path).ok_or_else(not_found)?;
    let full = app.repository.dir().join(&place.path);
    let file = File::open(&full).await.map_err(|_| not_found())?;
    let meta = file.metadata().await.map_err(anyhow::Error::from)?;
    if !meta.is_file() {
        return Err(not_found());
    }
    if let Some(hash) = place.hash {
        // A target is named by its content, so it never changes.
        let cache = "public, max-age=31536000, immutable";
        return send(&headers, &format!("\"{hash}\""), cache, meta.len(), file).await;
    }
    let mut bytes = Vec::new();
    file.take(METADATA_MAX).read_to_end(&mut bytes).await.map_err(anyhow::Error::from)?;
    let (etag, length) = (format!("\"{}\"", tuf::sha256_hex(&bytes)), bytes.len() as u64);
    send(&headers, &etag, "no-cache", length, std::io::Cursor::new(bytes)).await
}

fn not_found() -> Refused {
    Refused::new(StatusCode::NOT_FOUND, "request", "the repository has no such file")
}

/// A file of the repository that may be served.
struct Place {
    path: PathBuf,
    /// The content's hash, where the name begins with it.
    hash: Option<String>,
}

impl Place {
    /// Only plain names below `metadata/` and `targets/`; nothing else of the folder is given out.
    fn of(path: &str) -> Option<Self> {
        let mut names = path.split('/');
        let top = names.next()?;
        let plain = |name: &str| {
            !name.is_empty()
                && !name.starts_with('.')
                && name.len() <= 255
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-+~%@".contains(&b))
        };
        let names: Vec<&str> = names.collect();
        let name = *names.last()?;
        if !names.iter().all(|name| plain(name)) {
            return None;
        }
        let path = PathBuf::from(path);
        match top {
            "metadata" if names.len() == 1 => Some(Self { path, hash: None }),
            "targets" => {
                let (hash, _) = name.split_once('.')?;
                let hash = release::from_hex::<32>(hash).map(|hash| release::to_hex(&hash))?;
                Some(Self { path, hash: Some(hash) })
            }
            _ => None,
        }
    }
}

async fn send(
    request: &HeaderMap,
    etag: &str,
    cache: &'static str,
    length: u64,
    mut content: impl tokio::io::AsyncRead + tokio::io::AsyncSeek + Unpin + Send + 'static,
) -> Result<Response, Refused> {
    let mut head = HeaderMap::new();
    let value = HeaderValue::from_str(etag).map_err(anyhow::Error::from)?;
    head.insert(header::ETAG, value);
    head.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    head.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if matches_any(request, etag) {
        return Ok((StatusCode::NOT_MODIFIED, head).into_response());
    }
    head.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    let (status, first, count) = match wanted(request, etag, length) {
        Part::Whole => (StatusCode::OK, 0, length),
        Part::From(first, last) => {
            let range = format!("bytes {first}-{last}/{length}");
            head.insert(
                header::CONTENT_RANGE,
                HeaderValue::from_str(&range).map_err(anyhow::Error::from)?,
            );
            (StatusCode::PARTIAL_CONTENT, first, last - first + 1)
        }
        Part::Unsatisfiable => {
            let range = format!("bytes */{length}");
            head.insert(
                header::CONTENT_RANGE,
                HeaderValue::from_str(&range).map_err(anyhow::Error::from)?,
            );
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, head).into_response());
        }
    };
    head.insert(header::CONTENT_LENGTH, HeaderValue::from(count));
    content.seek(SeekFrom::Start(first)).await.map_err(anyhow::Error::from)?;
    let body = Body::from_stream(ReaderStream::with_capacity(content.take(count), CHUNK));
    Ok((status, head, body).into_response())
}

fn text(request: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    request.get(name)?.to_str().ok()
}

fn matches_any(request: &HeaderMap, etag: &str) -> bool {
    text(request, header::IF_NONE_MATCH).is_some_and(|list| {
        list.split(',')
            .map(str::trim)
            .any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == etag)
    })
}

/// A range counts only for the content that it was meant for.
fn wanted(request: &HeaderMap, etag: &str, length: u64) -> Part {
    let same = text(request, header::IF_RANGE).is_none_or(|tag| tag.trim() == etag);
    match text(request, header::RANGE) {
        Some(range) if same => part(range, length),
        _ => Part::Whole,
    }
}
