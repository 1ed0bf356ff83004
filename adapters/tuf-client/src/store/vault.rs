//! The second copy of the trusted metadata: one file with a checksum.
//!
//! ```text
//!   "sluis-tuf-vault-1\n"
//!   entries, each: kind (1 byte: R root, M other)  version (8)  name length (4)  name
//!                  content length (8)  content              numbers are little-endian
//!   SHA-256 of all that, 64 hexadecimal digits
//! ```

use std::collections::BTreeMap;

use tuf::{Change, Stored, sha256_hex};

const MAGIC: &[u8] = b"sluis-tuf-vault-1\n";
const SUM_LENGTH: usize = 64;

/// Everything that is trusted, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Vault {
    /// Every root from the first one that was trusted to the newest, by version.
    pub roots: BTreeMap<u64, Vec<u8>>,
    /// The newest metadata of every other role.
    pub roles: BTreeMap<String, Entry>,
}

/// Metadata with its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub version: u64,
    pub bytes: Vec<u8>,
}

impl Vault {
    /// The newest root.
    pub(crate) fn root(&self) -> Option<&[u8]> {
        self.roots.values().next_back().map(Vec::as_slice)
    }

    /// The newest content of every role, the root among them.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let roles = self.roles.iter().map(|(role, entry)| (role.as_str(), &entry.bytes[..]));
        self.root().map(|root| ("root", root)).into_iter().chain(roles)
    }

    /// What the core starts from.
    pub(crate) fn stored(&self) -> Stored {
        let mut roles: BTreeMap<String, Vec<u8>> =
            self.roles.iter().map(|(role, entry)| (role.clone(), entry.bytes.clone())).collect();
        Stored {
            root: self.root().unwrap_or_default().to_vec(),
            timestamp: roles.remove("timestamp"),
            snapshot: roles.remove("snapshot"),
            roles,
        }
    }

    /// Makes a change.
    pub(crate) fn apply(&mut self, change: &Change) {
        match change {
            Change::Save { role, version, bytes } if role == "root" => {
                self.roots.insert(*version, bytes.clone());
            }
            Change::Save { role, version, bytes } => {
                let entry = Entry { version: *version, bytes: bytes.clone() };
                self.roles.insert(role.clone(), entry);
            }
            Change::Forget { role } => {
                self.roles.remove(role);
            }
        }
    }

    /// The version that is trusted of a role.
    pub(crate) fn version(&self, role: &str) -> Option<u64> {
        if role == "root" {
            return self.roots.keys().next_back().copied();
        }
        self.roles.get(role).map(|entry| entry.version)
    }

    /// The file.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        for (version, bytes) in &self.roots {
            encode_entry(&mut out, b'R', "root", *version, bytes);
        }
        for (role, entry) in &self.roles {
            encode_entry(&mut out, b'M', role, entry.version, &entry.bytes);
        }
        let sum = sha256_hex(&out);
        out.extend(sum.bytes());
        out
    }

    /// Reads the file; nothing when it is torn or changed.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(SUM_LENGTH)?)?;
        if sha256_hex(body).as_bytes() != sum {
            return None;
        }
        let mut rest = body.strip_prefix(MAGIC)?;
        let mut vault = Self::default();
        while !rest.is_empty() {
            let [kind] = take(&mut rest)?;
            let version = u64::from_le_bytes(take(&mut rest)?);
            let name_length = u32::from_le_bytes(take(&mut rest)?) as usize;
            let name = String::from_utf8(take_slice(&mut rest, name_length)?.to_vec()).ok()?;
            let length = usize::try_from(u64::from_le_bytes(take(&mut rest)?)).ok()?;
            let bytes = take_slice(&mut rest, length)?.to_vec();
            match kind {
                b'R' => drop(vault.roots.insert(version, bytes)),
                b'M' => drop(vault.roles.insert(name, Entry { version, bytes })),
                _ => return None,
            }
        }
        vault.root().is_some().then_some(vault)
    }
}

fn encode_entry(out: &mut Vec<u8>, kind: u8, name: &str, version: u64, bytes: &[u8]) {
    out.push(kind);
    out.extend(version.to_le_bytes());
    out.extend((name.len() as u32).to_le_bytes());
    out.extend(name.bytes());
    out.extend((bytes.len() as u64).to_le_bytes());
    out.extend(bytes);
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    take_slice(rest, N)?.try_into().ok()
}

fn take_slice<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_wrote_and_nothing_that_is_torn() {
        let mut vault = Vault::default();
        vault.roots.insert(1, b"first".to_vec());
        vault.roots.insert(2, b"second".to_vec());
        vault.roles.insert("a/é".into(), Entry { version: 7, bytes: vec![0; 300] });
        let bytes = vault.encode();
        assert_eq!(Vault::decode(&bytes), Some(vault));
        for length in 0..bytes.len() {
            assert_eq!(Vault::decode(&bytes[..length]), None, "cut at {length}");
        }
        for n in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[n] ^= 1;
            assert_eq!(Vault::decode(&changed), None, "changed at {n}");
        }
    }
}
