//! An appliance as the update server meets it.

use model::{ApplianceId, AttemptId, Timestamp};
use release::offer::{
    CheckRequest, EnrolReply, EnrolRequest, EnrolmentText, Expected, Nonce, Offer, Refusal,
    ReportRequest, SIGNATURE_HEADER, sign_request,
};
use release::plan::{Card, Installed};
use release::{Hostname, Manifest};
use reqwest::StatusCode;
use serde::Serialize;
use tuf::SigningKey;

use super::repository::{now, public, sha256};
use super::server::Bench;

pub struct Appliance {
    pub key: SigningKey,
    pub id: ApplianceId,
    pub text: EnrolmentText,
    pub hostname: Hostname,
    pub inventory: Vec<Installed>,
}

/// Different in every request of a test.
fn nonce() -> Nonce {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    Nonce(bytes)
}

pub type Answer = Result<Vec<u8>, (StatusCode, Refusal)>;

impl Appliance {
    /// Not enrolled yet; `seed` makes its key.
    pub fn new(seed: u8, text: &str) -> Self {
        Self {
            key: SigningKey::from_seed(&[seed; 32]).expect("32 bytes"),
            id: ApplianceId::from_bytes([0; 16]),
            text: text.parse().expect("an enrolment text"),
            hostname: "access.example.com".parse().expect("a hostname"),
            inventory: vec![],
        }
    }

    /// Enrolled, with an entitlement, running base and site 1.0.0.
    pub async fn enrolled(bench: &Bench) -> Self {
        bench.good(&["customer", "add", "Harbour"]);
        let mut set = vec!["entitlement", "set", "--customer", "Harbour", "--licenses", "25"];
        set.extend(["--hostname", "access.example.com", "--expires", "2090-01-01"]);
        bench.good(&set);
        let text = bench.good(&["appliance", "code", "--customer", "Harbour"]);
        let mut appliance = Self::new(10, &text);
        appliance.enrol(bench).await.expect("a fresh code");
        appliance.runs(&[super::base("1.0.0 (rev 1)", &[]), super::site("1.0.0 (rev 1)", &[])]);
        appliance
    }

    pub fn runs(&mut self, manifests: &[Manifest]) {
        let installed = |m: &Manifest| Installed {
            kind: m.kind,
            name: m.name.clone(),
            version: m.version.clone(),
            revision: m.revision,
            sha256: sha256(m),
        };
        self.inventory = manifests.iter().map(installed).collect();
    }

    /// Sends a request, signed by this appliance's key or as told.
    pub async fn post(
        &self,
        bench: &Bench,
        path: &str,
        body: &impl Serialize,
        signer: Option<&SigningKey>,
    ) -> Answer {
        let body = serde_json::to_vec(body).expect("JSON");
        let signature = sign_request(&body, signer.unwrap_or(&self.key));
        let request = bench.http.post(format!("{}{path}", bench.url)).body(body);
        let request = request.header(SIGNATURE_HEADER, signature);
        let response = request.send().await.expect("an answer");
        let status = response.status();
        let bytes = response.bytes().await.expect("a whole answer").to_vec();
        if status.is_success() {
            return Ok(bytes);
        }
        let refusal: Refusal = serde_json::from_slice(&bytes).expect("a refusal in JSON");
        assert!(!refusal.error.is_empty() && !refusal.code.is_empty());
        Err((status, refusal))
    }

    pub async fn enrol(&mut self, bench: &Bench) -> Result<EnrolReply, (StatusCode, Refusal)> {
        let request = EnrolRequest {
            code: self.text.code.clone(),
            public_key: public(&self.key),
            hostname: self.hostname.clone(),
        };
        let bytes = self.post(bench, "/v1/enrol", &request, None).await?;
        let reply: EnrolReply = serde_json::from_slice(&bytes).expect("a reply");
        assert_eq!(reply.offer_key, self.text.offer_key, "the key that was promised");
        self.id = reply.appliance;
        Ok(reply)
    }

    pub fn request(&self) -> CheckRequest {
        CheckRequest {
            appliance: self.id,
            nonce: nonce(),
            time: now(),
            arch: Some("x86_64".into()),
            inventory: self.inventory.clone(),
            floors: vec![],
            bad: vec![],
        }
    }

    pub async fn send(&self, bench: &Bench, request: &CheckRequest) -> Answer {
        self.post(bench, "/v1/check", request, None).await
    }

    /// Checks, and believes the offer as a base would.
    pub async fn check(&self, bench: &Bench) -> Offer {
        let request = self.request();
        let bytes = self.send(bench, &request).await.expect("an offer");
        Offer::verify(&bytes, &self.expected(request.nonce, now())).expect("a good offer")
    }

    pub fn expected(&self, nonce: Nonce, now: Timestamp) -> Expected<'_> {
        let (offer_key, hostname) = (&self.text.offer_key, &self.hostname);
        Expected { offer_key, appliance: self.id, nonce, hostname, now }
    }

    pub fn report(&self, step: u32, state: &str, text: &str) -> ReportRequest {
        ReportRequest {
            appliance: self.id,
            attempt: AttemptId::from_bytes([7; 16]),
            step,
            state: state.into(),
            text: text.into(),
            at: now(),
        }
    }
}

/// The card of a release: `site 1.1.0`.
pub fn card<'a>(offer: &'a Offer, label: &str) -> &'a Card {
    let found = offer.packages.iter().find(|c| format!("{} {}", c.name, c.version) == label);
    found.unwrap_or_else(|| panic!("no card for {label}"))
}
