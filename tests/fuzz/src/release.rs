//! What a package says of itself.

use release::{ClientBuild, Hostname, Manifest};

use crate::Outcome;

/// A package's manifest.
pub fn manifest(data: &[u8]) -> Outcome {
    let parsed = Manifest::parse(data);
    match &parsed {
        Ok(manifest) => {
            let text = serde_json::to_vec(manifest).expect("a manifest is written as JSON");
            let again = Manifest::parse(&text).expect("a manifest reads what it was written from");
            assert_eq!(again, *manifest);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    Outcome::of(&parsed)
}

/// A path inside a package: none that is accepted leads out of the slot.
pub fn path(data: &[u8]) -> Outcome {
    let Ok(text) = std::str::from_utf8(data) else { return Outcome::Refused };
    let checked = release::check_path(text);
    if checked.is_ok() {
        let path = std::path::Path::new(text);
        let plain = |part| matches!(part, std::path::Component::Normal(_));
        assert!(path.components().all(plain), "{text:?} leads elsewhere");
        assert!(!text.contains('\0') && !text.is_empty());
    }
    Outcome::of(&checked)
}

/// The stamp at the end of a client's program.
pub fn stamp(data: &[u8]) -> Outcome {
    let Some((build, len)) = ClientBuild::read_stamp(data) else { return Outcome::Refused };
    assert!(len <= data.len(), "the stamp lies within the file");
    let again = ClientBuild::read_stamp(&build.stamp());
    assert_eq!(again.map(|(build, _)| build), Some(build));
    Outcome::Accepted
}

/// A hostname.
pub fn hostname(data: &[u8]) -> Outcome {
    let Ok(text) = std::str::from_utf8(data) else { return Outcome::Refused };
    let parsed: Result<Hostname, _> = text.parse();
    if let Ok(name) = &parsed {
        assert_eq!(name.to_string().parse().as_ref(), Ok(name));
    }
    Outcome::of(&parsed)
}

pub mod seeds {
    //! Good bytes.

    use model::{Revision, Version};
    use release::{ClientBuild, ClientKind};
    use serde_json::json;

    pub fn manifest() -> Vec<Vec<u8>> {
        let site = json!({
            "schema": 1, "kind": "site", "name": "site", "version": "1.4.2", "revision": 57,
            "seq": 1_004_002_057_u64, "arch": "x86_64",
            "requires": [{ "name": "base", "range": ">=1.3" }], "conflicts": [], "floors": ["1.2"],
            "restart": "handover",
            "wire": { "agent": [6, 7], "console": [6, 7], "peer": [3, 4] },
            "db": { "reads": [17, 18], "writes": 18 },
            "files": [
                { "path": "bin/sluis-site", "mode": 0o755, "size": 3, "sha256": "00".repeat(32) },
                { "path": "clients/agent", "mode": 0o644, "size": 4, "sha256": "11".repeat(32) }
            ],
            "size_installed": 7, "notes": "Faster.", "from_the_future": { "any": ["thing"] }
        });
        let license = json!({
            "schema": 1, "kind": "license", "name": "license", "version": "1.0.0", "revision": 1,
            "seq": 1_000_000_001_u64, "arch": "any", "files": [], "size_installed": 0,
            "license": { "hostname": "access.example.com", "users": 10, "expires": 2_000_000_000_000_u64 }
        });
        [site, license].map(|value| value.to_string().into_bytes()).into()
    }

    pub fn stamp() -> Vec<Vec<u8>> {
        let build = ClientBuild {
            kind: ClientKind::Agent,
            version: Version::new(1, 1, 0),
            revision: Revision(2),
            arch: "x86_64-linux".into(),
        };
        vec![[b"\x7fELF and so on".to_vec(), build.stamp()].concat(), build.stamp()]
    }

    pub fn path() -> Vec<Vec<u8>> {
        ["bin/sluis-site", "clients/agent-1.0.0-x86_64-linux", "a"].map(Into::into).into()
    }

    pub fn hostname() -> Vec<Vec<u8>> {
        ["access.example.com", "a-1.example"].map(Into::into).into()
    }
}
