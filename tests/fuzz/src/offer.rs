//! What appliance and update server say to each other.

use model::{ApplianceId, PublicKey, Timestamp};
use release::Hostname;
use release::offer::{CheckRequest, EnrolmentText, Expected, Nonce, Offer};
use serde_json::{Value, json};
use tuf::{SigningKey, canonical};

use crate::Outcome;

const NONCE: Nonce = Nonce([5; 16]);
const APPLIANCE: ApplianceId = ApplianceId::from_bytes([6; 16]);
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn key() -> SigningKey {
    SigningKey::from_seed(&[9; 32]).expect("32 bytes are a seed")
}

fn offer_key() -> PublicKey {
    key().key().keyval.public.parse().expect("an Ed25519 key")
}

fn verify(bytes: &[u8]) -> Result<Offer, release::offer::OfferError> {
    let hostname: Hostname = "access.example.com".parse().expect("a hostname");
    let expected = Expected {
        offer_key: &offer_key(),
        appliance: APPLIANCE,
        nonce: NONCE,
        hostname: &hostname,
        now: NOW,
    };
    Offer::verify(bytes, &expected)
}

/// An offer; the bytes are what is signed.
pub fn offer(data: &[u8]) -> Outcome {
    let _ = verify(data);
    let Ok(signed) = serde_json::from_slice::<Value>(data) else { return Outcome::Refused };
    let Ok(message) = canonical::canonical(&signed) else { return Outcome::Refused };
    let sig = release::to_hex(&key().sign(&message));
    let file = json!({ "signed": signed, "signatures": [{ "keyid": key().id(), "sig": sig }] });
    let verified = verify(file.to_string().as_bytes());
    if let Ok(offer) = &verified {
        let again = offer.sign(&key()).expect("an offer has a canonical form");
        assert_eq!(
            verify(&again).as_ref(),
            Ok(offer),
            "an offer reads back what it was written from"
        );
    }
    Outcome::of(&verified)
}

/// A request for an offer.
pub fn check_request(data: &[u8]) -> Outcome {
    let read = serde_json::from_slice::<CheckRequest>(data);
    if let Ok(request) = &read {
        let text = serde_json::to_vec(request).expect("a request is written as JSON");
        assert_eq!(serde_json::from_slice::<CheckRequest>(&text).ok().as_ref(), Some(request));
    }
    Outcome::of(&read)
}

/// What an administrator pastes to enrol.
pub fn enrolment_text(data: &[u8]) -> Outcome {
    let Ok(text) = std::str::from_utf8(data) else { return Outcome::Refused };
    let read: Result<EnrolmentText, _> = text.parse();
    if let Ok(enrolment) = &read {
        assert_eq!(enrolment.to_string().parse().as_ref(), Ok(enrolment));
    }
    Outcome::of(&read)
}

pub mod seeds {
    //! Good bytes.

    use serde_json::json;

    use super::{APPLIANCE, NONCE, NOW, offer_key};

    pub fn offer() -> Vec<Vec<u8>> {
        let target = "site/site-1.1.0-r2-x86_64.pkg";
        let card = json!({
            "target": target, "kind": "site", "name": "site", "version": "1.1.0", "revision": 2,
            "hostname": "access.example.com", "licenses": 10, "expires": 1_900_000_000_000_u64,
            "notes": "Faster.", "size": 1_000_000, "sha256": "ab".repeat(32),
            "requires": ["base >=1.1"], "status": "blocked",
            "blocked": { "missing": "base >=1.1", "by": "base/base-1.1.0-r2-x86_64.pkg", "text": "First the base." }
        });
        let offer = json!({
            "_type": "offer", "appliance": APPLIANCE, "nonce": NONCE, "issued": NOW,
            "expires": 1_800_000_100_000_u64, "hostname": "access.example.com", "licenses": 10,
            "license_expires": null, "packages": [card], "plan": [{ "target": target, "text": "Then the site." }]
        });
        vec![offer.to_string().into_bytes()]
    }

    pub fn check_request() -> Vec<Vec<u8>> {
        let request = json!({
            "appliance": APPLIANCE, "nonce": NONCE, "time": NOW, "arch": "x86_64",
            "inventory": [
                { "kind": "base", "name": "base", "version": "1.0.0", "revision": 1, "sha256": "ab".repeat(32) }
            ],
            "floors": [{ "name": "site", "version": "1.0.0" }], "bad": ["cd".repeat(32)]
        });
        vec![request.to_string().into_bytes()]
    }

    pub fn enrolment_text() -> Vec<Vec<u8>> {
        let text = format!("https://updates.example.com#k7h2-x9.{}", offer_key());
        let pinned = format!("{text}.{}", "ab".repeat(32));
        vec![text.into_bytes(), pinned.into_bytes()]
    }
}
