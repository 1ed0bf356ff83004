//! The identity proof: what both sides say right after the TLS handshake, before any stream.
//!
//! The site speaks first. Each side signs the TLS exporter value of this very connection, so a
//! proof is worth nothing on any other, and a man in the middle, whatever certificate he shows,
//! has a different exporter value on each side of himself.

use minicbor::{Decode, Encode};
use model::{PublicKey, Role};

use crate::sign::{SigningKey, verify};

/// The label under which TLS derives the value that is signed (RFC 5705, RFC 8446 section 7.5);
/// 32 bytes, empty context.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-sluis-link-v1";

/// The versions of the link protocol that this build speaks.
pub const LINK_VERSIONS: (u16, u16) = (1, 1);

/// What the site says first.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SiteHello {
    /// Lowest version of the link protocol it speaks.
    #[n(1)]
    pub version_min: u16,
    /// Highest version of the link protocol it speaks.
    #[n(2)]
    pub version_max: u16,
    /// Its identity.
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    pub key: [u8; 32],
    /// Version of the site software.
    #[n(4)]
    pub version: String,
    /// Revision of the site software.
    #[n(5)]
    pub revision: u32,
    /// The generation that answers.
    #[n(6)]
    pub generation: u64,
}

/// What the client answers.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ClientHello {
    /// The version of the link protocol that it chose.
    #[n(1)]
    pub version: u16,
    /// 1: agent, 2: console.
    #[n(2)]
    pub role: u8,
    /// Its identity.
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    pub key: [u8; 32],
    /// What it calls itself.
    #[n(4)]
    pub name: String,
    /// Version of its software.
    #[n(5)]
    pub software: String,
    /// Revision of its software.
    #[n(6)]
    pub revision: u32,
    /// Operating system and architecture: `linux-x86_64`.
    #[n(7)]
    pub platform: String,
    /// An agent's enrolment token, on its first connection.
    #[n(8)]
    pub token: Option<String>,
    /// An agent that only checks in and leaves again.
    #[n(9)]
    pub passive: Option<bool>,
}

/// Why the proof fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// The bytes are no hello.
    #[error("the peer's first words cannot be read; it may not be a Sluis link")]
    PeerMalformed,
    /// The site is not one that this client belongs to.
    #[error("the server is another site: its identity is {0}")]
    PeerOtherSite(PublicKey),
    /// The signature does not fit this connection: somebody is in between.
    #[error("the peer could not prove its identity on this connection; somebody may be in between")]
    PeerSignature,
    /// No version in common.
    #[error("the site speaks link versions {min} to {max}, this program {}", own_versions())]
    PeerVersion {
        /// The site's lowest.
        min: u16,
        /// The site's highest.
        max: u16,
    },
}

fn own_versions() -> String {
    format!("{} to {}", LINK_VERSIONS.0, LINK_VERSIONS.1)
}

impl ClientHello {
    /// The role, if this version knows it.
    pub const fn role(&self) -> Option<Role> {
        match self.role {
            1 => Some(Role::Agent),
            2 => Some(Role::Console),
            _ => None,
        }
    }
}

impl SiteHello {
    /// The words with their proof, as they travel: a signature of 64 bytes, then a CBOR map.
    pub fn seal(&self, key: &SigningKey, exporter: &[u8; 32]) -> Vec<u8> {
        seal(SITE_DOMAIN, key, exporter, &minicbor::to_vec(self).unwrap_or_default())
    }

    /// Reads a site's words and checks the proof. An empty `pinned` accepts any identity, to be
    /// pinned by the caller.
    ///
    /// # Errors
    /// When it is another site, or the proof belongs to another connection.
    pub fn open(
        bytes: &[u8],
        exporter: &[u8; 32],
        pinned: &[PublicKey],
    ) -> Result<(Self, PublicKey), HelloError> {
        let (signature, body) = parts(bytes)?;
        let hello: Self = minicbor::decode(body).map_err(|_| HelloError::PeerMalformed)?;
        let key = check(SITE_DOMAIN, hello.key, exporter, signature, body)?;
        if !pinned.is_empty() && !pinned.contains(&key) {
            return Err(HelloError::PeerOtherSite(key));
        }
        Ok((hello, key))
    }
}

impl ClientHello {
    /// The words with their proof, as they travel: a signature of 64 bytes, then a CBOR map.
    pub fn seal(&self, key: &SigningKey, exporter: &[u8; 32]) -> Vec<u8> {
        seal(CLIENT_DOMAIN, key, exporter, &minicbor::to_vec(self).unwrap_or_default())
    }

    /// Reads a client's words and checks the proof; who it may be is the site's business.
    ///
    /// # Errors
    /// When the proof belongs to another connection.
    pub fn open(bytes: &[u8], exporter: &[u8; 32]) -> Result<(Self, PublicKey), HelloError> {
        let (signature, body) = parts(bytes)?;
        let hello: Self = minicbor::decode(body).map_err(|_| HelloError::PeerMalformed)?;
        let key = check(CLIENT_DOMAIN, hello.key, exporter, signature, body)?;
        Ok((hello, key))
    }
}

const SITE_DOMAIN: &[u8] = b"sluis link v1 site\0";
const CLIENT_DOMAIN: &[u8] = b"sluis link v1 client\0";
const SIGNATURE_LEN: usize = 64;

// The signature covers the bytes as they came, so that fields of later versions are covered too.
fn seal(domain: &[u8], key: &SigningKey, exporter: &[u8; 32], body: &[u8]) -> Vec<u8> {
    [&key.sign(&[domain, exporter, body].concat()), body].concat()
}

fn parts(bytes: &[u8]) -> Result<(&[u8], &[u8]), HelloError> {
    bytes.split_at_checked(SIGNATURE_LEN).ok_or(HelloError::PeerMalformed)
}

fn check(
    domain: &[u8],
    key: [u8; 32],
    exporter: &[u8; 32],
    signature: &[u8],
    body: &[u8],
) -> Result<PublicKey, HelloError> {
    let key = PublicKey(key);
    if verify(&key, &[domain, exporter, body].concat(), signature) {
        Ok(key)
    } else {
        Err(HelloError::PeerSignature)
    }
}

/// The highest version that both sides speak.
///
/// # Errors
/// When there is none.
pub fn choose_version(site: &SiteHello) -> Result<u16, HelloError> {
    let (min, max) = (site.version_min, site.version_max);
    let best = max.min(LINK_VERSIONS.1);
    if best < min || best < LINK_VERSIONS.0 {
        return Err(HelloError::PeerVersion { min, max });
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(key: &SigningKey) -> SiteHello {
        SiteHello {
            version_min: 1,
            version_max: 1,
            key: key.public().0,
            version: "1.0.0".into(),
            revision: 1,
            generation: 3,
        }
    }

    #[test]
    fn a_proof_holds_on_its_own_connection_only() {
        let key = SigningKey::from_seed(&[5; 32]).expect("a seed");
        let sealed = hello(&key).seal(&key, &[1; 32]);
        assert_eq!(SiteHello::open(&sealed, &[1; 32], &[]), Ok((hello(&key), key.public())));
        assert_eq!(SiteHello::open(&sealed, &[2; 32], &[]), Err(HelloError::PeerSignature));
        let other = PublicKey([0; 32]);
        assert_eq!(
            SiteHello::open(&sealed, &[1; 32], &[other]),
            Err(HelloError::PeerOtherSite(key.public()))
        );
        for at in 0..sealed.len() {
            let mut bent = sealed.clone();
            bent[at] ^= 1;
            assert!(SiteHello::open(&bent, &[1; 32], &[]).is_err(), "bit flipped at {at}");
            assert!(SiteHello::open(&sealed[..at], &[1; 32], &[]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_later_versions_field_is_covered_by_the_proof_and_skipped() {
        let key = SigningKey::from_seed(&[5; 32]).expect("a seed");
        let mut body = minicbor::to_vec(hello(&key)).expect("encodes");
        assert_eq!(body[0], 0xa6, "a map of six");
        body[0] = 0xa7;
        body.extend([0x18, 99, 0xf5]);
        let sealed = seal(SITE_DOMAIN, &key, &[1; 32], &body);
        assert_eq!(SiteHello::open(&sealed, &[1; 32], &[]), Ok((hello(&key), key.public())));
    }

    #[test]
    fn versions_meet_or_say_why_not() {
        let key = SigningKey::from_seed(&[5; 32]).expect("a seed");
        let site = |version_min, version_max| SiteHello { version_min, version_max, ..hello(&key) };
        assert_eq!(choose_version(&site(1, 9)), Ok(1));
        assert_eq!(choose_version(&site(2, 9)), Err(HelloError::PeerVersion { min: 2, max: 9 }));
        assert_eq!(choose_version(&site(0, 0)), Err(HelloError::PeerVersion { min: 0, max: 0 }));
    }
}
