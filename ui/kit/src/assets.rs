/// The `Content-Security-Policy` that every page is sent with.
///
/// Pages use nothing but their own style sheet and script, so that injected markup stays dead.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
     connect-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; \
     base-uri 'none'";

const CSS: &str = include_str!("../assets/style.css");
const SCRIPT: &str = include_str!("../assets/script.js");

/// The one style sheet of all pages, light and dark, to be sent as `text/css`.
///
/// Its URL changes with its bytes, so it may be cached for ever.
pub fn css() -> &'static str {
    CSS
}

/// The one script, to be sent as `text/javascript`: it refreshes live parts without reloading.
///
/// Every page does its work without it.
pub fn script() -> &'static str {
    SCRIPT
}

/// Short text that changes with the bytes of the assets; pages put it behind their URLs.
pub(crate) const VERSION: u32 = checksum(CSS.as_bytes(), checksum(SCRIPT.as_bytes(), 0x811c_9dc5));

/// FNV-1a: enough to notice a change, computed at compile time.
const fn checksum(bytes: &[u8], mut sum: u32) -> u32 {
    let mut i = 0;
    while i < bytes.len() {
        sum = (sum ^ bytes[i] as u32).wrapping_mul(0x0100_0193);
        i += 1;
    }
    sum
}
