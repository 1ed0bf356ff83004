//! Making signed metadata: what the release tool and tests need.
//!
//! Nothing here makes randomness: a key comes from bytes that the caller made or read.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use serde::{Deserialize, Serialize};

use crate::canonical::{NotCanonical, to_canonical};
use crate::error::Reason;
use crate::hex;
use crate::key::{Key, KeyId};
use crate::schema::Metadata;
use crate::verify::Envelope;

/// Metadata with the signatures over it: one file of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed<T> {
    /// Who signed; at most one signature per key when made here.
    pub signatures: Vec<Signature>,
    /// What is signed, in its canonical form.
    pub signed: T,
}

/// One signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// The key that made it.
    pub keyid: KeyId,
    /// Hexadecimal; what cannot be read as such is a signature that does not count.
    pub sig: String,
}

impl<T: Metadata> Signed<T> {
    /// Metadata that nobody signed yet.
    pub fn new(signed: T) -> Self {
        Self { signatures: Vec::new(), signed }
    }

    /// Reads a file without verifying any signature: for tools that go on from their own files.
    ///
    /// # Errors
    /// Why the bytes are not metadata of this type.
    pub fn read_unverified(bytes: &[u8]) -> Result<Self, Reason> {
        let envelope = Envelope::read(bytes)?;
        Ok(Self { signed: envelope.body()?, signatures: envelope.into_signatures() })
    }

    /// The bytes that signatures cover.
    ///
    /// # Errors
    /// A field that this release does not know may hold a number without canonical form.
    pub fn message(&self) -> Result<Vec<u8>, NotCanonical> {
        to_canonical(&self.signed)
    }

    /// Adds the signature that `sign` makes over the canonical bytes, in place of an earlier one
    /// of the same key.
    ///
    /// # Errors
    /// As [`Signed::message`].
    pub fn sign(
        &mut self,
        keyid: KeyId,
        sign: impl FnOnce(&[u8]) -> Vec<u8>,
    ) -> Result<(), NotCanonical> {
        let sig = hex::encode(&sign(&self.message()?));
        self.signatures.retain(|signature| signature.keyid != keyid);
        self.signatures.push(Signature { keyid, sig });
        Ok(())
    }

    /// Adds the signature of an Ed25519 key.
    ///
    /// # Errors
    /// As [`Signed::message`].
    pub fn sign_with(&mut self, key: &SigningKey) -> Result<(), NotCanonical> {
        self.sign(key.id(), |message| key.sign(message))
    }

    /// The file: what is published, byte for byte.
    ///
    /// # Errors
    /// As [`Signed::message`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, NotCanonical> {
        self.message()?;
        let mut bytes =
            serde_json::to_vec_pretty(self).map_err(|error| NotCanonical(error.to_string()))?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

/// The bytes are not an Ed25519 seed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an Ed25519 signing key is 32 bytes")]
pub struct BadSeed;

/// An Ed25519 key that signs.
#[derive(Debug)]
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// The key that grows from a seed of 32 random bytes, as the caller made or stored it.
    ///
    /// # Errors
    /// When there are not 32 bytes.
    pub fn from_seed(seed: &[u8]) -> Result<Self, BadSeed> {
        Ed25519KeyPair::from_seed_unchecked(seed).map(Self).map_err(|_| BadSeed)
    }

    /// The public half.
    pub fn key(&self) -> Key {
        Key::ed25519(self.0.public_key().as_ref())
    }

    /// The id of the public half.
    pub fn id(&self) -> KeyId {
        self.key().id()
    }

    /// The signature over a message.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }
}
