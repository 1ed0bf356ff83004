//! Public keys and what they verify.

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::canonical::to_canonical;
use crate::hex;

/// The name by which metadata refers to a key: 64 hexadecimal digits when made here.
///
/// Metadata made elsewhere may use any text; it only has to be unique among the keys beside it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(pub String);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A public key as it stands in metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// `ed25519`, `ecdsa` or `rsa`; others are kept and verify nothing.
    pub keytype: String,
    /// How the key signs: `ed25519`, `ecdsa-sha2-nistp256`, `ecdsa-sha2-nistp384` or
    /// `rsassa-pss-sha256`.
    pub scheme: String,
    /// The key itself.
    pub keyval: KeyVal,
    /// Fields that this release does not know; they are covered by signatures and kept.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The value of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyVal {
    /// Hexadecimal for Ed25519, else PEM.
    pub public: String,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Key {
    /// The key with these 32 bytes of an Ed25519 public key.
    pub fn ed25519(public: &[u8]) -> Self {
        let keyval = KeyVal { public: hex::encode(public), extra: Map::new() };
        Self { keytype: "ed25519".into(), scheme: "ed25519".into(), keyval, extra: Map::new() }
    }

    /// The usual id of this key: SHA-256 over its canonical form.
    ///
    /// Only keys made here need it; ids in metadata are taken as they are.
    pub fn id(&self) -> KeyId {
        // Without a canonical form there is no usual id either; such a key comes from elsewhere
        // and has its id already.
        let bytes = to_canonical(self).unwrap_or_default();
        KeyId(hex::encode(digest::digest(&digest::SHA256, &bytes).as_ref()))
    }

    /// The bytes of the key, whatever text they were written as; nothing if it cannot be read.
    ///
    /// Two keys with the same material are one key, so that nobody fills a threshold alone.
    pub(crate) fn material(&self) -> Option<Vec<u8>> {
        match self.keytype.as_str() {
            "ed25519" => hex::decode(&self.keyval.public),
            "ecdsa" | "ecdsa-sha2-nistp256" | "ecdsa-sha2-nistp384" | "rsa" => {
                SubjectPublicKeyInfoDer::from_pem_slice(self.keyval.public.as_bytes())
                    .ok()
                    .map(|der| der.as_ref().to_vec())
            }
            _ => None,
        }
    }

    /// Whether this key made the signature; a key or scheme that is not known made none.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let (Some(algorithm), Some(material)) = (self.algorithm(), self.material()) else {
            return false;
        };
        UnparsedPublicKey::new(algorithm, material).verify(message, signature).is_ok()
    }

    fn algorithm(&self) -> Option<&'static dyn VerificationAlgorithm> {
        match (self.keytype.as_str(), self.scheme.as_str()) {
            ("ed25519", "ed25519") => Some(&signature::ED25519),
            ("ecdsa" | "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256") => {
                Some(&signature::ECDSA_P256_SHA256_ASN1)
            }
            ("ecdsa" | "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384") => {
                Some(&signature::ECDSA_P384_SHA384_ASN1)
            }
            ("rsa", "rsassa-pss-sha256") => Some(&signature::RSA_PSS_2048_8192_SHA256),
            _ => None,
        }
    }
}
