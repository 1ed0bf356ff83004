//! `sluis-base init`: from an empty directory to an appliance that can be run.

use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use host::{RealFs, Slots, load_json, save_json, write_atomic};
use install::{Ledger, PackageRef};
use model::PackageKind;
use release::{Hostname, Manifest, Sha256};

use crate::accounts::{Account, Accounts};
use crate::config::{Config, Times};
use crate::paths::Paths;
use crate::secrets;

#[derive(clap::Args)]
pub struct Args {
    /// The data directory to make.
    #[arg(long, env = "SLUIS_BASE_DATA", value_name = "DIR")]
    data: PathBuf,
    /// Address to listen on for https; may be given several times.
    #[arg(long, default_value = "0.0.0.0:443", value_name = "ADDRESS")]
    listen: Vec<SocketAddr>,
    /// Primary hostname of the site.
    #[arg(long, default_value = "localhost", value_name = "NAME")]
    hostname: Hostname,
    /// The base package to begin with.
    #[arg(long, value_name = "FILE")]
    package: PathBuf,
    /// Begin with the account admin and the password `password`, to be changed at the first sign-in,
    /// instead of a one-time password.
    #[arg(long)]
    default_password: bool,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let paths = make_directory(&args.data)?;
    let (manifest, sha256) = first_package(&paths, &args.package)?;
    if !paths.tls().join("cert.pem").exists() {
        make_certificate(&paths.tls(), &args.hostname)?;
    }
    let password = make_account(&paths, args.default_password)?;
    make_ledger(&paths, &manifest, sha256)?;
    // Last: with it the directory counts as set up.
    let config = Config {
        hostname: args.hostname.clone(),
        listen: args.listen.clone(),
        limits: Times::default(),
    };
    let text = format!(
        "hostname = {:?}\nlisten = {:?}\n",
        config.hostname.to_string(),
        config.listen.iter().map(ToString::to_string).collect::<Vec<_>>()
    );
    write_atomic(&RealFs, &paths.config(), 0o644, text.as_bytes())?;
    println!("The appliance is set up in {}.", paths.data.display());
    println!("Base software: {}", manifest.release());
    println!("Account: admin");
    println!("Password: {password}");
    println!("It must be changed at the first sign-in.");
    println!("Run it with: sluis-base run --data {}", paths.data.display());
    Ok(())
}

fn make_directory(data: &Path) -> anyhow::Result<Paths> {
    let made = |path: &Path| {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(path)
            .with_context(|| format!("{} cannot be made", path.display()))
    };
    made(data)?;
    let paths = Paths { data: data.canonicalize()? };
    if paths.config().exists() {
        bail!("{} is set up already; use another directory", data.display());
    }
    for dir in ["packages", "current", "previous", "downloads", "tls", "site", "run", "mirror"] {
        made(&paths.data.join(dir))?;
    }
    std::fs::set_permissions(paths.tls(), std::fs::Permissions::from_mode(0o700))?;
    std::fs::set_permissions(paths.run(), std::fs::Permissions::from_mode(0o700))?;
    Ok(paths)
}

fn first_package(paths: &Paths, file: &Path) -> anyhow::Result<(Manifest, Sha256)> {
    let slots = Slots::new(RealFs, &paths.data);
    let (manifest, sha256) = slots.unpack_first(file)?;
    if manifest.kind != PackageKind::Base {
        bail!("{} is a {} package; `init` needs a base package", file.display(), manifest.kind);
    }
    slots.point(PackageKind::Base, sha256, None).context("the pointers cannot be written")?;
    Ok((manifest, sha256))
}

fn make_ledger(paths: &Paths, manifest: &Manifest, sha256: Sha256) -> anyhow::Result<()> {
    let mut ledger: Ledger = load_json(&RealFs, &paths.ledger())?.unwrap_or_default();
    let package = PackageRef {
        kind: manifest.kind,
        name: manifest.name.clone(),
        release: manifest.release(),
        sha256,
        target: format!(
            "base/base-{}-r{}-{}.pkg",
            manifest.version, manifest.revision.0, manifest.arch
        ),
    };
    ledger.commit(&package, None, host::now());
    Ok(save_json(&RealFs, &paths.ledger(), &ledger)?)
}

/// A certificate of our own for the browser, to be replaced later; clients do not rely on it.
fn make_certificate(dir: &Path, hostname: &Hostname) -> anyhow::Result<()> {
    let mut names = vec![hostname.to_string()];
    for name in ["localhost", "127.0.0.1"] {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    let mut params = rcgen::CertificateParams::new(names)?;
    params.is_ca = rcgen::IsCa::ExplicitNoCa;
    params.distinguished_name.push(rcgen::DnType::CommonName, hostname.to_string());
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let key = rcgen::KeyPair::generate()?;
    let cert = params.self_signed(&key)?;
    write_atomic(&RealFs, &dir.join("key.pem"), 0o600, key.serialize_pem().as_bytes())?;
    write_atomic(&RealFs, &dir.join("cert.pem"), 0o644, cert.pem().as_bytes())?;
    Ok(())
}

// req: MIG-01
fn make_account(paths: &Paths, default_password: bool) -> anyhow::Result<String> {
    let password = if default_password { "password".to_owned() } else { secrets::first_password() };
    let accounts = Accounts { accounts: vec![Account::first("admin", &password)?] };
    save_json(&RealFs, &paths.accounts(), &accounts)?;
    Ok(password)
}
