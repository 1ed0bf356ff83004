//! From a signed repository to a package that may be installed, and an offer that names it.

use std::collections::BTreeMap;

use model::{ApplianceId, PackageKind, PublicKey, Release, Timestamp};
use serde_json::{Value, json};
use sluis_core_release::catalog::{Catalog, CatalogError, catalog};
use sluis_core_release::offer::{
    EnrolmentText, Expected, Nonce, Offer, OfferError, request_is_signed, sign_request,
};
use sluis_core_release::plan::{Policy, plan};
use sluis_core_release::{PackageError, Sha256, VerifiedPackage, fixtures};
use tuf::schema::{MetaFile, RoleType, Root, Snapshot, TargetFile, Targets, Timestamp as Stamp};
use tuf::{Signed, SigningKey, VerifiedTarget};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const LATER: Timestamp = Timestamp::from_secs(1_900_000_000);
const FILE: &[u8] = b"the bytes of the package";

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32]).expect("32 bytes")
}

fn signed<T: tuf::schema::Metadata>(body: T, key: &SigningKey) -> Vec<u8> {
    let mut signed = Signed::new(body);
    signed.sign_with(key).expect("canonical");
    signed.to_bytes().expect("canonical")
}

/// A repository with one key, in which `base` speaks for `base/*` and `site` for `site/*`.
fn repository(role: &str, name: &str, custom: Option<Value>) -> BTreeMap<String, Vec<u8>> {
    let key = key(1);
    let mut root = Root::new(1, LATER);
    for kind in [RoleType::Root, RoleType::Timestamp, RoleType::Snapshot, RoleType::Targets] {
        root.set_role(kind, &[key.key()], 1);
    }
    let mut top = Targets::new(1, LATER);
    top.delegations_mut().delegate("base", &[key.key()], 1, &["base/*"], true);
    top.delegations_mut().delegate("site", &[key.key()], 1, &["site/*", "license/*"], true);
    let mut files = BTreeMap::new();
    let mut meta = BTreeMap::new();
    for name_of_role in ["targets", "base", "site"] {
        let mut targets =
            if name_of_role == "targets" { top.clone() } else { Targets::new(1, LATER) };
        if name_of_role == role {
            targets.targets.insert(name.into(), TargetFile::of(FILE, custom.clone()));
        }
        let bytes = signed(targets, &key);
        meta.insert(format!("{name_of_role}.json"), MetaFile::of(1, &bytes));
        files.insert(format!("1.{name_of_role}.json"), bytes);
    }
    let snapshot = signed(Snapshot::new(1, LATER, meta), &key);
    files.insert(
        "timestamp.json".into(),
        signed(Stamp::new(1, LATER, MetaFile::of(1, &snapshot)), &key),
    );
    files.insert("1.snapshot.json".into(), snapshot);
    files.insert("1.root.json".into(), signed(root, &key));
    files
}

fn read(files: &BTreeMap<String, Vec<u8>>, now: Timestamp) -> Result<Catalog, CatalogError<()>> {
    catalog(&files["1.root.json"], now, |want| Ok(files.get(&want.file).cloned()))
}

fn site_manifest() -> Value {
    json!(fixtures::manifest(PackageKind::Site, Release::new(1, 1, 0, 2)))
}

fn target(custom: Option<Value>) -> VerifiedTarget {
    let files = repository("site", "site/site-1.1.0-r2-x86_64.pkg", custom);
    read(&files, NOW).expect("a good repository").targets[0].clone()
}

#[test]
fn a_package_is_what_was_signed_and_nothing_else() {
    // req: UPD-11
    let target = target(Some(site_manifest()));
    let mut checker = target.checker();
    checker.update(FILE).expect("not too long");
    let checked = checker.finish().expect("the right bytes");
    let json = site_manifest().to_string();
    let package = VerifiedPackage::verify(&checked, json.as_bytes()).expect("a package");
    assert_eq!(package.reference().to_string(), "site 1.1.0 (rev 2)");
    assert_eq!(package.length(), FILE.len() as u64);
    assert_eq!(package.sha256().to_string(), tuf::sha256_hex(FILE));

    let mut other = site_manifest();
    other["revision"] = json!(3);
    for inside in [other.to_string(), String::new(), "x".repeat(300_000)] {
        let error = VerifiedPackage::verify(&checked, inside.as_bytes()).expect_err("another one");
        assert!(matches!(error, PackageError::OtherManifest(_)), "{error}");
    }
}

#[test]
fn a_signer_cannot_pass_one_kind_off_as_another() {
    // req: UPD-11
    let base = json!(fixtures::manifest(PackageKind::Base, Release::new(1, 1, 0, 2)));
    let target = target(Some(base.clone()));
    let mut checker = target.checker();
    checker.update(FILE).expect("not too long");
    let checked = checker.finish().expect("the right bytes");
    let error =
        VerifiedPackage::verify(&checked, base.to_string().as_bytes()).expect_err("no site");
    assert!(error.to_string().contains("describes base/base-1.1.0-r2-x86_64.pkg"), "{error}");
}

#[test]
fn a_catalog_holds_what_roles_may_say_and_names_the_rest() {
    let good = repository("site", "site/site-1.1.0-r2-x86_64.pkg", Some(site_manifest()));
    let catalog = read(&good, NOW).expect("a good repository");
    assert_eq!(catalog.packages.len(), 1);
    assert_eq!(catalog.packages[0].manifest.release(), Release::new(1, 1, 0, 2));

    let stolen = repository("base", "site/site-1.1.0-r2-x86_64.pkg", Some(site_manifest()));
    let catalog = read(&stolen, NOW).expect("a good repository");
    assert!(catalog.packages.is_empty());
    assert_eq!(catalog.others.len(), 1, "the base's signer does not speak for the site");

    let bare = repository("site", "site/notes.txt", None);
    assert_eq!(read(&bare, NOW).expect("a good repository").others.len(), 1);

    let error = read(&good, LATER).expect_err("all of it is expired");
    assert!(error.to_string().contains("expired"), "{error}");
    let mut torn = good.clone();
    torn.remove("1.site.json");
    assert!(read(&torn, NOW).is_err());
}

fn offer(nonce: Nonce, appliance: ApplianceId) -> Offer {
    let files = repository("site", "site/site-1.1.0-r2-x86_64.pkg", Some(site_manifest()));
    let catalog = read(&files, NOW).expect("a good repository");
    let hostname: sluis_core_release::Hostname = "access.example.com".parse().expect("a name");
    let policy = Policy { hostname: Some(hostname.clone()), ..Policy::default() };
    let plan = plan(&[], &catalog.packages, &policy);
    Offer {
        pins: vec![Sha256([9; 32])],
        kind: "offer".into(),
        appliance,
        nonce,
        issued: NOW,
        expires: LATER,
        hostname,
        licenses: Some(25),
        license_expires: None,
        packages: plan.cards,
        plan: plan.steps,
    }
}

#[test]
fn an_offer_answers_one_request_of_one_appliance() {
    // req: UPD-11
    let server = key(7);
    let offer_key = PublicKey(public(&server));
    let (nonce, appliance) = (Nonce([1; 16]), ApplianceId::from_bytes([2; 16]));
    let bytes = offer(nonce, appliance).sign(&server).expect("canonical");
    let hostname = "access.example.com".parse().expect("a name");
    let expected =
        Expected { offer_key: &offer_key, appliance, nonce, hostname: &hostname, now: NOW };

    let offer = Offer::verify(&bytes, &expected).expect("our own offer");
    let sha256 = Sha256(*target(Some(site_manifest())).sha256());
    let name = "site/site-1.1.0-r2-x86_64.pkg";
    assert!(offer.names(name, FILE.len() as u64, sha256).is_ok());
    assert!(offer.names(name, FILE.len() as u64 + 1, sha256).is_err());
    assert!(offer.names(name, FILE.len() as u64, Sha256([0; 32])).is_err());

    let refused = |expected: Expected<'_>| Offer::verify(&bytes, &expected).expect_err("refused");
    let other_key = PublicKey(public(&key(8)));
    assert_eq!(
        refused(Expected { offer_key: &other_key, ..expected.clone() }),
        OfferError::Signature
    );
    let nonce = Nonce([9; 16]);
    assert_eq!(refused(Expected { nonce, ..expected.clone() }), OfferError::Stale("request"));
    let appliance = ApplianceId::from_bytes([9; 16]);
    assert_eq!(refused(Expected { appliance, ..expected.clone() }), OfferError::Stale("appliance"));
    assert_eq!(refused(Expected { now: LATER, ..expected.clone() }), OfferError::Expired(LATER));
    let other = "other.example.com".parse().expect("a name");
    let error = refused(Expected { hostname: &other, ..expected.clone() });
    assert!(matches!(error, OfferError::OtherSite { .. }));

    let text = String::from_utf8(bytes.clone()).expect("UTF-8");
    let forged = text.replace("\"licenses\":25", "\"licenses\":99");
    assert_ne!(forged, text);
    assert_eq!(Offer::verify(forged.as_bytes(), &expected), Err(OfferError::Signature));
    // No prefix of it passes or panics.
    for cut in 0..bytes.len() {
        assert!(Offer::verify(&bytes[..cut], &expected).is_err());
    }
}

#[test]
fn another_signed_document_is_no_offer() {
    let server = key(7);
    let (nonce, appliance) = (Nonce([1; 16]), ApplianceId::from_bytes([2; 16]));
    let mut offer = offer(nonce, appliance);
    offer.kind = "snapshot".into();
    let bytes = offer.sign(&server).expect("canonical");
    let hostname = "access.example.com".parse().expect("a name");
    let offer_key = PublicKey(public(&server));
    let expected =
        Expected { offer_key: &offer_key, appliance, nonce, hostname: &hostname, now: NOW };
    assert!(matches!(Offer::verify(&bytes, &expected), Err(OfferError::Malformed(_))));
}

#[test]
fn requests_and_enrolment_texts_read_back() {
    let appliance = key(3);
    let header = sign_request(b"body", &appliance);
    let public = PublicKey(public(&appliance));
    assert!(request_is_signed(b"body", &header, &public));
    assert!(!request_is_signed(b"bodY", &header, &public));
    assert!(!request_is_signed(b"body", "zz", &public));

    let text = format!("https://updates.example.com:8443#ABCDE-FGHIJ.{public}");
    let read: EnrolmentText = text.parse().expect("an enrolment text");
    assert_eq!(
        (read.url.as_str(), read.code.as_str()),
        ("https://updates.example.com:8443", "ABCDE-FGHIJ")
    );
    assert_eq!((read.to_string().as_str(), read.pins.len()), (text.as_str(), 0));
    for bad in
        ["", "https://x#y", "https://x#y.z", "ftp://x#y.00", &text[8..], &text[..text.len() - 1]]
    {
        assert!(bad.parse::<EnrolmentText>().is_err(), "{bad}");
    }
    let pin = "ab".repeat(32);
    let pinned = format!("{text}.{pin}");
    let read: EnrolmentText = pinned.parse().expect("an enrolment text with a pin");
    assert_eq!((read.to_string(), read.pins[0].to_string()), (pinned.clone(), pin.clone()));
    let five = format!("{text}{}", format!(".{pin}").repeat(5));
    for bad in
        [&pinned[..pinned.len() - 1], &format!("{pinned}."), &format!("{text}..{pin}"), &five]
    {
        assert!(bad.parse::<EnrolmentText>().is_err(), "{bad}");
    }
}

fn public(key: &SigningKey) -> [u8; 32] {
    let public: PublicKey = key.key().keyval.public.parse().expect("32 bytes in hexadecimal");
    public.0
}
