//! What may be installed: the update server's offer and the maintainers' signed metadata, and both must agree.

use std::path::{Path, PathBuf};
use std::time::Duration;

use host::{RealFs, Slots, load_json, save_json};
use install::{Fault, Install, PackageRef};
use model::Timestamp;
use release::offer::{
    CLOCK_SKEW_MAX, CheckRequest, Expected, Nonce, OFFER_BYTES_MAX, Offer, PINS_MAX,
    SIGNATURE_HEADER, VersionFloor, sign_request,
};
use release::plan::{Blocked, Card, Installed, Status};
use release::{Sha256, VerifiedPackage};
use tuf_client::{Client, HttpRepository, TrustedStore, verify_file};

use crate::base::{Base, Shared};
use crate::enrol::{self, Enrolment};
use crate::installer::Machine;
use crate::last_check::{Checked, LastCheck};
use crate::paths::Paths;
use crate::{secrets, update_server};

/// Tries of a download in a row that bring nothing new.
const TRIES_MAX: u32 = 5;
/// Asks the update server, refreshes the metadata, and keeps what both say.
pub async fn check(base: &Shared) -> Result<Checked, Fault> {
    let _alone = base.last_check.asking.lock().await;
    match try_check(base).await {
        Ok(checked) => {
            base.last_check.change(|last| *last = checked.clone());
            Ok(checked)
        }
        Err(fault) => {
            let why = format!("{}. {}", fault.text, fault.remedy);
            base.last_check.change(|last| last.failed = Some(why));
            Err(fault)
        }
    }
}

async fn try_check(base: &Shared) -> Result<Checked, Fault> {
    let enrolment = enrolment(&base.paths)?;
    let offer = ask(base, &enrolment).await?;
    let enrolment = learn_pins(base, enrolment, &offer.pins).await;
    let mut client = client(&base.paths, &enrolment)?;
    let latest = base.last_check.latest_signed().max(offer.issued);
    refresh(&base.paths, &mut client, latest).await?;
    let mut packages = vec![];
    for card in offer.packages {
        packages.push(agreed(base, &mut client, card).await);
    }
    Ok(Checked {
        checked_at: Some(host::now()),
        packages,
        plan: offer.plan,
        latest_signed: latest,
        failed: None,
    })
}

/// Brings the metadata up to date and passes it on to agents and consoles.
async fn refresh(
    paths: &Paths,
    client: &mut Client<HttpRepository>,
    latest: Timestamp,
) -> Result<(), Fault> {
    client.refresh(trusted_now(latest)).await.map_err(|error| metadata_fault(&error))?;
    client.fetch_all_roles().await.map_err(|error| metadata_fault(&error))?;
    client.export(&paths.mirror()).map_err(|error| metadata_fault(&error))
}

fn trusted_now(latest: Timestamp) -> Timestamp {
    tuf::clock::trusted_now(Timestamp::default(), Some(latest), host::now())
}

/// Takes over the pins of a signed offer, so that a server may change its key once it has announced the next one.
///
/// Only pins by which the server is known are taken over: behind a proxy it may not know what appliances meet.
async fn learn_pins(base: &Shared, enrolment: Enrolment, pins: &[Sha256]) -> Enrolment {
    if pins.is_empty() || pins.len() > PINS_MAX || pins == enrolment.pins {
        return enrolment;
    }
    let known = async {
        let client = update_server::for_questions(pins)?;
        anyhow::Ok(
            client.get(format!("{}/tuf/metadata/timestamp.json", enrolment.url)).send().await?,
        )
    };
    if let Err(error) = known.await {
        tracing::warn!(
            error = format!("{error:#}"),
            "Update server is not known by the pins that it names"
        );
        return enrolment;
    }
    let next = Enrolment { pins: pins.to_vec(), ..enrolment.clone() };
    if let Err(error) = save_json(&RealFs, &base.paths.enrolment(), &next) {
        tracing::warn!(%error, "Pins of the update server cannot be saved");
        return enrolment;
    }
    tracing::info!(?pins, "Update server is known by these keys from now on");
    next
}

fn metadata_fault(error: &tuf_client::Error) -> Fault {
    let source = std::error::Error::source(error).map(|source| format!(": {source}"));
    Fault::host(
        format!("the signed metadata cannot be used: {error}{}", source.unwrap_or_default()),
        error.remedy(),
    )
}

fn enrolment(paths: &Paths) -> Result<Enrolment, Fault> {
    match load_json(&RealFs, &paths.enrolment()) {
        Ok(Some(enrolment)) => Ok(enrolment),
        Ok(None) => Err(Fault::host(
            "this appliance belongs to no update server yet",
            "Run `sluis-base enrol` with the text that the operator of the update server gave you.",
        )),
        Err(error) => Err(Fault::host(error.to_string(), "Enrol the appliance again.")),
    }
}

fn client(paths: &Paths, enrolment: &Enrolment) -> Result<Client<HttpRepository>, Fault> {
    let store = TrustedStore::open(&paths.tuf())
        .map_err(|error| Fault::host(error.to_string(), error.remedy()))?;
    let http = update_server::for_downloads(&enrolment.pins)
        .map_err(|error| Fault::host(format!("{error:#}"), "Look at the appliance's log."))?;
    let url = &enrolment.url;
    let (metadata, targets) = (format!("{url}/tuf/metadata"), format!("{url}/tuf/targets"));
    let repository = HttpRepository::with_client(http, &metadata, &targets);
    let repository = repository.map_err(|error| Fault::host(error.to_string(), "Enrol again."))?;
    Ok(Client::new(repository, store))
}

/// The update server's offer, verified to answer this very request.
async fn ask(base: &Shared, enrolment: &Enrolment) -> Result<Offer, Fault> {
    let host_fault =
        |error: anyhow::Error| Fault::host(format!("{error:#}"), "Look at the appliance's log.");
    let key = enrol::key(&base.paths).map_err(host_fault)?;
    let nonce = Nonce(secrets::random());
    let request = request(base, enrolment, nonce);
    let body = serde_json::to_vec(&request).map_err(|error| host_fault(error.into()))?;
    let url = format!("{}/v1/check", enrolment.url);
    let unreachable = |error: reqwest::Error| {
        let (text, remedy) = update_server::unreachable(&error);
        Fault::host(text, remedy)
    };
    let answer = update_server::for_questions(&enrolment.pins)
        .map_err(host_fault)?
        .post(&url)
        .header(SIGNATURE_HEADER, sign_request(&body, &key))
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await
        .map_err(unreachable)?;
    let status = answer.status();
    let bytes = bounded(answer).await.map_err(unreachable)?;
    if !status.is_success() {
        return Err(Fault::host(update_server::refusal(&url, status, &bytes), "Then check again."));
    }
    let offer = Offer::verify(
        &bytes,
        &Expected {
            offer_key: &enrolment.offer_key,
            appliance: enrolment.appliance,
            nonce,
            hostname: &base.config.hostname,
            now: host::now(),
        },
    );
    let offer = offer.map_err(|error| Fault::host(error.to_string(), "Then check again."))?;
    right_clock(offer.issued)?;
    Ok(offer)
}

/// The body, or its beginning when it is longer than any offer: that is refused for its form then.
async fn bounded(mut answer: reqwest::Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut bytes = vec![];
    while bytes.len() <= OFFER_BYTES_MAX
        && let Some(piece) = answer.chunk().await?
    {
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// Metadata expires by the clock, so a wrong one must not go on.
fn right_clock(issued: Timestamp) -> Result<(), Fault> {
    let now = host::now();
    if now.since(issued).max(issued.since(now)) <= CLOCK_SKEW_MAX {
        return Ok(());
    }
    Err(Fault::host(
        format!("this appliance's clock says {now}, and the update server's says {issued}"),
        "Set the clock, for example with NTP, then check again.",
    ))
}

fn request(base: &Base, enrolment: &Enrolment, nonce: Nonce) -> CheckRequest {
    base.ledger.read(|ledger| CheckRequest {
        appliance: enrolment.appliance,
        nonce,
        time: host::now(),
        arch: Some(Base::arch().to_owned()),
        inventory: ledger
            .installed
            .values()
            .map(|package| Installed {
                kind: package.kind,
                name: package.name.clone(),
                version: package.release.version.clone(),
                revision: package.release.revision,
                sha256: package.sha256,
            })
            .collect(),
        floors: ledger
            .installed
            .values()
            .filter_map(|package| {
                let floor = ledger.floor(package.kind)?;
                Some(VersionFloor { name: package.name.clone(), version: floor.version.clone() })
            })
            .collect(),
        bad: ledger.bad.values().map(|bad| bad.package.sha256).collect(),
    })
}

/// The card as it may be acted on: installable only when the signed metadata names the same bytes, and it is not bad.
async fn agreed(base: &Shared, client: &mut Client<HttpRepository>, card: Card) -> Card {
    if let Some(text) = put_back(base, &card) {
        // The update server knows only that it is bad; why is known here.
        return blocked(card, "a release that works here", text);
    }
    if card.status != Status::Installable {
        return card;
    }
    let text = match client.target(&card.target).await {
        Ok(target) if target.length() == card.size && Sha256(*target.sha256()) == card.sha256 => {
            return card;
        }
        Ok(_) => {
            "The update server and the maintainers' signed metadata name different bytes.".into()
        }
        Err(error) => format!("The maintainers' signed metadata does not name it: {error}"),
    };
    blocked(card, "", text)
}

/// Why the package is bad, if it was put back here.
fn put_back(base: &Base, card: &Card) -> Option<String> {
    if card.status == Status::Installed {
        return None;
    }
    base.ledger.read(|ledger| {
        let bad = ledger.bad.get(&card.sha256.to_string())?;
        Some(format!(
            "It was put back on {}: {}. It is not offered again by itself.",
            bad.at, bad.reason
        ))
    })
}

fn blocked(mut card: Card, missing: &str, text: String) -> Card {
    card.status = Status::Blocked;
    card.blocked = Some(Blocked { missing: missing.to_owned(), by: None, text });
    card
}

/// Downloads a package under its signed name, length and hash, and proves it.
pub async fn fetch(base: &Shared, package: &PackageRef) -> Result<VerifiedPackage, Fault> {
    let _alone = base.last_check.asking.lock().await;
    let enrolment = enrolment(&base.paths)?;
    let mut client = client(&base.paths, &enrolment)?;
    let now = trusted_now(base.last_check.latest_signed());
    if client.resume(now).is_err() {
        client.refresh(now).await.map_err(|error| metadata_fault(&error))?;
    }
    let target = client.target(&package.target).await.map_err(|error| metadata_fault(&error))?;
    if Sha256(*target.sha256()) != package.sha256 {
        return Err(Fault::host(
            format!("{package} was replaced by other bytes while it was being installed"),
            "Check for updates again and choose from what is offered.",
        ));
    }
    let whole = base.slots.download(package.sha256);
    if !whole.exists() {
        let directory = base.paths.downloads().join(format!("{}.part", package.sha256));
        let downloaded = download(base, package, &client, &target, &directory).await?;
        put(&downloaded.path, &whole).map_err(|error| {
            Fault::host(
                format!("{}: {error}", whole.display()),
                "Mend the disk, then install again.",
            )
        })?;
        // Empty now; a file left in it is found by the next clean-up.
        let _ = std::fs::remove_dir(&directory);
    }
    let proven = verified(&base.slots, &target, &whole).await;
    if proven.is_err() {
        // What is not what was signed is never looked at again.
        let _ = std::fs::remove_file(&whole);
    }
    proven
}

/// Downloads for as long as bytes come: a slow line takes its time, a broken one is tried again.
async fn download(
    base: &Shared,
    package: &PackageRef,
    client: &Client<HttpRepository>,
    target: &tuf::VerifiedTarget,
    directory: &Path,
) -> Result<tuf_client::Downloaded, Fault> {
    let total = target.length();
    let mut most = 0;
    let mut tries = 0;
    loop {
        let before = most;
        let mut progress = |bytes: u64| {
            most = bytes.max(most);
            let words = format!("Downloading {package}: {bytes} of {total} bytes.");
            base.installer.say(words, bytes as f64 / total.max(1) as f64);
        };
        let error = match client.download(target, directory, &mut progress).await {
            Ok(downloaded) => return Ok(downloaded),
            Err(error) => error,
        };
        tries = if most > before { 1 } else { tries + 1 };
        if !error.is_passing() || tries > TRIES_MAX {
            return Err(metadata_fault(&error));
        }
        tracing::warn!(%error, tries, "Download broke off; going on");
        tokio::time::sleep(Duration::from_millis(500 << tries)).await;
    }
}

/// Moves a whole download to where slots are unpacked from.
fn put(from: &Path, to: &PathBuf) -> std::io::Result<()> {
    std::fs::rename(from, to)?;
    if let Some(dir) = to.parent() {
        std::fs::File::open(dir)?.sync_all()?;
    }
    Ok(())
}

async fn verified(
    slots: &Slots<RealFs>,
    target: &tuf::VerifiedTarget,
    file: &Path,
) -> Result<VerifiedPackage, Fault> {
    let fault = |text: String| Fault::host(text, "Check for updates and install again.");
    let checked = verify_file(target, file).await.map_err(|error| fault(error.to_string()))?;
    let manifest = slots.manifest_in(file).map_err(|error| fault(error.to_string()))?;
    let package = VerifiedPackage::verify(&checked, &manifest);
    let package = package.map_err(|error| fault(error.to_string()))?;
    if !package.manifest().fits(Base::arch()) {
        return Err(fault(format!("{} is made for another machine", target.name())));
    }
    Ok(package)
}

/// Turns a state from the journal into one that may be acted on, without asking anybody.
///
/// A package that cannot be proven from what is on disk ends its attempt.
pub async fn prove_again(
    paths: &Paths,
    slots: &Slots<RealFs>,
    last_check: &LastCheck,
    saved: &Install<PackageRef>,
) -> Machine {
    let proof = match needs_proof(saved) {
        Some(package) => Some(prove_one(paths, slots, last_check, &package).await),
        None => None,
    };
    saved.prove(|_| {
        proof.clone().unwrap_or_else(|| Err(Fault::host("it was not looked at", "Install again.")))
    })
}

/// The package that the state acts on by its signatures; a kept slot is held against its manifest instead.
fn needs_proof(saved: &Install<PackageRef>) -> Option<PackageRef> {
    use install::Subject::Update;
    match saved {
        Install::Verified { package, .. }
        | Install::Staged { package, .. }
        | Install::Preflight { package, .. }
        | Install::Expanded { subject: Update(package), .. }
        | Install::SwitchingOver { subject: Update(package), .. }
        | Install::Trial { subject: Update(package), .. } => Some(package.clone()),
        _ => None,
    }
}

async fn prove_one(
    paths: &Paths,
    slots: &Slots<RealFs>,
    last_check: &LastCheck,
    package: &PackageRef,
) -> Result<VerifiedPackage, Fault> {
    let enrolment = enrolment(paths)?;
    let mut client = client(paths, &enrolment)?;
    client
        .resume(trusted_now(last_check.latest_signed()))
        .map_err(|error| metadata_fault(&error))?;
    let target = client.target(&package.target).await.map_err(|error| metadata_fault(&error))?;
    let proven = verified(slots, &target, &slots.download(package.sha256)).await?;
    if proven.reference() == *package {
        Ok(proven)
    } else {
        Err(Fault::host(format!("{package} is not what was verified before"), "Install again."))
    }
}
