//! From bytes to a body that enough keys have signed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::Value;

use crate::canonical::canonical;
use crate::error::Reason;
use crate::hex;
use crate::key::{Key, KeyId};
use crate::schema::Metadata;
use crate::sign::Signature;

/// Versions count from 1, and there is always a next one.
const VERSIONS: RangeInclusive<u64> = 1..=i64::MAX as u64;

/// A metadata file that was read and not yet believed.
#[derive(Debug, Clone)]
pub(crate) struct Envelope {
    signatures: Vec<Signature>,
    signed: Value,
    message: Vec<u8>,
}

/// Which keys speak for a role, and how many of them it takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Authority<'a> {
    pub keys: &'a BTreeMap<KeyId, Key>,
    pub keyids: &'a [KeyId],
    pub threshold: u32,
}

impl Authority<'_> {
    /// The material of all keys, as far as they can be read; else the text as it stands.
    pub(crate) fn materials(&self) -> BTreeSet<Vec<u8>> {
        let material =
            |key: &Key| key.material().unwrap_or_else(|| key.keyval.public.clone().into_bytes());
        self.keyids.iter().filter_map(|id| self.keys.get(id)).map(material).collect()
    }
}

#[derive(Deserialize)]
struct Raw {
    signatures: Vec<Signature>,
    signed: Value,
}

impl Envelope {
    /// Reads the outer form; nothing inside `signed` is looked at yet.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Reason> {
        let raw: Raw =
            serde_json::from_slice(bytes).map_err(|error| Reason::Malformed(error.to_string()))?;
        let message = canonical(&raw.signed).map_err(|e| Reason::Malformed(e.to_string()))?;
        Ok(Self { signatures: raw.signatures, signed: raw.signed, message })
    }

    /// Demands valid signatures of enough different keys.
    pub(crate) fn demand(&self, authority: Authority<'_>) -> Result<(), Reason> {
        let valid: BTreeSet<Vec<u8>> =
            self.signatures.iter().filter_map(|s| self.signer(s, authority)).collect();
        let needed = authority.threshold.max(1);
        if valid.len() < needed as usize {
            return Err(Reason::Signatures { valid: valid.len(), needed });
        }
        Ok(())
    }

    /// The material of the key that made a signature, when the signature is valid and the key
    /// may sign here.
    fn signer(&self, signature: &Signature, authority: Authority<'_>) -> Option<Vec<u8>> {
        let key = authority.keys.get(&signature.keyid)?;
        let may_sign = authority.keyids.contains(&signature.keyid);
        let sig = hex::decode(&signature.sig)?;
        (may_sign && key.verifies(&self.message, &sig)).then(|| key.material())?
    }

    /// The body as metadata of type `T`, with its own rules checked.
    pub(crate) fn body<T: Metadata>(&self) -> Result<T, Reason> {
        let found = self.signed.get("_type").and_then(Value::as_str).unwrap_or_default();
        if found != T::TYPE.as_str() {
            return Err(Reason::WrongType { expected: T::TYPE, found: found.to_owned() });
        }
        let body: T = serde_json::from_value(self.signed.clone())
            .map_err(|error| Reason::Malformed(error.to_string()))?;
        if body.spec_version().split('.').next() != Some("1") {
            return Err(Reason::SpecVersion(body.spec_version().to_owned()));
        }
        if !VERSIONS.contains(&body.version()) {
            return Err(Reason::Malformed(format!("{} is no version", body.version())));
        }
        body.check().map_err(Reason::Malformed)?;
        Ok(body)
    }

    pub(crate) fn into_signatures(self) -> Vec<Signature> {
        self.signatures
    }
}
