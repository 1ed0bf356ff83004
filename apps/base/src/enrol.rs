//! Ties the appliance to an update server.

use std::path::PathBuf;

use anyhow::{Context, bail};
use host::{RealFs, save_json, write_atomic};
use model::{ApplianceId, PublicKey};
use release::offer::{EnrolReply, EnrolRequest, EnrolmentText, SIGNATURE_HEADER, sign_request};
use release::{Sha256, from_hex, to_hex};
use serde::{Deserialize, Serialize};
use tuf::SigningKey;
use tuf_client::TrustedStore;

use crate::config::Config;
use crate::paths::Paths;
use crate::secrets;
use crate::update_server;

#[derive(clap::Args)]
pub struct Args {
    /// The data directory.
    #[arg(long, env = "SLUIS_BASE_DATA", value_name = "DIR")]
    data: PathBuf,
    /// The text from the operator of the update server: its address, a one-time code and its key.
    text: EnrolmentText,
    /// The root of trust in software, from the maintainers.
    #[arg(long, value_name = "FILE")]
    root: PathBuf,
}

/// What `enrolment.json` holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Enrolment {
    /// Address of the update server, without a final `/`.
    pub url: String,
    /// This appliance, as the update server knows it.
    pub appliance: ApplianceId,
    /// Who it belongs to.
    pub customer: String,
    /// The key that offers must be signed with.
    pub offer_key: PublicKey,
    /// The keys of the certificates that it may show; none until it has named them.
    #[serde(default)]
    pub pins: Vec<Sha256>,
}

pub async fn run(args: &Args) -> anyhow::Result<()> {
    let paths = Paths::open(&args.data)?;
    let config = Config::load(&paths)?;
    let root = std::fs::read(&args.root)
        .with_context(|| format!("{} cannot be read", args.root.display()))?;
    let store = TrustedStore::open_or_init(&paths.tuf(), &root)
        .map_err(|error| anyhow::anyhow!("{error}. {}", error.remedy()))?;
    drop(store);
    let key = key(&paths)?;
    let request = EnrolRequest {
        code: args.text.code.clone(),
        public_key: public(&key)?,
        hostname: config.hostname,
    };
    let body = serde_json::to_vec(&request)?;
    let url = format!("{}/v1/enrol", args.text.url);
    let pins = &args.text.pins;
    if pins.is_empty() && args.text.url.starts_with("https:") {
        println!(
            "The enrolment text names no pin: whatever certificate {} shows is accepted until its first signed offer \
             names one. A text that a newer update server makes has a pin.",
            args.text.url
        );
    }
    let answer = update_server::for_questions(pins)?
        .post(&url)
        .header(SIGNATURE_HEADER, sign_request(&body, &key))
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await
        .map_err(|error| {
            let (text, remedy) = update_server::unreachable(&error);
            anyhow::anyhow!("{url}: {text}. {remedy}")
        })?;
    let status = answer.status();
    let bytes = answer.bytes().await?;
    if !status.is_success() {
        bail!("{}", update_server::refusal(&url, status, &bytes));
    }
    let reply: EnrolReply = serde_json::from_slice(&bytes)
        .with_context(|| format!("{url} answers with something else than an enrolment"))?;
    if reply.offer_key != args.text.offer_key {
        bail!(
            "{url} presents another key than the enrolment text names: somebody may be in between; \
             ask the operator of the update server for a new text"
        );
    }
    let enrolment = Enrolment {
        url: args.text.url.clone(),
        appliance: reply.appliance,
        customer: reply.customer,
        offer_key: reply.offer_key,
        pins: pins.clone(),
    };
    save_json(&RealFs, &paths.enrolment(), &enrolment)?;
    println!(
        "Enrolled at {} for {} as {}.",
        enrolment.url, enrolment.customer, enrolment.appliance
    );
    Ok(())
}

/// The appliance's own key, made when there is none.
pub fn key(paths: &Paths) -> anyhow::Result<SigningKey> {
    let path = paths.key();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let text = to_hex(&secrets::random::<32>());
            write_atomic(&RealFs, &path, 0o600, text.as_bytes())?;
            text
        }
        Err(error) => return Err(error).with_context(|| format!("{}", path.display())),
    };
    let seed = from_hex::<32>(text.trim());
    let seed = seed.with_context(|| format!("{} is no key of 64 digits", path.display()))?;
    Ok(SigningKey::from_seed(&seed)?)
}

fn public(key: &SigningKey) -> anyhow::Result<PublicKey> {
    key.key().keyval.public.parse().context("the appliance's key is no Ed25519 key")
}
