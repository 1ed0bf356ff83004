//! What a browser sends back.

use ui_kit::Flash;

use crate::Outcome;

/// The cookie that carries a notice over a redirect.
pub fn flash(data: &[u8]) -> Outcome {
    let Ok(text) = std::str::from_utf8(data) else { return Outcome::Refused };
    let Some(flash) = Flash::from_cookie(text) else { return Outcome::Refused };
    let again =
        Flash::from_cookie(&flash.to_cookie()).expect("a flash reads what it was written from");
    assert_eq!(again.ok, flash.ok);
    assert!(flash.text.starts_with(&again.text), "a long text is cut, and nothing else");
    Outcome::Accepted
}

pub mod seeds {
    //! Good bytes.

    use ui_kit::Flash;

    pub fn flash() -> Vec<Vec<u8>> {
        [Flash::done("Added \u{201c}\u{dc}nal\u{201d}; 100 % done."), Flash::failed("a;b=c\r\n<x>")]
            .map(|flash| flash.to_cookie().into_bytes())
            .into()
    }
}
