//! What an appliance and the update server say to each other, and what proves it.
//!
//! An appliance signs the bytes of each request with its own key; the server signs the offer with the
//! key that the enrolment text named. An offer answers one request of one appliance: it carries the
//! request's nonce. It chooses among what maintainers signed and cannot add to it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use model::{ApplianceId, AttemptId, PublicKey, Timestamp, Version};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use tuf::canonical::{NotCanonical, canonical, to_canonical};
use tuf::{Key, SigningKey};

pub use crate::enrolment::{BadEnrolmentText, EnrolmentText, PINS_MAX};
use crate::hash::{Sha256, from_hex, to_hex};
use crate::hostname::Hostname;
use crate::plan::{Card, Installed, Step};

/// The header that carries an appliance's signature over the body of its request.
pub const SIGNATURE_HEADER: &str = "sluis-signature";
/// How far the clocks of appliance and update server may be apart.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_mins(5);
/// How long an offer may be acted on.
pub const OFFER_LIFETIME: Duration = Duration::from_hours(24);
/// Bytes of the longest request that an update server reads.
pub const REQUEST_BYTES_MAX: usize = 256 * 1024;
/// Bytes of the longest offer that an appliance reads.
pub const OFFER_BYTES_MAX: usize = 4 << 20;

/// Sixteen random bytes that make a request unlike any other.
///
/// Printed as 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nonce(pub [u8; 16]);

/// The text is not a nonce.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a nonce is 32 lower-case hexadecimal digits")]
pub struct BadNonce;

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nonce({self})")
    }
}

impl FromStr for Nonce {
    type Err = BadNonce;

    fn from_str(text: &str) -> Result<Self, BadNonce> {
        from_hex(text).map(Self).ok_or(BadNonce)
    }
}

impl Serialize for Nonce {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Nonce {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// `POST /v1/enrol`: signed with the key that it presents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolRequest {
    /// The one-time code.
    pub code: String,
    /// The appliance's key from now on.
    pub public_key: PublicKey,
    /// Primary hostname of its site.
    pub hostname: Hostname,
}

/// The answer to an [`EnrolRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolReply {
    /// The appliance's id from now on.
    pub appliance: ApplianceId,
    /// Name of the customer that it belongs to.
    pub customer: String,
    /// The key that offers are signed with; must be that of the enrolment text.
    pub offer_key: PublicKey,
}

/// `POST /v1/check`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRequest {
    /// Who asks.
    pub appliance: ApplianceId,
    /// Fresh for this request.
    pub nonce: Nonce,
    /// The appliance's clock.
    pub time: Timestamp,
    /// Its machine, such as `x86_64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    /// What it runs.
    pub inventory: Vec<Installed>,
    /// Lowest versions that it still takes.
    #[serde(default)]
    pub floors: Vec<VersionFloor>,
    /// Packages that failed there.
    #[serde(default)]
    pub bad: Vec<Sha256>,
}

/// The lowest version of one name that an appliance still takes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VersionFloor {
    /// Name of the package.
    pub name: String,
    /// The version.
    pub version: Version,
}

/// `POST /v1/report`: how one step of one attempt went. Sending it again changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportRequest {
    /// Who reports.
    pub appliance: ApplianceId,
    /// The try at installing one package.
    pub attempt: AttemptId,
    /// Number of the step within the attempt, from 1.
    pub step: u32,
    /// State of the installer, such as `Committed`.
    pub state: String,
    /// What happened, for a person.
    pub text: String,
    /// When, by the appliance's clock.
    pub at: Timestamp,
}

/// The answer to a [`ReportRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportReply {
    /// Whether it was news; false when that step was reported before.
    pub recorded: bool,
}

/// Why the update server did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What a program can go by: `clock`, `code`, `signature`, `nonce`, `appliance`, `request`,
    /// `repository`, `server`.
    pub code: String,
    /// What is wrong, for a person.
    pub error: String,
    /// What to do about it, for a person.
    pub remedy: String,
    /// The server's clock.
    pub server_time: Timestamp,
}

/// What an appliance may install now, and in which order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Always `offer`: no other signed document passes for one.
    #[serde(rename = "_type")]
    pub kind: String,
    /// Who it is for.
    pub appliance: ApplianceId,
    /// The nonce of the request that it answers.
    pub nonce: Nonce,
    /// When it was made, by the server's clock.
    pub issued: Timestamp,
    /// From when on it must not be acted on.
    pub expires: Timestamp,
    /// Primary hostname that it is for.
    pub hostname: Hostname,
    /// Operators who may work at the same time.
    pub licenses: Option<u32>,
    /// When that ends.
    pub license_expires: Option<Timestamp>,
    /// Every package that the appliance runs or could run.
    pub packages: Vec<Card>,
    /// The way to the newest of everything.
    pub plan: Vec<Step>,
    /// SHA-256 of the public keys (SubjectPublicKeyInfo) of the certificates that the appliance may meet at the
    /// update server from now on; none when it shall keep what it knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<Sha256>,
}

/// The word in an offer's `_type`.
pub const OFFER_TYPE: &str = "offer";

/// What an appliance knows about the offer that it asked for.
#[derive(Debug, Clone)]
pub struct Expected<'a> {
    /// The key of the enrolment text.
    pub offer_key: &'a PublicKey,
    /// Itself.
    pub appliance: ApplianceId,
    /// The nonce of its request.
    pub nonce: Nonce,
    /// Primary hostname of its site.
    pub hostname: &'a Hostname,
    /// Its clock.
    pub now: Timestamp,
}

/// Why an offer is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// Not JSON of the right form.
    #[error("the update server's answer is no offer: {0}")]
    Malformed(String),
    /// The key of the enrolment text did not sign it.
    #[error(
        "the offer is not signed by the update server's key: if the server was set up anew, enrol this appliance again"
    )]
    Signature,
    /// It answers another request, or another appliance.
    #[error("the offer answers another {0}: somebody may be replaying old answers; check again")]
    Stale(&'static str),
    /// Made for another site.
    #[error(
        "the offer is for {offered}, and this site is {site}: ask your vendor to correct the entitlement"
    )]
    OtherSite {
        /// Hostname in the offer.
        offered: Hostname,
        /// Hostname here.
        site: Hostname,
    },
    /// Its time is over.
    #[error("the offer ended on {0}: check for updates again")]
    Expired(Timestamp),
    /// It does not name this package with this length and hash.
    #[error("the offer does not name {0} with that length and hash: check for updates again")]
    NotOffered(String),
}

#[derive(Deserialize)]
struct Envelope {
    signed: Value,
    signatures: Vec<tuf::sign::Signature>,
}

impl Offer {
    /// The signed document, byte for byte as it travels.
    ///
    /// # Errors
    /// Never for what this release can write; the type says what canonical JSON cannot hold.
    pub fn sign(&self, key: &SigningKey) -> Result<Vec<u8>, NotCanonical> {
        let message = to_canonical(self)?;
        let signature =
            serde_json::json!({ "keyid": key.id(), "sig": to_hex(&key.sign(&message)) });
        // The signature covers the canonical form, in which control characters stand raw; what
        // travels is ordinary JSON, which readers accept.
        let envelope = serde_json::json!({ "signed": self, "signatures": [signature] });
        Ok(envelope.to_string().into_bytes())
    }

    /// Believes an offer that answers this appliance's own request.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn verify(bytes: &[u8], expected: &Expected<'_>) -> Result<Self, OfferError> {
        if bytes.len() > OFFER_BYTES_MAX {
            return Err(OfferError::Malformed(format!("it has {} bytes", bytes.len())));
        }
        let malformed = |error: serde_json::Error| OfferError::Malformed(error.to_string());
        let envelope: Envelope = serde_json::from_slice(bytes).map_err(malformed)?;
        let message =
            canonical(&envelope.signed).map_err(|e| OfferError::Malformed(e.to_string()))?;
        let signed = envelope
            .signatures
            .iter()
            .filter_map(|signature| from_hex::<64>(&signature.sig))
            .any(|signature| verifies(expected.offer_key, &message, &signature));
        if !signed {
            return Err(OfferError::Signature);
        }
        let offer = Self::deserialize(&envelope.signed).map_err(malformed)?;
        offer.check(expected)?;
        Ok(offer)
    }

    fn check(&self, expected: &Expected<'_>) -> Result<(), OfferError> {
        if self.kind != OFFER_TYPE {
            return Err(OfferError::Malformed(format!("its type is “{}”", self.kind)));
        }
        if self.appliance != expected.appliance {
            return Err(OfferError::Stale("appliance"));
        }
        if self.nonce != expected.nonce {
            return Err(OfferError::Stale("request"));
        }
        if &self.hostname != expected.hostname {
            let (offered, site) = (self.hostname.clone(), expected.hostname.clone());
            return Err(OfferError::OtherSite { offered, site });
        }
        if self.expires <= expected.now {
            return Err(OfferError::Expired(self.expires));
        }
        Ok(())
    }

    /// The card of a package, when the offer names it with this length and hash.
    ///
    /// # Errors
    /// When it does not: what only one of offer and TUF names is never installed.
    pub fn names(&self, target: &str, length: u64, sha256: Sha256) -> Result<&Card, OfferError> {
        self.packages
            .iter()
            .find(|card| card.target == target && card.size == length && card.sha256 == sha256)
            .ok_or_else(|| OfferError::NotOffered(target.to_owned()))
    }
}

/// The value of [`SIGNATURE_HEADER`] for a body.
pub fn sign_request(body: &[u8], key: &SigningKey) -> String {
    to_hex(&key.sign(body))
}

/// Whether that appliance signed the body; `header` is the value of [`SIGNATURE_HEADER`].
pub fn request_is_signed(body: &[u8], header: &str, key: &PublicKey) -> bool {
    from_hex::<64>(header).is_some_and(|signature| verifies(key, body, &signature))
}

fn verifies(key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
    Key::ed25519(&key.0).verifies(message, signature)
}
