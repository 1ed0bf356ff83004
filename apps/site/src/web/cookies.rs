//! Cookies: `__Host-`, so that only this host over TLS sets them, and never for scripts or others.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;

/// Holds the token of a browser session.
pub const SESSION: &str = "__Host-sluis-site";
/// Holds what the form for signing in has to carry.
pub const FORM: &str = "__Host-sluis-site-form";
/// Holds what the last form did, for the page after it.
pub const FLASH: &str = "__Host-sluis-site-flash";

/// The longest value that is looked at.
const VALUE_MAX: usize = 4096;

/// The value of a cookie of the request.
pub fn read<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, value)| *key == name && value.len() <= VALUE_MAX)
        .map(|(_, value)| value)
}

/// Sets a cookie that lasts as long as the browser; `value` must be of cookie characters.
pub fn set(response: &mut Response, name: &str, value: &str) {
    add(response, &format!("{name}={value}; {ATTRIBUTES}"));
}

/// Removes a cookie.
pub fn remove(response: &mut Response, name: &str) {
    add(response, &format!("{name}=; {ATTRIBUTES}; Max-Age=0"));
}

const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Strict";

fn add(response: &mut Response, text: &str) {
    // Our tokens and Flash::to_cookie hold header characters only; others are not sent.
    if let Ok(value) = HeaderValue::from_str(text) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others_and_bad_bytes_are_passed_over() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_bytes(b"\xff=1").expect("opaque"));
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; __Host-sluis-site=x=y ;b"));
        assert_eq!(read(&headers, SESSION), Some("x=y"));
        assert_eq!(read(&headers, "b"), None);
        assert_eq!(read(&headers, FORM), None);
    }
}
