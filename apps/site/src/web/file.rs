//! A file as an answer, whole or in part.

use std::io::SeekFrom;
use std::path::Path;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

/// How much is read at once.
const CHUNK: usize = 64 * 1024;

/// How a file is to be sent.
pub struct Sent<'a> {
    /// Its type.
    pub kind: &'static str,
    /// A name for its content that changes when the content does, without quotes.
    pub etag: Option<&'a str>,
    /// The name to save it under; shown instead when absent.
    pub save_as: Option<&'a str>,
}

/// Answers with a file, as `Range`, `If-Range` and `If-None-Match` ask.
///
/// A file that grows is sent up to the length that it has now.
///
/// # Errors
///
/// When it cannot be opened or is no file.
pub async fn send(
    path: &Path,
    method: &Method,
    headers: &HeaderMap,
    how: Sent<'_>,
) -> std::io::Result<Response> {
    let mut file = File::open(path).await?;
    let meta = file.metadata().await?;
    if !meta.is_file() {
        return Err(std::io::Error::from(std::io::ErrorKind::NotFound));
    }
    let length = meta.len();
    let etag = how.etag.and_then(|tag| HeaderValue::from_str(&format!("\"{tag}\"")).ok());
    if let Some(etag) = &etag
        && matches_any(headers, etag)
    {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag.clone())]).into_response());
    }
    let wanted = if applies(headers, etag.as_ref()) { range(headers, length) } else { Range::All };
    let (status, start, count) = match wanted {
        Range::All => (StatusCode::OK, 0, length),
        Range::Part { start, count } => (StatusCode::PARTIAL_CONTENT, start, count),
        Range::Beyond => {
            let all = format!("bytes */{length}");
            let status = StatusCode::RANGE_NOT_SATISFIABLE;
            return Ok((status, [(header::CONTENT_RANGE, all)]).into_response());
        }
    };
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        file.seek(SeekFrom::Start(start)).await?;
        Body::from_stream(ReaderStream::with_capacity(file.take(count), CHUNK))
    };
    let mut response = (status, body).into_response();
    let to = response.headers_mut();
    to.insert(header::CONTENT_TYPE, HeaderValue::from_static(how.kind));
    to.insert(header::CONTENT_LENGTH, count.into());
    to.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if status == StatusCode::PARTIAL_CONTENT {
        let part = format!("bytes {start}-{}/{length}", start + count - 1);
        insert(to, header::CONTENT_RANGE, &part);
    }
    if let Some(etag) = etag {
        to.insert(header::ETAG, etag);
    }
    if let Some(name) = how.save_as {
        insert(to, header::CONTENT_DISPOSITION, &format!("attachment; filename=\"{name}\""));
    }
    Ok(response)
}

fn insert(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn matches_any(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let ours = text(etag);
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .any(|value| text(value).split(',').map(str::trim).any(|tag| tag == "*" || tag == ours))
}

/// Whether `Range` counts: without `If-Range`, or when that names what is there.
fn applies(headers: &HeaderMap, etag: Option<&HeaderValue>) -> bool {
    headers.get(header::IF_RANGE).is_none_or(|wanted| Some(wanted) == etag)
}

#[derive(Debug, PartialEq, Eq)]
enum Range {
    All,
    Part { start: u64, count: u64 },
    Beyond,
}

/// The one range that is asked for; several, or what is none, mean the whole file.
fn range(headers: &HeaderMap, length: u64) -> Range {
    let text = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let Some((first, last)) = text
        .and_then(|text| text.strip_prefix("bytes="))
        .filter(|ranges| !ranges.contains(','))
        .and_then(|range| range.trim().split_once('-'))
    else {
        return Range::All;
    };
    let (start, end) = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(start), Ok(last)) if start <= last => (start, last.saturating_add(1)),
        (Ok(start), Err(_)) if last.is_empty() => (start, length),
        (Err(_), Ok(0)) if first.is_empty() => return Range::Beyond,
        (Err(_), Ok(count)) if first.is_empty() => (length.saturating_sub(count), length),
        _ => return Range::All,
    };
    if start >= length {
        return Range::Beyond;
    }
    Range::Part { start, count: end.min(length) - start }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_understood_or_mean_the_whole_file() {
        let range = |text: &'static str, length| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, HeaderValue::from_static(text));
            range(&headers, length)
        };
        let part = |start, count| Range::Part { start, count };
        assert_eq!(range("bytes=0-9", 100), part(0, 10));
        assert_eq!(range("bytes=90-", 100), part(90, 10));
        assert_eq!(range("bytes=-10", 100), part(90, 10));
        assert_eq!(range("bytes=-1000", 100), part(0, 100));
        assert_eq!(range("bytes=50-18446744073709551615", 100), part(50, 50));
        for beyond in ["bytes=100-", "bytes=100-200", "bytes=-0"] {
            assert_eq!(range(beyond, 100), Range::Beyond, "{beyond}");
        }
        assert_eq!(range("bytes=0-0", 0), Range::Beyond);
        for odd in ["bytes=9-0", "bytes=-", "bytes=a-b", "lines=0-9", "bytes=0-1,5-6", ""] {
            assert_eq!(range(odd, 100), Range::All, "{odd}");
        }
    }
}
