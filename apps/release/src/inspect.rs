//! `inspect`: what a file is, read without believing it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use release::Manifest;
use serde_json::{Value, json};

use crate::{build, files, package};

#[derive(Args)]
pub struct Inspect {
    /// A package, a stamped program or a metadata file.
    file: PathBuf,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub fn run(self) -> Result<()> {
        let (length, sha256) = files::hash_file(&self.file)?;
        let mut about = look(&self.file)?;
        about["length"] = json!(length);
        about["sha256"] = json!(sha256);
        if self.json {
            println!("{}", serde_json::to_string_pretty(&about)?);
        } else {
            print!("{}", text(&about));
        }
        Ok(())
    }
}

fn look(path: &Path) -> Result<Value> {
    if let Some((build, _)) = build::read_stamp(path)? {
        return Ok(json!({ "file": "program", "target": build.target_name(), "program": build }));
    }
    if let Some(metadata) = metadata(path) {
        return Ok(metadata);
    }
    match package::read(path) {
        Ok((manifest, json)) => Ok(json!({
            "file": "package",
            "target": manifest.target_name(),
            "manifest": serde_json::from_slice::<Value>(&json)?,
        })),
        Err(why) => bail!("{} is no package, stamped program or metadata: {why:#}", path.display()),
    }
}

fn metadata(path: &Path) -> Option<Value> {
    let document: Value = serde_json::from_slice(&files::read_bounded(path, 8 << 20).ok()?).ok()?;
    let signed = document.get("signed")?;
    let signers: Vec<&Value> =
        document.get("signatures")?.as_array()?.iter().map(|s| &s["keyid"]).collect();
    Some(json!({
        "file": "metadata",
        "role": signed.get("_type")?,
        "version": signed.get("version")?,
        "expires": signed.get("expires")?,
        "signed_by": signers,
        "signed": signed,
    }))
}

fn text(about: &Value) -> String {
    let mut out = String::new();
    for name in ["file", "target", "role", "version", "expires", "length", "sha256"] {
        if let Some(value) = about.get(name) {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let _ = writeln!(out, "{name}: {value}");
        }
    }
    for key in about["signed_by"].as_array().into_iter().flatten() {
        let _ = writeln!(out, "signed by: {}", key.as_str().unwrap_or_default());
    }
    if let Ok(manifest) = Manifest::from_value(&about["manifest"]) {
        out += &manifest_text(&manifest);
    }
    out
}

fn manifest_text(manifest: &Manifest) -> String {
    let mut out = format!("package: {} for {}\n", manifest.label(), manifest.arch);
    for rule in &manifest.requires {
        let _ = writeln!(out, "requires: {rule}");
    }
    for rule in &manifest.conflicts {
        let _ = writeln!(out, "conflicts: {rule}");
    }
    for floor in &manifest.floors {
        let _ = writeln!(out, "floor: {floor}");
    }
    if let Some(level) = manifest.schema_level() {
        let _ = writeln!(out, "schema level: {level}");
    }
    if let Some(license) = &manifest.license {
        let _ = writeln!(out, "license: {} operators at {}", license.users, license.hostname);
    }
    for file in &manifest.files {
        let _ = writeln!(out, "{:o} {:>12} {} {}", file.mode, file.size, file.sha256, file.path);
    }
    if !manifest.notes.is_empty() {
        let _ = writeln!(out, "notes:\n{}", manifest.notes);
    }
    out
}
