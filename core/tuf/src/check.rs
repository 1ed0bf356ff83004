//! Checks that more than one step makes.

use aws_lc_rs::digest;
use model::Timestamp as Moment;

use crate::error::Reason;
use crate::hex;
use crate::schema::{MetaFile, Metadata, Targets};
use crate::verify::{Authority, Envelope};

/// Metadata must not be believed from its expiry on.
pub(crate) fn check_expiry<T: Metadata>(metadata: &T, now: Moment) -> Result<(), Reason> {
    let expired = metadata.expires();
    if now >= expired { Err(Reason::Expired { expired, now }) } else { Ok(()) }
}

/// Length and hashes, as far as the metadata above says them.
pub(crate) fn check_file(bytes: &[u8], named: &MetaFile) -> Result<(), Reason> {
    let actual = bytes.len() as u64;
    match named.length {
        Some(expected) if expected != actual => return Err(Reason::Length { expected, actual }),
        _ => {}
    }
    let Some(hashes) = &named.hashes else { return Ok(()) };
    let mut checked = 0;
    for (algorithm, expected) in hashes {
        let algorithm_id = match algorithm.as_str() {
            "sha256" => &digest::SHA256,
            "sha384" => &digest::SHA384,
            "sha512" => &digest::SHA512,
            _ => continue,
        };
        let actual = digest::digest(algorithm_id, bytes);
        if hex::decode(expected).as_deref() != Some(actual.as_ref()) {
            return Err(Reason::Hash { algorithm: algorithm.clone() });
        }
        checked += 1;
    }
    if checked == 0 { Err(Reason::UnknownHash) } else { Ok(()) }
}

/// Targets metadata that the snapshot names and whose authority signed it.
pub(crate) fn demand_role(
    bytes: &[u8],
    authority: Authority<'_>,
    named: &MetaFile,
    now: Moment,
) -> Result<Targets, Reason> {
    check_file(bytes, named)?;
    let envelope = Envelope::read(bytes)?;
    envelope.demand(authority)?;
    let targets: Targets = envelope.body()?;
    if targets.version != named.version {
        return Err(Reason::WrongVersion { expected: named.version, offered: targets.version });
    }
    check_expiry(&targets, now)?;
    Ok(targets)
}
