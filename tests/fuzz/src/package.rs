//! A package file.

use std::path::Path;

use host::{Fs, ModelFs, Slots};

use crate::Outcome;

/// A package: the bytes are the archive inside; it is compressed here. Whatever stands in a slot
/// afterwards is what the manifest says, and nothing stands beside it.
pub fn package(data: &[u8]) -> Outcome {
    let _ = unpack(data);
    let compressed = zstd::encode_all(data, 1).expect("memory takes everything");
    unpack(&compressed)
}

fn unpack(bytes: &[u8]) -> Outcome {
    let (fs, root) = (ModelFs::default(), Path::new("/data"));
    let archive = root.join("first.pkg");
    fs.create_dir(root).expect("a new disk");
    fs.write(&archive, 0o600, &mut &*bytes).expect("a new disk");
    let slots = Slots::new(fs.clone(), root);
    let unpacked = slots.unpack_first(&archive);
    let names = fs.list(&root.join("packages")).unwrap_or_default();
    match &unpacked {
        Ok((manifest, sha256)) => {
            assert_eq!(slots.check(*sha256).ok().as_ref(), Some(manifest));
            assert_eq!(names, [sha256.to_string()]);
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert_eq!(names, Vec::<String>::new(), "a failed try leaves nothing");
        }
    }
    assert!(
        fs.list(root)
            .unwrap_or_default()
            .iter()
            .all(|name| name == "first.pkg" || name == "packages")
    );
    Outcome::of(&unpacked)
}

pub mod seeds {
    //! Good bytes.

    use host::sha256_of;
    use serde_json::json;

    pub fn package() -> Vec<Vec<u8>> {
        let (path, content) = ("bin/sluis-site", b"a program".as_slice());
        let (sha256, size) = sha256_of(&mut &*content).expect("memory can be read");
        let file = json!({ "path": path, "mode": 0o755, "size": size, "sha256": sha256 });
        let manifest = json!({
            "schema": 1, "kind": "site", "name": "site", "version": "1.0.0", "revision": 1,
            "seq": 1_000_000_001_u64, "arch": "x86_64", "restart": "handover", "files": [file],
            "size_installed": size
        });
        let mut tar = tar::Builder::new(vec![]);
        for (path, mode, content) in
            [("manifest.json", 0o644, manifest.to_string().as_bytes()), (path, 0o755, content)]
        {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(mode);
            tar.append_data(&mut header, path, content).expect("memory can be written");
        }
        vec![tar.into_inner().expect("memory can be written")]
    }
}
