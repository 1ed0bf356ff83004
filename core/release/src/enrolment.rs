use std::fmt;
use std::str::FromStr;

use model::PublicKey;

use crate::hash::Sha256;

/// The most keys of certificates that one appliance is told: those in use and those that come next.
pub const PINS_MAX: usize = 4;

/// What an administrator types to enrol: `<url>#<code>.<offer public key>[.<pin>…]`.
///
/// A pin is the SHA-256 of the public key (SubjectPublicKeyInfo) in the certificate that the server shows, or in that
/// of the authority that issued it: unlike a hash of the certificate it stays the same when that is renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolmentText {
    /// Address of the update server, without a final `/`.
    pub url: String,
    /// The one-time code.
    pub code: String,
    /// The key that offers must be signed with.
    pub offer_key: PublicKey,
    /// The pins; none in a text of a server that has none, or was made before there were any.
    pub pins: Vec<Sha256>,
}

/// The text is not an enrolment text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is not an enrolment text: paste all of what `sluis-update appliance code` printed, which looks like https://updates.example.com#CODE.KEY.PIN"
)]
pub struct BadEnrolmentText;

impl fmt::Display for EnrolmentText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}.{}", self.url, self.code, self.offer_key)?;
        self.pins.iter().try_for_each(|pin| write!(f, ".{pin}"))
    }
}

impl FromStr for EnrolmentText {
    type Err = BadEnrolmentText;

    fn from_str(text: &str) -> Result<Self, BadEnrolmentText> {
        let (url, rest) = text.trim().rsplit_once('#').ok_or(BadEnrolmentText)?;
        let (code, keys) = rest.split_once('.').ok_or(BadEnrolmentText)?;
        let url = url.trim_end_matches('/');
        let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        if host.is_none_or(str::is_empty) || code.is_empty() {
            return Err(BadEnrolmentText);
        }
        let mut keys = keys.split('.');
        let offer_key = keys.next().and_then(|key| key.parse().ok()).ok_or(BadEnrolmentText)?;
        let pins: Vec<Sha256> =
            keys.map(str::parse).collect::<Result<_, _>>().map_err(|_| BadEnrolmentText)?;
        if pins.len() > PINS_MAX {
            return Err(BadEnrolmentText);
        }
        Ok(Self { url: url.to_owned(), code: code.to_owned(), offer_key, pins })
    }
}
